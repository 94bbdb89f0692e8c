"""Input that nobody hopes for: not UTF-8, NULs, huge lines, endless streams, files that cannot be read."""
import json
import os
import resource
import shutil
import subprocess

import pytest

from conftest import COMMAND, ENVIRONMENT


def as_root():
    return os.geteuid() == 0


@pytest.mark.parametrize("arguments, data, parts", [
    (["predict"], b"a\tb\nc\xff\td\n", ["standard input, line 2", "byte 2", "0xff"]),
    (["predict", "-f", "jsonl"], b'["a", "\xe2\x82"]\n', ["line 1", "byte 8", "0xe2"]),
    (["rank", "q"], b"fine\n\xc0\xaf\n", ["line 2", "byte 1", "--utf8 replace"]),
    (["predict"], "a\tb\n".encode("utf-16"), ["standard input is UTF-16", "iconv"]),
    (["rank", "q"], b"\xfe\xff\x00a", ["standard input is UTF-16", "iconv"]),
    (["rank", "q"], b"a\n\xfe\xff\x00a", ["line 2", "byte 1 (0xfe)"]),
    (["predict", "-f", "jsonl"], b'[\n["a", "b"]\n]\n', ["line 1", "each line must hold a whole value"]),
    (["rank", "q", "-f", "jsonl"], b'{\n  "text": "a"\n}\n', ["line 1", "each line must hold a whole value"]),
    (["rank", "q", "-f", "tsv"], b"id\tx\nno tab\n", ["line 2", "id<TAB>text"]),
    (["predict"], b'["a", "b"]\n', ["line 1", "no tab", "--format jsonl"]),
    (["rank", "q", "-f", "jsonl"], b'"x"\n\n', ["line 2", "empty"]),
    (["rank", "q", "-f", "jsonl"], b'{"text": null}\n', ["line 1", 'no "text"'])])
def test_bad_lines_are_named(run, one, arguments, data, parts):
    result = run(arguments[0], "-m", one, *arguments[1:], input=data, expect=5)
    assert all(part in result.error for part in parts), result.error


def test_bad_arguments_are_named(run, one):
    assert "the query: byte 2 (0xff)" in run("rank", "-m", one, b"q\xff", "d", expect=5).error
    assert "document 2: byte 1" in run("rank", "-m", one, "q", "d", b"\x80", expect=5).error
    assert "the document: byte 1" in run("tokenize", "-m", one, "q", b"\x80", expect=5).error


def test_nuls_are_characters(run, one):
    found = run("rank", "-m", one, "--json", "q", input=b"a\0b\nab\n").lines()
    assert {item["text"] for item in found} == {"a\0b", "ab"}
    assert len(run("predict", "-m", one, input=b"q\0\td\0\n").out.splitlines()) == 1
    found = run("rank", "-m", one, "--json", "-f", "jsonl", "q", input=b'"a\\u0000b"\n').lines()
    assert found[0]["text"] == "a\0b"


def test_nothing_drives_the_terminal(run, one):
    evil = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202eabc"
    result = run("rank", "-m", one, "--color", "always", "q", input=evil + "\n")
    assert not set("\x1b\x07\u009b\u202e") & set(result.out) and "owned" in result.out
    run_file = run("rank", "-m", one, "--run", evil, "--corpus", "c", "--queries", "q", expect=5)
    assert not set("\x1b\x07\u009b\u202e") & set(run_file.error)


def test_a_huge_line(run, one):
    huge = b"wing heat " * 1_000_000
    result = run("rank", "-m", one, "-k", "1", "--json", "q", input=huge + b"\nshort\n")
    assert "1 of 2 pairs was truncated" in result.error and len(result.lines()) == 1
    result = run("predict", "-m", one, input=b"q\t" + huge + b"\n")
    assert len(result.out.splitlines()) == 1
    result = run("rank", "-m", one, "-k", "1", "--json", "-f", "jsonl", "q", input=b'{"text": "' + huge + b'"}\n')
    assert len(result.lines()[0]["text"]) == len(huge)


def test_a_long_stream_needs_little_memory(one):
    """With --top-k memory does not grow with the stream: 10 times the documents, the same peak."""
    if os.environ.get("CE_SANITIZE"):
        pytest.skip("sanitizers keep freed memory")
    peaks = []
    for count in (20_000, 200_000):
        code = (f"import sys\nfor i in range(0, {count}, 1000): "
                "sys.stdout.write(''.join(f'doc {j % 97} wing\\n' for j in range(i, i + 1000)))")
        with subprocess.Popen(["python3", "-c", code], stdout=subprocess.PIPE) as source:
            with subprocess.Popen([COMMAND, "rank", "-m", os.fspath(one), "-k", "5", "--json", "-t", "1", "q"],
                                  stdin=source.stdout, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
                source.stdout.close()
                out = process.stdout.read()
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0 and len(out.splitlines()) == 5
        peaks.append(usage.ru_maxrss)
    assert peaks[1] < peaks[0] + 4096, f"{peaks} KiB"


def test_no_memory_is_an_error(run, one, tmp_path):
    """A line that does not fit into what the process may have."""
    if os.environ.get("CE_SANITIZE"):
        pytest.skip("sanitizers need more address space than the limit leaves")
    limit = 300 << 20
    (tmp_path / "big").write_bytes(b"x" * (400 << 20))
    result = run("rank", "-m", one, "-k", "1", "-t", "1", "-D", tmp_path / "big", "q", expect=1,
                 preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert "memory" in result.error and result.out == ""


def test_files_that_cannot_be_read(run, one, tmp_path):
    assert "No such file" in run("predict", "-m", one, tmp_path / "gone", expect=5).error
    assert "folder" in run("predict", "-m", one, tmp_path, expect=5).error
    assert "gone" in run("rank", "-m", one, "-D", tmp_path / "gone", "q", expect=5).error
    if not as_root():
        (tmp_path / "closed").write_text("a\tb\n")
        (tmp_path / "closed").chmod(0)
        assert "Permission denied" in run("predict", "-m", one, tmp_path / "closed", expect=5).error


def test_closed_standard_input(run, one):
    # 0 is closed: the first file that is opened must not take its place.
    result = run("rank", "-m", one, "q", expect=5, stdin=None, preexec_fn=lambda: os.close(0))
    assert "standard input" in result.error


def test_input_is_checked_before_the_model_is_read(run, tmp_path):
    result = run("eval", "-m", tmp_path / "no-model", "-c", "c", "-q", "q", "-j", "j", "-r", tmp_path / "no-run",
                 expect=5)
    assert "no-run" in result.error


@pytest.mark.parametrize("spoil, part", [
    (lambda folder: (folder / "config.json").unlink(), "config.json"),
    (lambda folder: (folder / "config.json").write_text("{"), "config.json"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 100), "model.safetensors"),
    (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors"),
    (lambda folder: (folder / "tokenizer.json").write_text("[]"), "tokenizer.json")])
def test_models_that_cannot_be_loaded(run, three, tmp_path, spoil, part):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in three.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    spoil(folder)
    for command in (["rank", "q", "d"], ["predict"], ["inspect"], ["tokenize", "q", "d"]):
        result = run(command[0], "-m", folder, *command[1:], expect=3)
        assert part in result.error and result.out == ""


@pytest.mark.parametrize("model_type, architecture, parts", [
    ("bart", "BartForSequenceClassification", ["supported types: bert, electra, ", "gemma3_text\n"]),
    ("bert", "BertForMaskedLM", ["supported of this type: BertForSequenceClassification\n"]),
    ("bert", "BertModel", ["an encoder without a classifier", "(crossenc encode, SentenceTransformer)\n"])])
def test_architectures_that_are_not_known(run, three, tmp_path, model_type, architecture, parts):
    """The sentence is whole, and says no name twice."""
    folder = shutil.copytree(three, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config.update(model_type=model_type, architectures=[architecture])
    (folder / "config.json").write_text(json.dumps(config))
    error = run("rank", "-m", folder, "q", "d", expect=3).error
    assert all(part in error for part in parts), error
    names = error.split("types: ")[-1].strip().split(", ")
    assert len(set(names)) == len(names)


def test_a_folder_that_is_no_model(run, tmp_path):
    error = run("rank", "-m", tmp_path, "q", "d", expect=3).error
    assert f"{tmp_path} has no config.json: give a model's folder" in error


@pytest.mark.parametrize("device, part", [
    ("gpu", "cuda:N"), ("CUDA", "cuda"), ("cuda:99", "cuda"), ("opencl:77", "opencl"), ("cpu:1", "cpu")])
def test_devices_that_are_not_there(run, one, device, part):
    for command in (["rank", "q", "d"], ["predict"], ["inspect"]):
        result = run(command[0], "-m", one, "-d", device, *command[1:], expect=4)
        assert part in result.error and result.out == ""


def test_limits_that_the_model_cannot_meet(run, one):
    assert "1024" in run("rank", "-m", one, "--max-length", "99999", "q", "d", expect=2).error


def test_json_output_is_json_whatever_the_text(run, one):
    texts = ['"quotes" \\ and /', "tab\there", "\x01\x1f\x7f", "\u2028\u2029\x85", "😀", "é", ""]
    data = "".join(json.dumps(text) + "\n" for text in texts)
    found = run("rank", "-m", one, "--json", "-f", "jsonl", "q", input=data).lines()
    assert {item["index"]: item["text"] for item in found} == dict(enumerate(texts))


def test_names_of_files_may_be_any_bytes(run, one, tmp_path):
    folder = os.fsencode(tmp_path) + b"/model-\xff\x1b[2J"
    os.mkdir(folder)
    for file in one.iterdir():
        os.symlink(file, folder + b"/" + os.fsencode(file.name))
    with open(folder + b"/\xfe\n", "wb"):
        pass
    found = run("inspect", "-m", folder, "--json").json()
    assert found["path"].endswith("model-\ufffd\x1b[2J") and "\ufffd\n" in {file["name"] for file in found["files"]}
    assert "\x1b" not in run("inspect", "-m", folder).out
    assert "\x1b" not in run("predict", "-m", one, folder + b"/gone", expect=5).error
