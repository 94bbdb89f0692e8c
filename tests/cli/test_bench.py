"""crossenc bench: what it measures is whole and plausible, in every form; how fast anything is, no test can say."""
import json
import os
import re
import subprocess
import xml.etree.ElementTree

import pytest

from conftest import COMMAND, ENVIRONMENT

SVG = "{http://www.w3.org/2000/svg}"
KEYS = ["crossenc", "time", "system", "cpus", "seconds", "device", "model", "throughput", "latency", "cold_start",
        "memory"]


def bench(run, model, *arguments, **options):
    return run("bench", "-m", model, "--seconds", "1", *arguments, **options)


def texts_of(svg):
    """The texts of a picture that is well-formed, and whose every number is finite."""
    root = xml.etree.ElementTree.fromstring(svg)
    assert root.tag == SVG + "svg" and root.get("width") and root.get("height")
    width, height = float(root.get("width")), float(root.get("height"))
    for element in root.iter():
        for name in ("x", "y", "x1", "y1", "x2", "y2", "width", "height"):
            value = element.get(name)
            assert value is None or 0 <= float(value) <= max(width, height), (element.tag, element.attrib)
    return [element.text for element in root.iter(SVG + "text")]


@pytest.fixture(scope="module", name="whole")
def measure_all(tmp_path_factory):
    """One run of all parts on the default model's small stand-in: its JSON and its picture."""
    from conftest import MODELS, run_command
    plot = tmp_path_factory.mktemp("bench") / "speed.svg"
    result = run_command("bench", "-m", MODELS / "long-1024", "--quick", "--threads", "1", "--json", "--plot", plot)
    assert result.error == ""
    return result.json(), plot.read_text()


def test_json_is_whole(whole):
    found = whole[0]
    assert list(found) == KEYS and found["seconds"] == 5
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["time"]) and found["cpus"] >= 1
    device, model = found["device"], found["model"]
    assert device["id"] == "cpu" and device["precision"] == "float32" and device["threads"] == 1
    assert device["peak_operations_per_second"] > 1e6 and device["memory_bytes_per_second"] > 1e6
    assert model["layers"] == 2 and model["weight_bytes"] > 0 and model["path"].endswith("long-1024")


def test_texts_of_a_bi_encoder(run, tmp_path):
    from conftest import MODELS
    folder, plot = MODELS.parent / "encoders" / "mean", tmp_path / "speed.svg"
    found = bench(run, folder, "--threads", "1", "--json", "--plot", plot).json()
    assert list(found) == KEYS and found["model"]["kind"] == "bi-encoder"
    row, model = found["throughput"][0], found["model"]
    assert row["tokens_per_text"] == 16 and row["texts_per_second"] == pytest.approx(row["texts"] / row["seconds"])
    # Mean pooling reads all tokens: every layer is computed whole.
    hidden, wide = model["hidden_size"], model["intermediate_size"]
    layer = 16 * 2 * (4 * hidden * hidden + 2 * hidden * wide) + 4 * 16 * 16 * hidden
    assert row["operations_per_second"] == pytest.approx(row["texts_per_second"] * model["layers"] * layer, rel=1e-6)
    assert [row["texts"] for row in found["latency"]] == [1, 10, 100, 1000] and found["cold_start"]["starts"] >= 3
    assert "tokens a text" in texts_of(plot.read_text()) and "pair" not in plot.read_text()
    table = bench(run, folder, "--only", "latency").out
    assert "of texts in one call" in table and "documents" not in table


def test_throughput(whole):
    found, rows = whole[0], whole[0]["throughput"]
    lengths = [(row["shortest"], row["longest"]) for row in rows]
    assert lengths == [(n, n) for n in (16, 32, 64, 128, 256, 512)] + [(16, 512)]
    for row in rows:
        assert row["rounds"] >= 1 and 0 < row["best_seconds"] <= row["seconds"]
        assert row["pairs_per_second"] == pytest.approx(row["pairs"] / row["seconds"], rel=1e-6)
        assert row["tokens_per_second"] == pytest.approx(row["pairs_per_second"] * row["tokens_per_pair"], rel=1e-6)
        assert row["share_of_peak"] == pytest.approx(
            row["operations_per_second"] / row["peak_operations_per_second"], abs=1e-4)
        assert row["peak_operations_per_second"] <= found["device"]["peak_operations_per_second"] * 1.000001
        if row["shortest"] == row["longest"]:
            assert row["tokens_per_pair"] == row["longest"], "the texts have exactly as many tokens as they say"
    assert 100 < rows[-1]["tokens_per_pair"] < 180


def test_operations_are_those_of_the_paper(whole):
    """Counted once more, term by term, for 2 layers of which the last is needed for one token."""
    model, row = whole[0]["model"], whole[0]["throughput"][3]
    hidden, wide, tokens = model["hidden_size"], model["intermediate_size"], 128
    products = {"queries": hidden * hidden, "keys": hidden * hidden, "values": hidden * hidden,
                "output": hidden * hidden, "up": hidden * wide, "down": wide * hidden}
    first = sum(2 * tokens * size for size in products.values()) + 2 * (2 * tokens * tokens * hidden)
    last = sum(2 * (tokens if name in ("keys", "values") else 1) * size for name, size in products.items())
    last += 2 * (2 * tokens * hidden)
    assert row["operations_per_second"] * row["seconds"] == pytest.approx(row["pairs"] * (first + last), rel=1e-6)


def test_latency(whole):
    rows = whole[0]["latency"]
    assert [row["documents"] for row in rows] == [1, 10, 100, 1000]
    for row in rows:
        count = row["repetitions"]
        if count == 0:
            assert row["p50_ms"] is None
            continue
        assert row["tokens_per_pair"] == 128 and 0 < row["best_ms"] <= row["p50_ms"] <= row["worst_ms"]
        assert (row["p95_ms"] is not None) == (count >= 20) and (row["p99_ms"] is not None) == (count >= 100)
        known = [row[key] for key in ("p50_ms", "p95_ms", "p99_ms", "worst_ms") if row[key] is not None]
        assert known == sorted(known)
    assert rows[0]["repetitions"] >= 1


def test_cold_start_and_memory(whole):
    start, memory = whole[0]["cold_start"], whole[0]["memory"]
    assert 3 <= start["starts"] <= 25 and 0 < start["best_ms"] <= start["median_ms"] <= start["worst_ms"]
    assert 0 < memory["resident_at_start"] <= memory["resident_after_loading"] <= memory["resident_peak"]
    assert memory["weight_bytes"] == whole[0]["model"]["weight_bytes"] and memory["workspace_bytes"] > 0


def test_memory_is_not_that_of_the_measurement(whole):
    """The bandwidth is read from 256 MiB, which are no part of what the model needs."""
    assert whole[0]["memory"]["resident_peak"] < 200 << 20 or os.environ.get("CE_SANITIZE")


def test_picture(whole):
    found, texts = whole[0], texts_of(whole[1])
    assert texts[0] == "long-1024" and "Throughput" in texts and "Latency" in texts
    for label in ("16", "32", "64", "128", "256", "512", "16–512", "1", "10", "100", "1,000", "tokens a pair"):
        assert label in texts, label
    assert "documents of a query, 128 tokens a pair" in texts
    assert texts[-1].startswith("peak ") and "first score" in texts[-1] and "resident" in texts[-1]
    assert sum(text.endswith((" ms", " s")) for text in texts) >= 4
    assert found["crossenc"] in texts[1] and "float32, 1 thread;" in texts[1]


def test_tables(run, one):
    text = bench(run, one).out
    for part in ("Model\n", "Device\n", "Throughput\n", "Latency of a query", "Cold start\n", "Memory\n"):
        assert part in text, part
    assert "16 to 512, mixed" in text and "times the weights" in text and "\033" not in text
    rows = [line for line in text.splitlines() if re.match(r" +\d+ +[\d.,]+ +[\d.,]+ +[\d.,]+ +\d+ %", line)]
    assert len(rows) == 6 and len({len(row) for row in rows}) == 1, "columns stand below each other"
    assert "\033[1mThroughput" in bench(run, one, "--only", "throughput", "--color", "always").out


def test_integers_have_no_floating_point(run, one, tmp_path):
    for precision, unit, other in (("int8", "GOP/s", "GFLOP/s"), ("bfloat16", "GFLOP/s", "GOP/s")):
        arguments = ("--only", "throughput", "--precision", precision, "--plot", tmp_path / "a.svg")
        text = bench(run, one, *arguments).out + " ".join(texts_of((tmp_path / "a.svg").read_text()))
        assert text.count(unit) >= 3 and other not in text


@pytest.mark.parametrize("part, key", [("throughput", "throughput"), ("latency", "latency"),
                                       ("cold-start", "cold_start"), ("memory", "memory")])
def test_one_part(run, one, part, key):
    found = bench(run, one, "--only", part, "--json").json()
    assert list(found) == KEYS
    assert bool(found["throughput"]) == (key == "throughput") and bool(found["latency"]) == (key == "latency")
    assert (found["cold_start"]["median_ms"] is not None) == (key == "cold_start")
    assert (found["memory"]["resident_peak"] is not None) == (key == "memory")
    assert found["device"]["threads"] >= 1
    heads = re.findall(r"^(\S+(?: \S+)?)", bench(run, one, "--only", part).out, flags=re.MULTILINE)
    assert [head for head in heads if not head.startswith(" ")][2].lower().startswith(part.split("-")[0])


@pytest.mark.parametrize("part, absent", [("throughput", "Latency"), ("latency", "Throughput")])
def test_picture_of_one_part(run, one, tmp_path, part, absent):
    bench(run, one, "--only", part, "--plot", tmp_path / "a.svg")
    texts = texts_of((tmp_path / "a.svg").read_text())
    assert absent not in texts and part.capitalize() in texts


def test_lengths_that_the_model_takes(run, one, three):
    """As far as the model goes: 64 positions; and shorter still, where --max-length is below all lengths."""
    rows = bench(run, three, "--only", "throughput", "--json").json()["throughput"]
    assert [(row["shortest"], row["longest"]) for row in rows] == [(16, 16), (32, 32), (64, 64), (16, 64)]
    for limit, want in ((16, [(16, 16)]), (8, [(8, 8)]), (3, [(3, 3)]), (20, [(16, 16), (16, 20)])):
        found = bench(run, one, "--json", "--max-length", str(limit), "--only", "throughput").json()
        assert [(row["shortest"], row["longest"]) for row in found["throughput"]] == want
        assert found["throughput"][0]["tokens_per_pair"] == want[0][0]
    found = bench(run, one, "--json", "--max-length", "8", "--only", "latency").json()["latency"]
    assert found[0]["tokens_per_pair"] == 8


@pytest.mark.skipif(bool(os.environ.get("CE_SANITIZE")), reason="minutes of arithmetic under a sanitizer")
def test_exact_lengths_with_a_real_vocabulary(run, real):
    found = bench(run, real, "--only", "throughput", "--json").json()
    assert [row["tokens_per_pair"] for row in found["throughput"][:-1]] == [16, 32, 64, 128, 256, 512]
    assert all(0 < row["share_of_peak"] < 1.2 for row in found["throughput"])


def test_what_takes_too_long_is_left_out(run, real, tmp_path):
    """A thousand documents of 128 tokens take the default model longer than a second on two cores of today."""
    result = run("bench", "-m", real, "-t", "1", "--seconds", "1", "--only", "latency", "--plot", tmp_path / "a.svg")
    assert re.search(r"^ +1,000   left out: takes about [\d]+ s, more than --seconds$", result.out, flags=re.MULTILINE)
    assert "left out" in texts_of((tmp_path / "a.svg").read_text())


def test_names_that_a_picture_must_not_believe(run, one, tmp_path):
    folder = tmp_path / ("a<b>&\"'\x01\udcff" + "é" * 40)
    os.symlink(one, folder)
    bench(run, folder, "--only", "latency", "--plot", tmp_path / "a.svg")
    title = texts_of((tmp_path / "a.svg").read_text())[0]
    assert title.startswith("a<b>&\"'??é") and title.endswith("…") and len(title) < 60


@pytest.mark.parametrize("options, part", [
    (["model"], "--model model"), (["--only", "nothing"], "cold-start"), (["--seconds", "-1"], "whole number"),
    (["--seconds", "1.5"], "whole number"), (["--seconds"], "needs a value"), (["--plot"], "needs a value"),
    (["--plot", "-"], "needs the name of a file"), (["--only", "memory", "--plot", "a.svg"], "asks for neither"),
    (["--only", "cold-start", "--plot", "a.svg"], "asks for neither"), (["--logits"], "of other commands"),
    (["--precision", "float8"], "float32")])
def test_bad_options(run, one, options, part):
    assert part in run("bench", "-m", one, *options, expect=2).error


def test_bad_places(run, one, tmp_path):
    assert "\"gpu\"" in run("bench", "-m", one, "--device", "gpu", expect=4).error
    assert "cuda" in run("bench", "-m", one, "--device", "cuda:7", expect=4).error
    assert "no model" in run("bench", "-m", tmp_path / "missing", expect=3).error


def test_a_plot_that_cannot_be_written(run, one, tmp_path):
    """It is said before anything is measured, and what was there stays."""
    missing = tmp_path / "no-such-folder" / "a.svg"
    result = run("bench", "-m", one, "--plot", missing, expect=6)
    assert "no-such-folder" in result.error and result.out == ""
    (tmp_path / "a.svg").write_text("before")
    run("bench", "-m", tmp_path / "missing", "--plot", tmp_path / "a.svg", expect=3)
    assert (tmp_path / "a.svg").read_text() == "before" and os.listdir(tmp_path) == ["a.svg"]
    full = bench(run, one, "--only", "latency", "--plot", "/dev/full", expect=6)
    assert "No space left" in full.error


def test_a_failing_cold_start_is_said(one, tmp_path):
    """A process that cannot load the model ends the run with its own status; the folder goes away in between."""
    folder = tmp_path / "model"
    os.symlink(one, folder)
    with subprocess.Popen([COMMAND, "bench", "-m", folder, "--seconds", "2", "-v"], env=ENVIRONMENT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for line in process.stderr:
            if "placed on cpu" in line:
                break
        folder.unlink()
        out, error = process.communicate(timeout=300)
    assert process.returncode == 3 and out == "" and "cold start: 'crossenc predict' ended with status 3" in error


def test_verbose_and_quiet(run, one):
    assert "placed on cpu" in bench(run, one, "--only", "memory", "--verbose").error
    assert bench(run, one, "--only", "memory", "--quiet").error == ""
    assert json.loads(bench(run, one, "--only", "memory", "--json", "--verbose").out)
