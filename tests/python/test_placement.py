"""Devices: after the constructor the weights are where device= says, or it raises; moves; deferred placement."""
import copy
import pickle

import pytest


class TorchDevice:
    """As torch.device: with a type and an index, and no str."""

    def __init__(self, kind, index=None):
        self.type, self.index = kind, index


@pytest.mark.parametrize("device", ["cpu", "cpu:0", TorchDevice("cpu"), TorchDevice("cpu", 0), None, "auto"])
def test_on_the_device_when_the_constructor_returns(package, one, device):
    model = package.CrossEncoder(one, device=device)
    placement = model.placement
    assert (placement.state, placement.device, placement.generation) == ("ready", "cpu", 1)
    assert placement.tensors_verified == placement.tensors > 0 and placement.self_tested
    assert placement.host_bytes == 0 and placement.weight_bytes > 0
    assert model.device == "cpu" and model.device.type == "cpu" and model.device.index is None
    assert model.device == TorchDevice("cpu") and model.device != TorchDevice("cuda", 0) and model.device != "cuda"


ABSENT = ["cuda:7", TorchDevice("cuda", 7), 7, "opencl:9"]
NAMELESS = ["foo", "", "CPU", "mps", "cuda:x", "cpu ", TorchDevice("xpu", 0), "a" * 1000]


@pytest.mark.parametrize("device", ABSENT + NAMELESS)
def test_a_device_that_is_not_there_raises(package, one, device):
    status = "CE_ERR_DEVICE_ABSENT" if device in ABSENT else "CE_ERR_DEVICE_NAME"
    with pytest.raises(RuntimeError) as caught:  # as PyTorch's
        package.CrossEncoder(one, device=device)
    assert isinstance(caught.value, package.DeviceError) and caught.value.status == status
    with pytest.raises(package.DeviceError):
        package.CrossEncoder(one, device=device, place="deferred")
    model = package.CrossEncoder(one, device="cpu")
    for move in (model.to, lambda d: model.predict(("a", "b"), device=d)):
        with pytest.raises(package.DeviceError):
            move(device)
    assert model.device == "cpu" and model.placement.generation == 1


def test_the_device_comes_before_the_model(package):
    with pytest.raises(package.DeviceError):
        package.CrossEncoder(".", device="nonsense")


@pytest.mark.parametrize("device", [5.5, True, b"cpu", object(), {"cpu"}, TorchDevice(3), TorchDevice("cpu", "x")])
def test_what_is_no_device(package, one, device):
    with pytest.raises(TypeError):
        package.CrossEncoder(one, device=device)


@pytest.mark.parametrize("device", ["a\0b", "\ud800"])
def test_names_that_cannot_be_names(package, one, device):
    with pytest.raises((ValueError, package.DeviceError)):
        package.CrossEncoder(one, device=device)


def test_device_map(package, one, caplog):
    assert package.CrossEncoder(one, model_kwargs={"device_map": "cpu"}).device == "cpu"
    with pytest.raises(package.DeviceError):
        package.CrossEncoder(one, device="cpu", model_kwargs={"device_map": "cuda:7"})
    assert "takes priority" in caplog.text


def test_moves(package, model, pairs):
    scores = model.predict(pairs).tolist()
    assert model.to("cpu") is model.cpu() is model.eval() is model.to() is model.to(None) is model
    assert model.to(device="cpu", non_blocking=True) is model
    assert model.predict(pairs, device="cpu").tolist() == scores
    with pytest.raises(package.DeviceError):
        model.cuda(7)
    with pytest.raises(TypeError, match="nonsense"):
        model.to(nonsense=1)
    with pytest.raises(AttributeError):
        model.device = "cpu"
    assert model.predict(pairs).tolist() == scores


def test_deferred(package, one, pairs):
    model = package.CrossEncoder(one, device="cpu", place="deferred")
    placement = model.placement
    assert (placement.state, placement.generation, model.device) == ("deferred", 0, "cpu")
    model.max_seq_length = 30
    assert model.bfloat16().placement.state == "deferred"  # setting it places nothing
    assert model.check().state == "deferred"
    model.float().max_seq_length = 1024
    scores = model.predict(pairs)
    assert model.placement.state == "ready" and model.placement.generation == 1
    assert scores.tolist() == package.CrossEncoder(one).predict(pairs).tolist()
    placed = package.CrossEncoder(one, place="deferred").place()
    assert placed.placement.state == "ready" and placed.check().state == "ready"


@pytest.mark.parametrize("place", ["eager", "deferred"])
def test_pickled_it_opens_again(package, one, pairs, place):
    model = package.CrossEncoder(one, device="cpu", max_length=40, precision="bfloat16", place=place,
                                 activation_fn=package.Sigmoid(), prompts={"a": "b "}, default_prompt_name="a")
    again = pickle.loads(pickle.dumps(model))
    assert again.placement.state == model.placement.state == ("ready" if place == "eager" else "deferred")
    assert (again.device, again.dtype, again.max_seq_length) == ("cpu", "bfloat16", 40)
    assert (again.activation_fn, again.prompts) == (package.Sigmoid(), {"a": "b "})
    assert again.predict(pairs).tolist() == model.predict(pairs).tolist() == copy.copy(model).predict(pairs).tolist()


def test_devices(package):
    devices = {device.id: device for device in package.devices()}
    assert devices["cpu"].usable and devices["cpu"].float32
    assert all(device.reason for device in devices.values() if not device.usable)


def test_no_file_is_left_open_and_no_path_needed(package, one, tmp_path, pairs):
    import shutil
    folder = tmp_path / "model"
    shutil.copytree(one, folder)
    model = package.CrossEncoder(folder, device="cpu")
    scores = model.predict(pairs).tolist()
    shutil.rmtree(folder)
    assert model.predict(pairs).tolist() == scores
    with pytest.raises(FileNotFoundError):
        model.bfloat16()
    with pytest.raises(FileNotFoundError):
        pickle.loads(pickle.dumps(model))
    assert model.predict(pairs).tolist() == scores
