"""The examples end well, print what they promise, and complain about nothing (of leaks or races neither)."""
import os
import pathlib
import re
import subprocess

PROGRAMS = pathlib.Path(os.environ["CE_BUILD"]) / "examples"


def run(name, *arguments):
    done = subprocess.run([PROGRAMS / name, *arguments], text=True, check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr


def test_rank():
    status, output, complaints = run("rank")
    lines = output.splitlines()
    scores = [float(line.split()[0]) for line in lines]
    assert (status, complaints, len(lines)) == (0, "", 4)
    assert "Berlin has a population" in lines[0]
    assert scores == sorted(scores, reverse=True)


def test_rank_names_what_is_missing():
    status, output, complaints = run("rank", "/no/such/model")
    assert (status, output) == (1, "")
    assert "CE_ERR_NOT_FOUND" in complaints and "/no/such/model" in complaints


def test_placement():
    status, output, complaints = run("placement", "cpu", "cpu")
    assert (status, complaints) == (0, "")
    verified, tensors = re.search(r"(\d+) of (\d+) tensors verified", output).groups()
    assert int(verified) == int(tensors) > 0
    assert "asked for cpu, on cpu" in output and "self-test passed" in output
    assert output.count("well, as a check of") == 2


def test_placement_survives_a_move_that_fails():
    status, output, _ = run("placement", "cpu", "cuda:99")
    assert status == 0
    assert re.search(r"not moved: .+", output) and output.count("well, as a check of") == 2


def test_placement_on_an_unknown_device():
    status, _, complaints = run("placement", "abacus")
    assert status == 1 and "abacus" in complaints and "cpu" in complaints


def test_threads():
    status, output, complaints = run("threads")
    assert (status, complaints) == (0, "")
    assert output.count("in each of 4 threads") == 3
    assert "1 of 3 pairs were cut" in output and "pair 2" in output


def test_encode():
    """On a small random bi-encoder, whose neighbours mean nothing, and on a trained one where it is at hand."""
    source = pathlib.Path(os.environ["CE_SOURCE"])
    status, output, complaints = run("encode", source / "tests" / "data" / "golden" / "encoders" / "mean")
    assert (status, complaints) == (0, "") and len(output.splitlines()) == 4
    assert run("encode")[0] == 2
    status, _, complaints = run("encode", "/no/such/model")
    assert status == 1 and "CE_ERR_NOT_FOUND" in complaints
    trained = source.parent / "shared" / "models" / "all-MiniLM-L6-v2"
    if trained.exists():
        lines = run("encode", trained)[1].splitlines()
        assert "Berlin has a population" in lines[1] and "banana" in lines[3]
