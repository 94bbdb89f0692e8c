"""crossenc rank: sources of documents, formats, order, and runs."""
import json
import math
import os
import random

import pytest

from conftest import DATA

DOCUMENTS = ["the heat of the flow", "a wing", "", "pressure on a plate in supersonic flow", "日本語 text", "wing wing"]


def as_lines(documents):
    return "".join(f"{document}\n" for document in documents)


def test_json_lines_are_best_first(run, one):
    found = run("rank", "--model", one, "--json", "heat flow", *DOCUMENTS).lines()
    assert [list(item) for item in found] == [["index", "score", "text"]] * len(DOCUMENTS)
    assert sorted(item["index"] for item in found) == list(range(len(DOCUMENTS)))
    assert all(item["text"] == DOCUMENTS[item["index"]] for item in found)
    scores = [item["score"] for item in found]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) > 3


def test_real_model_makes_sense(run, real):
    found = run("rank", "--model", real, "--json", "what is a panda", "hi",
                "The giant panda is a bear native to China.", "Paris is in France.").lines()
    assert found[0]["index"] == 1 and found[0]["score"] > 3 > -3 > found[1]["score"]


def test_default_model_is_used(run, real):
    arguments = ["what is a panda", "The giant panda is a bear native to China."]
    assert run("rank", "--json", *arguments).out == run("rank", "-m", real, "--json", *arguments).out


@pytest.mark.parametrize("way", ["arguments", "standard input", "file", "dash", "tsv", "jsonl", "json strings"])
def test_every_source_gives_the_same_scores(run, one, tmp_path, way):
    want = {item["index"]: item["score"]
            for item in run("rank", "-m", one, "--json", "heat flow", *DOCUMENTS).lines()}
    files = {"file": ("d.txt", as_lines(DOCUMENTS)),
             "tsv": ("d.tsv", as_lines(f"n{i}\t{d}" for i, d in enumerate(DOCUMENTS))),
             "jsonl": ("d.jsonl", as_lines(json.dumps({"_id": f"n{i}", "text": d}) for i, d in enumerate(DOCUMENTS))),
             "json strings": ("d.ndjson", as_lines(json.dumps(d) for d in DOCUMENTS))}
    if way == "arguments":
        result = run("rank", "heat flow", *DOCUMENTS, "-m", one, "--json")
    elif way in ("standard input", "dash"):
        more = ["--documents", "-"] if way == "dash" else []
        result = run("rank", "-m", one, "--json", *more, "heat flow", input=as_lines(DOCUMENTS))
    else:
        name, text = files[way]
        (tmp_path / name).write_text(text)
        result = run("rank", "-m", one, "--json", "-D", tmp_path / name, "heat flow")
    found = result.lines()
    assert {item["index"]: item["score"] for item in found} == want
    if way in ("tsv", "jsonl"):
        assert all(item["id"] == f"n{item['index']}" and list(item)[:2] == ["index", "id"] for item in found)
    else:
        assert all("id" not in item for item in found)


def test_json_that_is_read_as_text_is_noted(run, one, tmp_path):
    """Scores of braces look like any others."""
    line = '{"_id": "a", "text": "wing"}\n'
    result = run("rank", "-m", one, "q", input=line)
    assert "note: standard input is read as texts" in result.error and "--format jsonl" in result.error
    assert result.error.count("\n") == 1 and result.out.endswith("\t" + line)
    for options, data in (["--quiet"], line), (["-f", "lines"], line), (["-f", "jsonl"], line), ([], "x\n" + line):
        assert run("rank", "-m", one, "q", *options, input=data).error == ""
    (tmp_path / "d.jsonl").write_text(line)
    assert run("rank", "-m", one, "q", "-D", tmp_path / "d.jsonl").error == ""
    encoder = DATA / "golden" / "encoders" / "mean"
    assert "--format jsonl" in run("encode", "-m", encoder, input=line).error


def test_format_overrides_the_name(run, one, tmp_path):
    (tmp_path / "d.jsonl").write_text('{"text": "wing"}\n')
    found = run("rank", "-m", one, "--json", "-D", tmp_path / "d.jsonl", "--format", "lines", "q").lines()
    assert found[0]["text"] == '{"text": "wing"}'


def test_titles_stand_before_texts(run, one):
    lines = [{"id": 5, "title": "Heat ", "text": " of flow "}, {"title": "", "text": " of flow "},
             {"title": None, "text": "x"}]
    found = run("rank", "-m", one, "--json", "--format", "jsonl", "q", input=as_lines(map(json.dumps, lines))).lines()
    by_index = {item["index"]: item for item in found}
    assert by_index[0]["text"] == "Heat   of flow" and by_index[0]["id"] == "5"
    assert by_index[1]["text"] == " of flow " and "id" not in by_index[1] and by_index[2]["text"] == "x"


def test_columns_where_there_is_no_terminal(run, one):
    result = run("rank", "-m", one, "heat flow", input="wing\x07 one\nheat\tflow\n")
    rows = [line.split("\t") for line in result.out.splitlines()]
    assert [row[0] for row in rows] == ["1", "2"] and {row[2] for row in rows} == {"0", "1"}
    assert {row[3] for row in rows} == {"wing  one", "heat flow"}
    assert float(rows[0][1]) >= float(rows[1][1]) and "\033" not in result.out


def test_equal_scores_keep_the_order(run, one):
    documents = ["same text", "other", "same text", "same text", "other"]
    found = run("rank", "-m", one, "--json", "q", *documents).lines()
    for text in ("same text", "other"):
        places = [item["index"] for item in found if item["text"] == text]
        assert places == sorted(places)


@pytest.mark.parametrize("top", [1, 3, 5, 100])
def test_top_k_is_the_beginning_of_all(run, one, top):
    generator = random.Random(top)
    documents = [" ".join(generator.choices(["wing", "heat", "flow", "plate", "a", "the"], k=4)) for _ in range(500)]
    command = ["rank", "-m", one, "--json", "heat of a plate"]
    everything = run(*command, input=as_lines(documents)).out.splitlines()
    best = run(*command, "-k", str(top), input=as_lines(documents)).out.splitlines()
    assert best == everything[:top] and len(everything) == 500


def test_no_documents_give_no_results(run, one):
    assert run("rank", "-m", one, "--json", "q").out == ""
    assert run("rank", "-m", one, "q").out == ""


def test_empty_query_and_document_have_scores(run, one):
    found = run("rank", "-m", one, "--json", "", "", "x").lines()
    assert len(found) == 2 and all(math.isfinite(item["score"]) for item in found)


def test_activation_and_logits(run, sigmoid):
    def scores(*options):
        found = run("rank", "-m", sigmoid, "--json", *options, "heat", "wing flow", "plate").lines()
        return {item["index"]: item["score"] for item in found}
    logits = scores("--logits")
    assert logits == scores("--activation", "identity") == scores("-a", "IDENTITY") == scores("-l")
    assert scores() == scores("-a", "default") == scores("-a", "sigmoid")
    for index, logit in logits.items():
        assert scores()[index] == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-6)
        assert scores("-a", "tanh")[index] == pytest.approx(math.tanh(logit), abs=1e-6)
        assert scores("-a", "relu")[index] == pytest.approx(max(logit, 0), abs=1e-6)


def test_scores_do_not_depend_on_how_they_are_made(run, real):
    documents = [f"document {number} about " + "panda bear " * (number % 7) for number in range(40)]
    def scored(*options):
        return run("rank", "-m", real, "--json", *options, "what is a panda", input=as_lines(documents)).out
    want = scored()
    for options in (["--threads", "1"], ["-t", "2", "--batch-tokens", "64"], ["--deferred"], ["--precision", "float32"], ["--cpus", "0"],
                    ["--device", "cpu"], ["-d", "cpu:0"]):
        assert scored(*options) == want, options


def test_truncation_is_noted_and_not_in_the_results(run, one):
    long = "wing " * 3000
    result = run("rank", "-m", one, "--json", "heat", input=f"short\n{long}\n{long}\n")
    assert "2 of 3 pairs were truncated to 1024 tokens; first: index 1, line 2" in result.error
    assert len(result.lines()) == 3
    assert run("rank", "-m", one, "--json", "--quiet", "heat", "a", long).error == ""
    one_pair = run("rank", "-m", one, "heat", "a", long)
    assert "1 of 2 pairs was truncated" in one_pair.error and "first: index 1\n" in one_pair.error


def test_max_length_changes_what_is_read(run, one):
    documents = ["wing " * 20 + "heat", "wing " * 20 + "plate"]
    full, cut = (run("rank", "-m", one, "--json", *more, "q", *documents) for more in ([], ["--max-length", "16"]))
    assert len({item["score"] for item in full.lines()}) == 2
    assert len({item["score"] for item in cut.lines()}) == 1 and "2 of 2 pairs were truncated to 16 tokens" in cut.error


def test_utf8_replace_reads_as_python_does(run, one):
    generator = random.Random(1)
    pieces = [b"wing", b" ", b"\xff", b"\xe2\x82", b"\xe2\x82\xac", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xc0\xaf",
              b"\xf4\x90\x80\x80", "😀é".encode(), b"\x00"]
    lines = [b"".join(generator.choices(pieces, k=8)) for _ in range(200)]
    found = run("rank", "-m", one, "--json", "--utf8", "replace", "q", input=b"\n".join(lines)).lines()
    want = [line.decode("utf-8", "replace") for line in lines]
    assert {item["index"]: item["text"] for item in found} == dict(enumerate(want))
    arguments = run("rank", "-m", one, "--json", "--utf8", "replace", b"q\xff", b"a\xe2\x82b").lines()
    assert arguments[0]["text"] == "a\ufffdb"


# ---- runs

def read_run(text):
    run = {}
    for line in text.splitlines():
        query, q0, document, rank, score, tag = line.split(" ")
        assert q0 == "Q0"
        run.setdefault(query, []).append((document, int(rank), float(score), tag))
    return run


def run_options(ties):
    return ["--run", ties / "run.trec", "--corpus", ties / "corpus.jsonl", "--queries", ties / "queries.jsonl"]


def test_run_in_run_out(run, one, ties, tmp_path):
    out = tmp_path / "out.trec"
    result = run("rank", "-m", one, *run_options(ties), "--output", out, "--tag", "mine")
    assert result.out == ""
    before, after = read_run((ties / "run.trec").read_text()), read_run(out.read_text())
    assert list(after) == list(before)
    for query, entries in after.items():
        assert {entry[0] for entry in entries} == {entry[0] for entry in before[query]}
        assert [entry[1] for entry in entries] == list(range(1, len(entries) + 1))
        keys = [(entry[2], entry[0].encode()) for entry in entries]
        assert keys == sorted(keys, reverse=True)
        assert {entry[3] for entry in entries} == {"mine"}


def test_run_scores_are_those_of_rank(run, one, ties, tmp_path):
    texts = {item["_id"]: item["text"] for item in map(json.loads, (ties / "corpus.jsonl").read_text().splitlines())}
    queries = {item["_id"]: item["text"] for item in map(json.loads, (ties / "queries.jsonl").read_text().splitlines())}
    after = read_run(run("rank", "-m", one, *run_options(ties)).out)
    entries = after["graded0"]
    found = run("rank", "-m", one, "--json", queries["graded0"], *[texts[entry[0]] for entry in entries]).lines()
    assert {item["index"]: item["score"] for item in found} == {i: entry[2] for i, entry in enumerate(entries)}


def test_run_keeps_the_top(run, one, ties):
    # Of the run's equal scores those with the higher id come first, as for trec_eval.
    before = read_run((ties / "run.trec").read_text())
    after = read_run(run("rank", "-m", one, *run_options(ties), "--top", "7").out)
    for query, entries in after.items():
        ordered = sorted(before[query], key=lambda entry: (entry[2], entry[0].encode()), reverse=True)
        if not query.startswith("float32"):
            assert {entry[0] for entry in entries} == {entry[0] for entry in ordered[:7]}
    everything = run("rank", "-m", one, *run_options(ties), "-n", "0").out
    assert len(everything.splitlines()) == len((ties / "run.trec").read_text().splitlines())


def test_run_as_json(run, one, ties):
    lines = run("rank", "-m", one, *run_options(ties), "--json").lines()
    plain = read_run(run("rank", "-m", one, *run_options(ties)).out)
    assert [list(line) for line in lines[:1]] == [["query", "document", "rank", "score"]]
    flat = [(query, *entry[:3]) for query, entries in plain.items() for entry in entries]
    assert [(line["query"], line["document"], line["rank"], line["score"]) for line in lines] == flat


def test_run_truncation_names_query_and_document(run, one, tmp_path):
    (tmp_path / "run").write_text("q1 Q0 short 1 2 x\nq1 Q0 long 2 1 x\n")
    documents = [{"_id": "long", "text": "wing " * 2000}, {"_id": "short", "text": "a"}]
    (tmp_path / "corpus").write_text(as_lines(map(json.dumps, documents)))
    (tmp_path / "queries.tsv").write_text("q1\theat\n")
    result = run("rank", "-m", one, "-r", tmp_path / "run", "-c", tmp_path / "corpus", "-q", tmp_path / "queries.tsv")
    assert "1 of 2 pairs was truncated to 1024 tokens; first: query q1, document long" in result.error


@pytest.mark.parametrize("options, part", [
    (["--run", "r"], "--corpus and --queries"),
    (["--run", "r", "--corpus", "c", "--queries", "q", "query"], "give no others"),
    (["--run", "r", "--corpus", "c", "--queries", "q", "--top-k", "3"], "--top-k does not go"),
    (["--run", "r", "--corpus", "c", "--queries", "q", "--format", "tsv"], "--format does not go"),
    (["q", "--corpus", "c"], "go with --run"), (["q", "d", "--documents", "f"], "given twice"), ([], "needs a query"),
    (["q", "--logits", "--activation", "tanh"], "one of them"), (["q", "--quiet", "--verbose"], "contradict"),
    (["q", "--tag", "a b", "--run", "r"], "one word"), (["q", "--top-k", "-1"], "whole number"),
    (["q", "--top-k", "99999999999999999999"], "whole number"), (["q", "--top-k", "3x"], "whole number"),
    (["q", "--top-k", ""], "whole number"),
    (["q", "--format", "xml"], "auto, lines, tsv, jsonl"), (["q", "--color", "red"], "auto, always, never"),
    (["q", "--activation", "gelu"], "identity, sigmoid"), (["q", "--precision", "int4"], "bfloat16"),
    (["q", "--cpus", "0-"], "list of CPUs"),
    (["q", "--utf8", "x"], "strict, replace"), (["q", "--nonsense"], "--nonsense"), (["q", "-Z"], "-Z"),
    (["q", "--top-k"], "needs a value"), (["q", "--json=1"], "takes no value"),
    (["q", "--qrels", "f"], "--qrels is an option of other commands"), (["q", "-j", "f"], "-j is an option of other"),
    (["q", "--modle", "m"], "is it --model?"), (["q", "--topk=3"], "is it --top-k?"),
    (["q", "--josn"], "is it --json?"), (["q", "--to", "3"], "any of --top-k, --top: write more"),
    (["q", "--=3"], "there is no option --;"), (["q", "--" + 200 * "t"], "there is no option --ttt")])
def test_wrong_command_lines(run, options, part):
    result = run("rank", *options, expect=2)
    assert part in result.error and result.out == ""


def test_of_an_option_given_twice_the_last_counts(run, one):
    assert len(run("rank", "-m", one, "-k", "1", "--json", "q", *DOCUMENTS, "--top-k", "3").lines()) == 3


def test_texts_that_begin_with_a_dash(run, one):
    found = run("rank", "-m", one, "--json", "--", "-q", "--json").lines()
    assert found[0]["text"] == "--json"


def test_models_by_name(run, tmp_path, one):
    os.symlink(one, tmp_path / "my-model")
    want = run("rank", "--model", one, "--json", "q", "d").out
    environment = {"CROSSENC_MODELS": f"/nonexistent:{tmp_path}"}
    assert run("rank", "--model", "my-model", "--json", "q", "d", env=environment).out == want
    assert run("rank", "--json", "q", "d", env={"CROSSENC_DEFAULT_MODEL": os.fspath(one)}).out == want
    environment = {"CROSSENC_DEFAULT_MODEL": os.fspath(one)}
    beside = run("rank", "--model", "sigmoid-gelu-new", "--json", "q", "d", env=environment)
    assert beside.out != want
    unknown = run("rank", "--model", "nothing-there", "q", "d", expect=3)
    assert "nothing-there" in unknown.error and "'crossenc pull'" in unknown.error
    assert "no-such/folder" in run("rank", "--model", "no-such/folder", "q", "d", expect=3).error
    run("rank", "q", "d", env={"CROSSENC_DEFAULT_MODEL": "/nonexistent"}, expect=3)
