"""crossenc encode: inputs, both forms of output, prompts, smaller embeddings, and what ends a run."""
import ast
import json
import os
import struct
import subprocess

import pytest

from conftest import COMMAND, DATA, ENVIRONMENT

TEXTS = ["the heat of the flow", "", "a wing", "日本 語", "x " * 80]
MEAN, DENSE = (DATA / "golden" / "encoders" / name for name in ("mean", "cls-dense"))
NUMBERS = {"<f4": "f", "|i1": "b", "|u1": "B"}


def as_lines(texts):
    return "".join(text + "\n" for text in texts)


def embeddings(result):
    return [line["embedding"] for line in result.lines()]


def read_npy(path):
    """The rows of an array, and the name of its type, by the format's own description (version 1.0)."""
    data = path.read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00"
    size = struct.unpack("<H", data[8:10])[0]
    assert (10 + size) % 64 == 0 and data[9 + size:10 + size] == b"\n"
    header = ast.literal_eval(data[10:10 + size].decode("ascii").strip())
    assert set(header) == {"descr", "fortran_order", "shape"} and header["fortran_order"] is False
    rows, columns = header["shape"]
    values = struct.unpack(f"<{rows * columns}{NUMBERS[header['descr']]}", data[10 + size:])
    return [list(values[i * columns:(i + 1) * columns]) for i in range(rows)], header["descr"]


def test_the_references_embeddings_in_input_order(run):
    golden = json.loads((DATA / "golden" / "encoder-mean.json").read_text())
    # What has a line end or a NUL in it is no line.
    chosen = [i for i, text in enumerate(golden["texts"]) if not set(text) & set("\n\r\0")]
    case = golden["cases"][0]
    assert case["call"] == {} and len(chosen) > 8
    found = embeddings(run("encode", "-m", MEAN, input=as_lines(golden["texts"][i] for i in chosen)))
    for i, row in zip(chosen, found):
        assert row == pytest.approx(case["embeddings"][i], abs=1e-5)


def test_a_text_alone_is_the_same(run):
    together = embeddings(run("encode", "-m", DENSE, input=as_lines(TEXTS)))
    alone = [embeddings(run("encode", "-m", DENSE, "-t", "1", input=text + "\n"))[0] for text in TEXTS]
    assert together == alone and len(together[0]) == 16


def test_ids_and_titles(run, tmp_path):
    lines = [{"_id": "a\t1", "title": "the", "text": "sea"}, {"id": 7, "text": "the sea"}, {"text": "the sea"}, "the sea"]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = run("encode", "-m", MEAN, tmp_path / "texts.jsonl").lines()
    assert [line.get("id") for line in found] == ["a\t1", "7", None, None]
    assert len({json.dumps(line["embedding"]) for line in found}) == 1
    (tmp_path / "texts.tsv").write_text("9\tthe sea\n")
    assert run("encode", "-m", MEAN, tmp_path / "texts.tsv").lines()[0] == {"id": "9", "embedding": found[0]["embedding"]}


def test_npy_has_the_same_values(run, tmp_path):
    want = embeddings(run("encode", "-m", DENSE, input=as_lines(TEXTS)))
    run("encode", "-m", DENSE, "-o", tmp_path / "x.npy", input=as_lines(TEXTS))
    run("encode", "-m", DENSE, "--to", "npy", "-o", tmp_path / "other", input=as_lines(TEXTS))
    rows, kind = read_npy(tmp_path / "x.npy")
    assert kind == "<f4" and rows == [list(struct.unpack("16f", struct.pack("16f", *row))) for row in want]
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "other").read_bytes()
    run("encode", "-m", DENSE, "-o", tmp_path / "none.npy", input="")
    assert read_npy(tmp_path / "none.npy") == ([], "<f4")


@pytest.mark.parametrize("kind, name", [("int8", "|i1"), ("uint8", "|u1"), ("binary", "|i1"), ("ubinary", "|u1")])
def test_smaller_types(run, tmp_path, kind, name):
    plain = embeddings(run("encode", "-m", DENSE, input=as_lines(TEXTS)))
    run("encode", "-m", DENSE, "--type", kind, "-o", tmp_path / "x.npy", input=as_lines(TEXTS))
    rows, found = read_npy(tmp_path / "x.npy")
    assert found == name
    assert embeddings(run("encode", "-m", DENSE, "--type", kind, input=as_lines(TEXTS))) == rows
    shift = 128 if found == "|i1" else 0
    if kind.endswith("binary"):
        bits = [[int(value > 0) for value in row] for row in plain]
        want = [[int("".join(map(str, row[i:i + 8])), 2) - shift for i in (0, 8)] for row in bits]
        assert rows == want
        return
    for column in range(16):
        values = [row[column] for row in plain]
        low, step = min(values), (max(values) - min(values)) / 255
        for row, value in zip(rows, values):  # a value at the edge of a step may fall to either side in float32
            assert row[column] + shift == pytest.approx(min((value - low) / step, 255), abs=1.01)


def test_prompts(run):
    named = embeddings(run("encode", "-m", MEAN, "--prompt-name", "the", input="of\n"))
    assert named == embeddings(run("encode", "-m", MEAN, "--prompt", "the sea", input="of\n"))
    assert named == embeddings(run("encode", "-m", MEAN, "--prompt", "", input="the seaof\n"))
    default = embeddings(run("encode", "-m", MEAN, input="of\n"))
    assert default == embeddings(run("encode", "-m", MEAN, "--prompt-name", "query", input="of\n")) != named
    assert "it has query, passage, the" in run("encode", "-m", MEAN, "--prompt-name", "x", input="", expect=2).error
    assert "has none" in run("encode", "-m", DATA / "golden/encoders/plain-classifier", "--prompt-name", "x", expect=2).error
    run("encode", "-m", MEAN, "--prompt-name", "the", "--prompt", "x", expect=2)


def test_truncate_dim_and_normalize(run):
    whole = embeddings(run("encode", "-m", DENSE, input=as_lines(TEXTS)))
    short = embeddings(run("encode", "-m", DENSE, "--truncate-dim", "5", input=as_lines(TEXTS)))
    assert short == [row[:5] for row in whole]
    unit = embeddings(run("encode", "-m", DENSE, "--truncate-dim", "5", "--normalize", input=as_lines(TEXTS)))
    for row, plain in zip(unit, short):
        assert sum(value * value for value in row) == pytest.approx(1, abs=1e-6)
        assert row[0] / plain[0] == pytest.approx(row[4] / plain[4], rel=1e-5)
    assert embeddings(run("encode", "-m", DENSE, "--truncate-dim", "999", input=as_lines(TEXTS))) == whole


def test_truncated_texts_are_told(run):
    assert "2 of 3 texts were truncated to 30 tokens; first: line 2" in run(
        "encode", "-m", DENSE, input=as_lines(["a", "x " * 80, "y " * 99])).error
    assert run("encode", "-m", DENSE, "-Q", input=as_lines(["x " * 80])).error == ""


def test_lines_before_a_bad_one_are_written_but_no_file(run, tmp_path):
    good, bad = b'"a"\n"b"\n', b"nonsense\n"
    result = run("encode", "-m", MEAN, "-f", "jsonl", input=good + bad, expect=5)
    assert "line 3" in result.error and len(result.out.splitlines()) == 2
    for name in ("x.npy", "x.jsonl"):
        run("encode", "-m", MEAN, "-f", "jsonl", "-o", tmp_path / name, input=good + bad, expect=5)
    assert not list(tmp_path.iterdir())
    assert "UTF-8" in run("encode", "-m", MEAN, input=b"\xff\n", expect=5).error
    assert embeddings(run("encode", "-m", MEAN, "--utf8", "replace", input=b"a\xff\n")) == embeddings(
        run("encode", "-m", MEAN, input="a\ufffd\n"))


def test_what_cannot_be_asked_for(run, tmp_path, one):
    for arguments, code, part in [
            (["--to", "npy"], 2, "--output"), (["--to", "npy", "--json", "-o", "x"], 2, "npy"),
            (["--to", "npy", "-o", "/dev/null"], 2, "file"), (["a", "b"], 2, "one file"), (["-f", "x"], 2, "format"),
            (["--type", "int4"], 2, "int8"), ([tmp_path / "none"], 5, "none"), (["--device", "cuda"], 4, "cuda"),
            (["-o", tmp_path / "no" / "x"], 6, "no/x"), (["--max-length", "1"], 2, "special")]:
        assert part in run("encode", "-m", MEAN, *arguments, expect=code).error, arguments
    assert "--model is missing" in run("encode", expect=2).error
    assert "no model" in run("encode", "-m", tmp_path / "none", expect=3).error
    assert "bi-encoder" in run("rank", "-m", MEAN, "q", "d", expect=3).error
    found = embeddings(run("encode", "-m", one, input="a\n"))  # a cross-encoder's transformer, with mean pooling
    assert len(found[0]) == 16


def test_a_conversation_through_pipes():
    with subprocess.Popen([COMMAND, "encode", "-m", os.fspath(MEAN)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=ENVIRONMENT) as process:
        for text in ("a", "the sea"):
            process.stdin.write(text.encode() + b"\n")
            process.stdin.flush()
            assert len(json.loads(process.stdout.readline())["embedding"]) == 24
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def test_many_texts_in_several_chunks(run, tmp_path):
    texts = [f"word{i} the sea" for i in range(9000)]
    run("encode", "-m", MEAN, "--type", "uint8", "-o", tmp_path / "x.npy", input=as_lines(texts))
    rows, _ = read_npy(tmp_path / "x.npy")
    assert len(rows) == 9000 and all(max(row[i] for row in rows) >= 254 for i in range(24))
