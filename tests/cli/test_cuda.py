"""crossenc devices with a stand-in for NVIDIA's driver library in the library path: see tests/device/cuda."""
import os
import pathlib

import pytest

FAKE = pathlib.Path(os.environ.get("CE_BUILD") or ".") / "tests" / "device" / "cuda"


@pytest.fixture
def path():
    if not (FAKE / "libcuda.so.1").exists():
        pytest.skip("this build has no stand-in for libcuda.so.1: it needs x86-64 and clang or nvcc")
    if os.environ.get("CE_SANITIZE"):
        pytest.skip("a sanitizer's runtime comes with the program that links the stand-in")
    return {"LD_LIBRARY_PATH": os.fspath(FAKE)}


def test_devices(run, path):
    found = {device["id"]: device for device in run("devices", "--json", env=path).json()}
    gpu = found["cuda:1"]
    assert gpu["name"] == "Fake GPU 1" and gpu["usable"] and gpu["precisions"] == ["float32", "bfloat16", "float16", "int8"]
    assert gpu["features"] == ["sm_80", "driver_cuda_12.4"]
    assert gpu["memory_total"] == 64 << 20 and gpu["memory_free"] == 0
    text = run("devices", env=path).out
    assert "64.0 MiB memory\n" in text  # what is free is not known without a context, and not shown


def test_predict(run, path, one):
    pairs = "how many\tone two\nhow few\tthree\n"
    scores = [[float(line) for line in run("predict", "-m", one, "-d", device, input=pairs, env=path).out.splitlines()]
              for device in ("cuda:0", "cpu")]
    assert len(scores[0]) == 2
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_bench(run, path, one):
    """The stand-in's figures are an emulator's: that the device is measured beside the model is what counts."""
    found = run("bench", "-m", one, "-d", "cuda:0", "--seconds", "1", "--only", "throughput", "--json", env=path).json()
    assert found["device"]["id"] == "cuda:0"
    assert found["device"]["peak_operations_per_second"] > 0 and found["device"]["memory_bytes_per_second"] > 0
    assert all(0 < row["share_of_peak"] < 1 for row in found["throughput"])
