"""Where results go: files that appear whole, full disks, closed pipes, signals."""
import json
import os
import resource
import signal
import stat
import subprocess
import time

import pytest

from conftest import COMMAND, ENVIRONMENT

PAIRS = "a\tb\nc\td\n"


def commands(one, ties):
    run = ["-r", ties / "run.trec", "-c", ties / "corpus.jsonl", "-q", ties / "queries.jsonl"]
    return {"rank": ["rank", "-m", one, "q", "d"], "rank json": ["rank", "-m", one, "--json", "q", "d"],
            "rerank": ["rank", "-m", one, *run], "predict": ["predict", "-m", one],
            "bench": ["bench", "-m", one, "--only", "memory"],
            "bench json": ["bench", "-m", one, "--only", "memory", "--json"],
            "eval": ["eval", "-m", one, *run, "-j", ties / "qrels.txt"], "devices": ["devices"],
            "devices json": ["devices", "--json"], "inspect": ["inspect", "-m", one],
            "inspect json": ["inspect", "-m", one, "--json"], "tokenize": ["tokenize", "-m", one, "q", "d"],
            "help": ["help"], "rank help": ["rank", "--help"], "version": ["--version"]}


NAMES = list(commands(COMMAND, __import__("pathlib").Path()))


@pytest.mark.parametrize("name", NAMES)
def test_full_disk(run, one, ties, name):
    with open("/dev/full", "wb") as full:
        result = run(*commands(one, ties)[name], input=PAIRS, expect=6, stdout=full)
    assert "cannot write standard output: No space left on device" in result.error


@pytest.mark.parametrize("name", NAMES)
def test_closed_pipe(run, one, ties, name):
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = run(*commands(one, ties)[name], input=PAIRS, expect=141, stdout=write_end)
    os.close(write_end)
    assert "error" not in result.error


@pytest.mark.parametrize("name", ["rank", "predict", "devices", "help"])
def test_closed_standard_output(run, one, ties, name):
    result = run(*commands(one, ties)[name], input=PAIRS, expect=6, stdout=None, preexec_fn=lambda: os.close(1))
    assert "cannot write standard output" in result.error


def test_a_reader_that_stops_ends_the_work(one):
    """Nobody scores a million pairs for a reader that left: head -1 ends predict at its next chunk."""
    with subprocess.Popen([COMMAND, "predict", "-m", os.fspath(one)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=ENVIRONMENT) as process:
        process.stdin.write(b"q\td\n")
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        with pytest.raises(BrokenPipeError):
            for _ in range(10_000):
                process.stdin.write(b"q\td\n" * 1000)
                process.stdin.flush()
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
        assert process.wait(60) == 141


def test_output_to_a_file(run, one, ties, tmp_path):
    out = tmp_path / "out"
    want = run("predict", "-m", one, input=PAIRS).out
    assert run("predict", "-m", one, "-o", out, input=PAIRS).out == ""
    assert out.read_text() == want and os.listdir(tmp_path) == ["out"]
    run("rank", "-m", one, "--json", "--output", out, "q", "d")
    assert json.loads(out.read_text())["text"] == "d"
    assert run("predict", "-m", one, "-o", "-", input=PAIRS).out == want
    assert "No space left" in run("predict", "-m", one, "-o", "/dev/full", input=PAIRS, expect=6).error


def test_mode_and_links_of_the_file_stay(run, one, tmp_path):
    previous = os.umask(0o027)
    try:
        run("predict", "-m", one, "-o", tmp_path / "new", input=PAIRS)
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    (tmp_path / "old").write_text("before")
    (tmp_path / "old").chmod(0o604)
    os.symlink("old", tmp_path / "link")
    run("predict", "-m", one, "-o", tmp_path / "link", input=PAIRS)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "old").read_text() != "before"
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o604


def test_after_an_error_the_file_is_as_it_was(run, one, three, ties, tmp_path):
    out = tmp_path / "out"
    out.write_text("before")
    run("predict", "-m", one, "-o", out, input=PAIRS + "bad\n", expect=5)
    run("rank", "-m", three, "-o", out, "q", "d", expect=3)
    run("rank", "-m", one, "-o", out, "q", input=b"\xff\n", expect=5)
    assert out.read_text() == "before" and os.listdir(tmp_path) == ["out"]
    missing = tmp_path / "no-such-folder" / "out"
    assert "no-such-folder" in run("predict", "-m", one, "-o", missing, input=PAIRS, expect=6).error
    run("eval", "-m", one, "-r", ties / "run.trec", "-c", ties / "corpus.jsonl", "-q", ties / "queries.jsonl",
        "-j", ties / "qrels.txt", "--save-run", missing, expect=6)


def test_a_limit_of_file_sizes(run, one, tmp_path):
    """A file that may not grow is an error, as a full disk is, and leaves nothing."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
    for command in (["predict", "-m", one, "-o", tmp_path / "out"], ["convert", one, tmp_path / "new"],
                    ["convert", one, tmp_path / "new.gguf"]):
        result = run(*command, input=1000 * PAIRS, expect=6, preexec_fn=limit)
        assert "File too large" in result.error and os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_half_file(one, tmp_path, number):
    with subprocess.Popen([COMMAND, "predict", "-m", os.fspath(one), "-o", os.fspath(tmp_path / "out")],
                          stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
        process.stdin.write(b"q\td\n")
        process.stdin.flush()
        for _ in range(600):
            if os.listdir(tmp_path):
                break
            time.sleep(0.05)
        assert len(os.listdir(tmp_path)) == 1
        process.send_signal(number)
        assert process.wait(60) == -number
    assert os.listdir(tmp_path) == []
