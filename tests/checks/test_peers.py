"""What bench/peers makes of numbers, without any peer installed: agreement of scores, the table, the pairs."""
import os
import pathlib
import statistics
import sys

import pytest

SOURCE = pathlib.Path(os.environ["CE_SOURCE"])
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "bench/peers"))
import catalogue  # noqa: E402
import table  # noqa: E402
import workloads  # noqa: E402

REFERENCE = [9.5, -11.25, 0.5, 3.0, -4.0]


class OneTokenAWord:
    def encode(self, text, add_special_tokens):
        assert not add_special_tokens
        return type("Encoding", (), {"ids": text.split()})


def shifted(by):
    return [score + by for score in REFERENCE]


@pytest.mark.parametrize("precision, scores, agree", [
    ("float32", REFERENCE, True), ("float32", shifted(1e-4), True), ("float32", shifted(2e-4), False),
    ("float32", [9.501, *REFERENCE[1:]], True), ("float32", [9.502, *REFERENCE[1:]], False),
    ("bfloat16", shifted(0.29), True), ("bfloat16", shifted(0.31), False),
    ("int8", shifted(2), True), ("int8", REFERENCE[::-1], False), ("int8", [1.0] * 5, False),
    ("float32", REFERENCE[:4], False), ("int8", [], False), ("int8", [float("nan"), *REFERENCE[1:]], False),
    ("bfloat16", [float("inf"), *REFERENCE[1:]], False)])
def test_agreement(precision, scores, agree):
    assert (table.disagreement(precision, scores, REFERENCE) is None) == agree


def test_a_peer_may_have_a_bound_of_its_own():
    off = result("peer", [1, 1], scores=shifted(4e-3))
    assert table.row(off, REFERENCE)["void"] and not table.row({**off, "float32_bound": 5e-3}, REFERENCE)["void"]
    assert table.disagreement("bfloat16", shifted(0.31), REFERENCE, 5e-3)
    bounds = {key: peer.float32_bound for key, peer in catalogue.PEERS.items()}
    assert bounds.pop("llamacpp") == 5e-3 and set(bounds.values()) == {table.FLOAT32_BOUND}


def test_rank_correlation_with_equal_values():
    assert table.ranks([3, 1, 3, 2]) == [2.5, 0, 2.5, 1]
    assert table.spearman([1, 2, 3], [10, 20, 15]) == pytest.approx(0.5)


@pytest.mark.parametrize("share, value", [(0, 1), (0.5, 2.5), (0.95, 3.85), (1, 4)])
def test_quantiles(share, value):
    assert table.quantile([4, 1, 3, 2], share) == pytest.approx(value)


def result(name, seconds, ours=False, precision="float32", **more):
    return {"name": name, "precision": precision, "batch": "b", "setting": "s", "ours": ours, "seconds": [9, *seconds],
            "cpu_seconds": [2 * t for t in seconds], "calls": [], "scores": REFERENCE, "memory_mib": 100.4,
            "float32_bound": table.FLOAT32_BOUND, **more}


def test_void_rows_are_no_result():
    wrong = result("wrong", [0.1, 0.1], scores=shifted(1))
    absent = {**result("absent", []), "failure": "no such precision"}
    rows = [table.row(r, REFERENCE) for r in (result("crossenc", [1, 1], True), result("slow", [4, 4]),
                                              result("peer", [2, 2]), wrong, absent)]
    assert table.compare(rows, False) == [("float32", "peer, b", 2.0)]
    assert [row.get("time_ratio") for row in rows] == [1, 4, 2, None, None]
    lines = table.render(rows, False)
    assert "void: deviates by" in lines[4] and "void: no such precision" in lines[5]
    assert len({line.index("deviation") for line in lines[:1]} | {line.rindex(" 0.0e+00") for line in lines[1:4]}) == 2


def test_precisions_are_compared_with_themselves():
    rows = [table.row(r, REFERENCE) for r in (
        result("crossenc", [2, 2], True), result("peer", [4, 4]),
        result("crossenc", [1, 1], True, "int8"), result("peer", [3, 3], precision="int8"),
        result("peer", [3, 3], precision="bfloat16"))]
    assert table.compare(rows, False) == [("float32", "peer, b", 2.0), ("int8", "peer, b", 3.0)]
    assert "time_ratio" not in rows[4]


def test_latency_compares_the_median_call():
    rows = [table.row(r, REFERENCE) for r in (
        result("crossenc", [5, 5], True, calls=[0.010, 0.011, 0.5]), result("peer", [1, 1], calls=[0.022] * 3))]
    assert table.compare(rows, True) == [("float32", "peer, b", pytest.approx(2))]
    assert "11.00" in table.render(rows, True)[1]


def test_mixed_lengths_are_as_told():
    lengths = workloads.mixed_lengths(200)
    assert (min(lengths), max(lengths)) == (16, 512)
    assert statistics.mean(lengths) == pytest.approx(128, abs=3)
    assert lengths != sorted(lengths) and lengths == workloads.mixed_lengths(200)


@pytest.mark.parametrize("work", ["mixed", "single"])
def test_pairs_are_cut_to_the_token(work):
    pairs = workloads.make(work, SOURCE / "data/cranfield-mini", 20, OneTokenAWord())
    sizes = [3 + len(f"{query} {document}".split()) for query, document in pairs]
    assert sizes == (workloads.mixed_lengths(20) if work == "mixed" else [128] * 20)


def test_pairs_survive_their_file(tmp_path):
    pairs = workloads.make("cranfield", SOURCE / "data/cranfield-mini", 7, None)
    workloads.write(pairs, tmp_path / "pairs.tsv")
    assert len(set(pairs)) == 7 and workloads.read(tmp_path / "pairs.tsv") == pairs


def test_every_peer_has_a_program():
    for key, peer in catalogue.PEERS.items():
        assert (SOURCE / "bench/peers" / peer.script).exists()
        for precision in peer.settings:
            assert precision in catalogue.PRECISIONS
            for work in ("scifact", "single"):
                assert all(catalogue.settings(key, precision, work, batch) for batch in catalogue.batches(key, work))


def test_types_of_tokens_are_in_the_table_of_words_for_llama_cpp():
    numpy = pytest.importorskip("numpy")
    import llamacpp_model

    folder = SOURCE / "tests/data/golden/models/three-labels"
    made = llamacpp_model.tensors(folder, "rank")
    words, kinds = made["token_embd.weight"], made["token_types.weight"]
    half = len(words) // 2
    assert numpy.allclose(words[half:] + kinds[0], words[:half] + kinds[1], atol=1e-6)
    assert {"blk.0.attn_q.weight", "blk.0.layer_output_norm.bias", "cls.weight", "cls.output.bias"} <= set(made)
    bare = set(made) - set(llamacpp_model.tensors(folder, "mean"))
    assert bare == {"cls.weight", "cls.bias", "cls.output.weight", "cls.output.bias"}
