"""crossenc predict: formats, labels, streaming, and what is not lost after a bad line."""
import json
import os
import random
import subprocess

import pytest

from conftest import COMMAND, ENVIRONMENT

PAIRS = [("heat flow", "the heat of the flow"), ("", ""), ("heat flow", "a wing"), ("日本", "語"), ("q", "x " * 40)]


def as_tsv(pairs):
    return "".join(f"{query}\t{document}\n" for query, document in pairs)


def test_a_score_a_line_in_input_order(run, one):
    scores = [float(line) for line in run("predict", "-m", one, input=as_tsv(PAIRS)).out.splitlines()]
    alone = [float(run("predict", "-m", one, input=as_tsv([pair])).out) for pair in PAIRS]
    assert scores == alone and len(set(scores)) == len(PAIRS)


def test_rank_has_the_same_scores(run, one):
    found = run("rank", "-m", one, "--json", "q", "a", "wing", "heat").lines()
    ranked = {item["text"]: item["score"] for item in found}
    lines = run("predict", "-m", one, "--json", input=as_tsv(("q", text) for text in ranked)).lines()
    assert [line["score"] for line in lines] == list(ranked.values())


@pytest.mark.parametrize("form", ["objects", "arrays"])
def test_json_pairs(run, one, tmp_path, form):
    lines = [{"document": d, "query": q, "more": 1} if form == "objects" else [q, d] for q, d in PAIRS]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    want = run("predict", "-m", one, input=as_tsv(PAIRS)).out
    assert run("predict", "-m", one, tmp_path / "pairs.jsonl").out == want
    assert run("predict", "-m", one, "-f", "jsonl", input=(tmp_path / "pairs.jsonl").read_bytes()).out == want
    assert run("predict", "-m", one, "-f", "jsonl", "-", input=(tmp_path / "pairs.jsonl").read_bytes()).out == want


def test_json_of_one_label(run, sigmoid):
    scores = run("predict", "-m", sigmoid, "--json", input=as_tsv(PAIRS)).out.splitlines()
    logits = run("predict", "-m", sigmoid, "--json", "--logits", input=as_tsv(PAIRS)).out.splitlines()
    for score, logit in zip(scores, logits):
        score, logit = json.loads(score), json.loads(logit)
        assert list(score) == ["score"] and 0 < score["score"] < 1
        assert list(logit) == ["logits"] and len(logit["logits"]) == 1


def test_several_labels(run, three):
    lines = run("predict", "-m", three, input=as_tsv(PAIRS)).out.splitlines()
    plain = [list(map(float, line.split("\t"))) for line in lines]
    scores = run("predict", "-m", three, "--json", input=as_tsv(PAIRS)).lines()
    logits = run("predict", "-m", three, "--json", "--logits", input=as_tsv(PAIRS)).lines()
    soft = run("predict", "-m", three, "--json", "--softmax", "--activation", "identity", input=as_tsv(PAIRS)).lines()
    assert [len(row) for row in plain] == [3] * len(PAIRS)
    assert scores == [{"scores": row} for row in plain]
    assert all(list(item) == ["logits"] and len(item["logits"]) == 3 for item in logits)
    assert all(sum(item["scores"]) == pytest.approx(1, abs=1e-6) for item in soft)


def test_rank_refuses_several_labels(run, three):
    result = run("rank", "-m", three, "q", "d", expect=3)
    assert "3 labels" in result.error and "predict" in result.error


def test_scores_read_back_the_same(run, one):
    # %.9g is what a float32 needs at most; less is printed where less is enough.
    words = ["heat", "flow", "wing", "plate", "shock"]
    generator = random.Random(1)
    pairs = [("q", " ".join(generator.choices(words, k=6))) for _ in range(300)]
    plain = run("predict", "-m", one, input=as_tsv(pairs)).out.splitlines()
    found = run("predict", "-m", one, "--json", input=as_tsv(pairs)).lines()
    assert [line["score"] for line in found] == list(map(float, plain))
    assert all(len(text.lstrip("-").replace(".", "").split("e")[0].lstrip("0")) <= 9 for text in plain)


def test_ends_of_lines(run, one):
    want = run("predict", "-m", one, input="a\tb\nc\td\n").out
    assert run("predict", "-m", one, input="a\tb\r\nc\td\r\n").out == want
    assert run("predict", "-m", one, input="a\tb\nc\td").out == want
    assert run("predict", "-m", one, input="\ufeffa\tb\nc\td\n").out == want
    assert run("predict", "-m", one, input="").out == ""


@pytest.mark.parametrize("bad, part", [
    ("", "line 3: it is empty; expected query<TAB>document"), ("no tab here", "line 3: it has no tab"),
    ("a\tb\tc", "line 3: it has more than one tab")])
def test_a_bad_line_is_named_and_the_scores_before_it_are_there(run, one, bad, part):
    result = run("predict", "-m", one, input=f"a\tb\nc\td\n{bad}\ne\tf\n", expect=5)
    assert part in result.error and "standard input" in result.error
    assert result.out == run("predict", "-m", one, input="a\tb\nc\td\n").out


def test_chunks_before_a_bad_line_are_there(run, one):
    pairs = [("q", f"wing {number % 50}") for number in range(5000)]
    result = run("predict", "-m", one, input=as_tsv(pairs) + "bad\n", expect=5)
    assert "line 5001" in result.error and len(result.out.splitlines()) == 5000


@pytest.mark.parametrize("bad, part", [
    ("{", "not valid JSON"), ('{"query": "a"}', 'no "document"'), ('{"query": 1, "document": "b"}', '"query" must be'),
    ('["a"]', "expected"), ('["a", "b", "c"]', "expected"), ('["a", 1]', "expected"), ('"a"', "expected"),
    ("", "it is empty"), ('{"query": "a", "query": "b", "document": "c"}', "there twice"),
    ('["a", "\\ud800"]', "not valid JSON"), ('["a", "b"]\0x', "something behind"),
    pytest.param("[" * 100000, "not valid JSON", id="deep")])
def test_bad_json_lines(run, one, bad, part):
    result = run("predict", "-m", one, "--format", "jsonl", input=f'["a", "b"]\n{bad}\n', expect=5)
    assert "line 2" in result.error and part in result.error and len(result.out.splitlines()) == 1


def test_truncation_names_the_line(run, one):
    result = run("predict", "-m", one, "--json", input="a\tb\n" * 4200 + "a\t" + "wing " * 2000 + "\n")
    assert "1 of 4,201 pairs was truncated to 1024 tokens; first: line 4201" in result.error
    assert len(result.lines()) == 4201


def test_conversation_through_pipes(one):
    """A program sends a pair, and has its score before it sends the next."""
    with subprocess.Popen([COMMAND, "predict", "-m", os.fspath(one)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=ENVIRONMENT) as process:
        scores = []
        for document in ("wing", "heat", "flow"):
            process.stdin.write(f"q\t{document}\n".encode())
            process.stdin.flush()
            scores.append(float(process.stdout.readline()))
        process.stdin.close()
        assert process.stdout.read() == b"" and process.wait(60) == 0
    assert len(set(scores)) == 3


def test_wrong_command_lines(run, one):
    assert "one file" in run("predict", "-m", one, "a", "b", expect=2).error
    assert "tsv or jsonl" in run("predict", "-m", one, "--format", "lines", expect=2).error
    assert "one of them" in run("predict", "-m", one, "--logits", "--softmax", expect=2).error
    assert "--top-k" in run("predict", "-m", one, "--top-k", "3", expect=2).error
