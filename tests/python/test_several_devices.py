"""One model on several devices, as far as a machine without GPUs has them: PoCL makes two devices of one processor."""
import json
import os
import subprocess
import sys

import pytest

from conftest import PACKAGE

# In a process of its own: PoCL reads POCL_DEVICES when it starts.
PROGRAM = """
import json, pickle, sys
import crossenc
names = [device.id for device in crossenc.devices() if device.id.startswith("opencl") and device.usable]
if len(names) < 2:
    sys.exit(77)
pairs = [("word", f"a text of {n} words " * (1 + n % 7)) for n in range(60)]
model = crossenc.CrossEncoder(sys.argv[1], device="opencl:0")
alone = model.predict(pairs).tolist()
model.start_multi_process_pool(["opencl:0", "opencl:1", "opencl:1"])
several = [place._asdict() for place in model.placements]
together = model.predict(pairs).tolist()
unpickled = pickle.loads(pickle.dumps(model))
model.max_seq_length = 900  # loads anew where that is more than before
print(json.dumps({
    "several": several, "names": [str(name) for name in model.devices], "first": str(model.device), "text": repr(model),
    "unpickled": unpickled.placement.requested, "same": together == alone == unpickled.predict(pairs).tolist(),
    "at load": crossenc.CrossEncoder(sys.argv[1], device=["opencl:1", "opencl:0"]).placement._asdict(),
    "back": str(model.to("cpu").device), "one": len(model.placements)}))
"""


@pytest.fixture
def outcome(one):
    environment = {**os.environ, "POCL_DEVICES": "pthread pthread", "PYTHONPATH": str(PACKAGE)}
    for name in ("XDG_CACHE_HOME", "CROSSENC_OPENCL_LIBRARY"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", PROGRAM, one], env=environment, stdout=subprocess.PIPE, timeout=300)
    if done.returncode == 77:
        pytest.skip("this machine has not two OpenCL devices (PoCL, Debian's pocl-opencl-icd, would make them)")
    assert done.returncode == 0
    return json.loads(done.stdout)


def test_a_pool_of_two_is_a_replica_on_each(outcome):
    assert [place["device"] for place in outcome["several"]] == ["opencl:0", "opencl:1"]
    for place in outcome["several"]:
        assert (place["state"], place["devices"], place["requested"]) == ("ready", 2, "opencl:0,opencl:1")
        assert place["tensors_verified"] == place["tensors"] > 0 and place["self_tested"]
        assert place["self_test_error"] == outcome["several"][0]["self_test_error"] > 0
    assert outcome["same"]
    assert outcome["names"] == ["opencl:0", "opencl:1"] and outcome["first"] == "opencl:0"
    assert "device='opencl:0,opencl:1'" in outcome["text"]
    assert outcome["unpickled"] == "opencl:0,opencl:1"
    assert (outcome["at load"]["requested"], outcome["at load"]["device"]) == ("opencl:1,opencl:0", "opencl:1")
    assert (outcome["back"], outcome["one"]) == ("cpu", 1)


def test_kinds_are_not_mixed(package, one):
    names = [device.id for device in package.devices() if device.usable and device.id != "cpu"]
    if not names:
        pytest.skip("this machine has no device but the CPU")
    with pytest.raises(NotImplementedError, match="different kinds"):
        package.CrossEncoder(one, device=[names[0], "cpu"])


def test_a_list_that_names_one_device(package, one):
    with package.CrossEncoder(one, device=["cpu", "cpu"]) as model:
        assert model.devices == ["cpu"] and model.placement.devices == 1
        assert model.placements == [model.placement]
