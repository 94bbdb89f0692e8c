"""crossenc eval: trec_eval's numbers, and which queries count."""
import json

import pytest

from conftest import SOURCE

KEYS = ["ndcg@10", "mrr@10", "map", "recall@10", "recall@100"]


def options(folder, qrels="qrels.txt", run="run.trec"):
    return ["--corpus", folder / "corpus.jsonl", "--queries", folder / "queries.jsonl", "--qrels", folder / qrels,
            "--run", folder / run]


@pytest.mark.parametrize("k", [1, 3, 5, 10, 20, 100])
def test_first_stage_is_measured_as_by_trec_eval(run, one, ties, k):
    expected = json.loads((ties / "expected.json").read_text())
    found = run("eval", "-m", one, *options(ties), "--json", "--k", str(k)).json()
    assert found["queries"] == expected["queries"]
    first = found["first_stage"]
    for name in (f"ndcg@{k}", f"mrr@{k}", f"recall@{k}", "map", "recall@100"):
        assert first[name] == pytest.approx(expected[name], abs=1e-9), name


def test_a_saved_run_measures_the_same(run, one, ties, tmp_path):
    """The re-ranked run as a first stage must have the numbers that it was given when it was made."""
    saved = tmp_path / "saved.trec"
    found = run("eval", "-m", one, *options(ties), "--json", "--save-run", saved, "--tag", "t").json()
    again = run("eval", "-m", one, *options(ties, run=saved), "--json").json()
    assert {key: again["first_stage"][key] for key in KEYS} == {key: found[key] for key in KEYS}
    assert {key: again[key] for key in KEYS} == {key: found[key] for key in KEYS}
    assert all(line.endswith(" t") for line in saved.read_text().splitlines())


def test_json_form(run, one, ties):
    found = run("eval", "-m", one, *options(ties), "--json").json()
    assert list(found) == KEYS + ["first_stage", "queries", "pairs", "seconds", "pairs_per_second"]
    assert list(found["first_stage"]) == KEYS
    assert found["pairs"] == 1047 and found["seconds"] > 0 and found["pairs_per_second"] > 0
    everything = run("eval", "-m", one, *options(ties), "--json", "--top", "0").json()
    assert "recall" in everything and "recall@100" not in everything and everything["map"] == found["map"]
    same = run("eval", "-m", one, *options(ties), "--json", "--top", "10").json()
    assert list(same) == KEYS[:4] + ["first_stage", "queries", "pairs", "seconds", "pairs_per_second"]
    assert same["recall@10"] == same["first_stage"]["recall@10"]


def test_table(run, one, ties):
    result = run("eval", "-m", one, *options(ties))
    head, first, reranked, change, empty, last = result.out.splitlines()
    assert head.split() == ["nDCG@10", "MRR@10", "MAP", "recall@10", "recall@100"] and empty == ""
    found = run("eval", "-m", one, *options(ties), "--json").json()
    assert first.split()[2:] == [f"{found['first_stage'][key]:.4f}" for key in KEYS]
    assert reranked.split()[1:] == [f"{found[key]:.4f}" for key in KEYS]
    assert change.split()[0] == "change" and all(value[0] in "+-" for value in change.split()[1:])
    assert last.startswith("30 queries, 1,047 pairs in ") and "\033" not in result.out
    lines = run("eval", "-m", one, *options(ties), "--top", "10").out.splitlines()
    assert lines[0].split() == ["nDCG@10", "MRR@10", "MAP", "recall@10"] and len(lines[2].split()) == 5


def test_max_queries(run, one, ties):
    found = run("eval", "-m", one, *options(ties), "--json", "--max-queries", "2").json()
    assert found["queries"] == 2 and found["pairs"] < 1047


def test_beir_and_trec_judgements_are_the_same(run, one, ties, tmp_path):
    rows = [line.split() for line in (ties / "qrels.txt").read_text().splitlines()]
    lines = "".join(f"{q}\t{d}\t{r}\r\n" for q, _, d, r in rows)
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\r\n" + lines + "\n")
    want = run("eval", "-m", one, *options(ties), "--json").json()
    found = run("eval", "-m", one, *options(ties, qrels=tmp_path / "qrels.tsv"), "--json").json()
    assert {key: found[key] for key in KEYS + ["first_stage"]} == {key: want[key] for key in KEYS + ["first_stage"]}


def test_real_collection_gets_better(run, real):
    folder = SOURCE / "data" / "cranfield-mini"
    if not folder.exists():
        pytest.skip(f"{folder} is not there")
    found = run("eval", "-m", real, *options(folder, "qrels.tsv", "bm25.trec"), "--json", "--max-queries", "6", "--top",
                "10", "--max-length", "128").json()
    assert found["queries"] == 6 and found["pairs"] == 60
    assert found["mrr@10"] > 0.4 and found["recall@10"] == found["first_stage"]["recall@10"]


@pytest.fixture
def small(tmp_path):
    """A collection whose files a test may spoil."""
    (tmp_path / "corpus.jsonl").write_text('{"_id": "a", "text": "wing"}\n{"_id": "b", "text": "heat"}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "1", "text": "flow"}\n')
    (tmp_path / "qrels.txt").write_text("1 0 a 1\n")
    (tmp_path / "run.trec").write_text("1 Q0 a 1 2.0 x\n1 Q0 b 2 1.0 x\n")
    return tmp_path


@pytest.mark.parametrize("file, text, parts", [
    ("run.trec", "1 Q0 a 1 2.0\n", ["run.trec, line 1", "5 columns", "expected 6"]),
    ("run.trec", "1 Q0 a 1 2.0 x\n\n1 Q0 b 2 high x\n", ["run.trec, line 3", '"high"']),
    ("run.trec", "1 Q0 a 1 nan x\n", ["line 1", "finite"]),
    ("run.trec", "1 Q0 a 1 1e999 x\n", ["line 1", "finite"]),
    ("run.trec", "1 Q0 a 1 2.0 x\n1 Q0 b 2 1.0 x\n1 Q0 a 3 0.5 x\n", ["line 3", '"1"', '"a"', "line 1"]),
    ("run.trec", "1 Q0 c 1 2.0 x\n", ["line 1", 'document "c"', 'query "1"', "corpus.jsonl"]),
    ("run.trec", "", ["no query", "judgements"]),
    ("run.trec", "2 Q0 a 1 2.0 x\n", ["no query"]),
    ("qrels.txt", "1 a\n", ["qrels.txt, line 1", "2 columns"]),
    ("qrels.txt", "1 0 a yes\n", ["line 1", '"yes"']),
    ("qrels.txt", "1 0 a 1\n1 0 a 0\n", ["line 2", '"a"', '"1"']),
    ("qrels.txt", "a b c\n1 b c\n", ["line 2", '"c"']),
    ("qrels.txt", "1 0 a 99999999999\n", ["line 1", "whole number"]),
    ("queries.jsonl", '{"_id": "2", "text": "flow"}\n', ["run.trec, line 1", 'query "1"', "queries.jsonl"]),
    ("queries.jsonl", '{"_id": "1"}\n', ["queries.jsonl, line 1", '"text"']),
    ("queries.jsonl", '{"text": "x"}\n', ["queries.jsonl, line 1", "no id"]),
    ("queries.jsonl", '{"_id": "1", "text": "x"}\n{"_id": "1", "text": "y"}\n', ["line 2", "was there before"]),
    ("corpus.jsonl", '{"_id": "a", "text": "x"}\nnonsense\n', ["corpus.jsonl, line 2", "not valid JSON"]),
    ("corpus.jsonl", '{"_id": "a", "text": "x"}\n{"_id": "a", "text": "y"}\n', ["line 2", '"a"']),
    ("corpus.jsonl", '{"_id": [1], "text": "x"}\n', ["line 1", "id must be"]),
    ("corpus.jsonl", '{"_id": "a", "title": 7, "text": "x"}\n', ["line 1", '"title"']),
    ("corpus.jsonl", "[1]\n", ["line 1", "expected a string or an object"])])
def test_spoiled_files_are_named_with_their_line(run, one, small, file, text, parts):
    (small / file).write_text(text)
    result = run("eval", "-m", one, *options(small), expect=5)
    assert result.out == "" and all(part in result.error for part in parts), result.error


def test_documents_below_the_top_need_no_text(run, one, small):
    (small / "run.trec").write_text("1 Q0 a 1 2.0 x\n1 Q0 gone 2 1.0 x\n")
    assert '"gone"' in run("eval", "-m", one, *options(small), expect=5).error
    run("eval", "-m", one, *options(small), "--top", "1")


def test_wrong_command_lines(run, one, small):
    for missing in ("--corpus", "--queries", "--qrels", "--run"):
        given = options(small)
        at = given.index(missing)
        assert "eval needs" in run("eval", "-m", one, *given[:at], *given[at + 2:], expect=2).error
    assert "options only" in run("eval", "-m", one, *options(small), "more", expect=2).error
    assert "1 or more" in run("eval", "-m", one, *options(small), "--k", "0", expect=2).error
    for name in ("corpus.jsonl", "queries.jsonl", "qrels.txt", "run.trec"):
        kept = (small / name).read_bytes()
        (small / name).unlink()
        assert name in run("eval", "-m", one, *options(small), expect=5).error
        (small / name).write_bytes(kept)


def test_eval_refuses_several_labels(run, three, small):
    assert "3 labels" in run("eval", "-m", three, *options(small), expect=3).error
