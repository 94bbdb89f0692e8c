"""predict and rank against the reference's recorded results: values, types, shapes, exceptions."""
import json
import subprocess
import sys

import pytest
from conftest import COMMAND, DATA, MODELS, SHARED, SOURCE

GOLDEN = json.loads((DATA / "python" / "calls.json").read_text(encoding="utf-8"))
ABSOLUTE, RELATIVE = 1e-4, 1e-4  # the bound of docs/numerics.md


def cases(kind):
    return [pytest.param(name, case, id=f"{name}-{case['arguments']}")
            for name, results in GOLDEN["models"].items() for case in results.get(kind, [])]


@pytest.fixture(scope="module", name="models")
def models_by_name():
    import crossenc
    return {name: crossenc.CrossEncoder(str(MODELS / name), device="cpu") for name in GOLDEN["models"]}


def call(method, arguments):
    import crossenc
    import numpy
    names = {"np": numpy, "method": method, "pairs": GOLDEN["pairs"], "pair": GOLDEN["pairs"][0],
             "query": GOLDEN["query"], "documents": GOLDEN["documents"],
             "activations": {name: getattr(crossenc, name)() for name in
                             ("Identity", "Sigmoid", "Tanh", "ReLU", "Softmax")}}
    return eval(f"method({arguments})", names)


def close(found, expected):
    import numpy
    return numpy.allclose(found, expected, rtol=RELATIVE, atol=ABSOLUTE)


@pytest.mark.parametrize("name, case", cases("predict"))
def test_predict(models, name, case):
    found = call(models[name].predict, case["arguments"])
    assert type(found).__name__ == case["type"]
    assert (str(found.dtype), list(found.shape)) == (case["dtype"], case["shape"])
    assert close(found, case["scores"])


@pytest.mark.parametrize("name, case", cases("rank"))
def test_rank(models, name, case):
    found = call(models[name].rank, case["arguments"])
    expected = case["ranking"]
    assert [list(row) for row in found] == [list(row) for row in expected]  # keys, in order
    assert [row["corpus_id"] for row in found] == [row["corpus_id"] for row in expected]
    assert [row.get("text") for row in found] == [row.get("text") for row in expected]
    assert all(type(row["score"]) is float for row in found)
    assert close([row["score"] for row in found], [row["score"] for row in expected])


@pytest.mark.parametrize("name, case", cases("raises"))
def test_what_the_reference_refuses_is_refused(models, name, case):
    reference = {"ValueError": ValueError, "TypeError": TypeError}[case["exception"]]
    with pytest.raises(reference):
        call(models[name].predict, case["arguments"])


@pytest.mark.parametrize("name", GOLDEN["models"])
def test_properties(models, name):
    expected = GOLDEN["models"][name]["properties"]
    model = models[name]
    assert model.num_labels == expected["num_labels"] == model.config.num_labels
    assert model.max_seq_length == expected["max_seq_length"]
    assert repr(model.activation_fn) == expected["activation_fn"]
    assert model.device == expected["device"]


def test_rank_refuses_several_labels(models):
    with pytest.raises(ValueError, match="only works for models with num_labels=1"):
        models["three-labels"].rank("q", ["a"])


def test_scores_are_the_commands_to_the_bit(package, one, pairs, tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps({"query": q, "document": d}) + "\n" for q, d in pairs), encoding="utf-8")
    done = subprocess.run([COMMAND, "predict", "--model", one, "--json", str(file)], check=True, text=True,
                          stdout=subprocess.PIPE)
    by_command = [json.loads(line)["score"] for line in done.stdout.splitlines()]
    import numpy
    scores = package.CrossEncoder(one).predict(pairs)
    assert scores.tolist() == numpy.array(by_command, numpy.float32).tolist()


def test_default_model_ranks(package):
    if not (SOURCE / "models" / "crossenc-small-en" / "model.safetensors").exists():
        pytest.skip("the default model is not there")
    with package.CrossEncoder() as model:
        ranking = model.rank("How many people live in Berlin?", ["New York City is famous for its museums.",
                                                                "Berlin has a population of 3.5 million."])
    assert [row["corpus_id"] for row in ranking] == [1, 0]


def test_real_pairs(package):
    """Logits that the reference gave for pairs of sentences (tests/golden has all 2,000, in C)."""
    folder = SHARED / "models" / "ms-marco-MiniLM-L-12-v2-dq"
    if not (folder / "model.safetensors").exists():
        pytest.skip(f"{folder} is not there")
    model = package.CrossEncoder(str(folder), device="cpu")
    corpus = SHARED / "data" / "scifact"
    texts = {}
    for name, key in (("queries", "Sq"), ("corpus", "Sd")):
        for line in (corpus / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts[f"{key}:{row['_id']}"] = " ".join(filter(None, (row.get("title"), row["text"])))
    golden = DATA / "golden" / "real-ms-marco-MiniLM-L-12-v2-dq.tsv"
    rows = [line.split("\t") for line in golden.read_text(encoding="utf-8").splitlines() if line[0] == "S"][:24]
    if any(row[0] not in texts or row[1] not in texts for row in rows):
        pytest.skip("the collection's texts have other names than in the golden file")
    import numpy
    import crossenc
    scores = model.predict([(texts[row[0]], texts[row[1]]) for row in rows], activation_fn=crossenc.Identity())
    assert numpy.abs(scores - numpy.array([float(row[4]) for row in rows])).max() < 1e-3
    assert "torch" not in sys.modules
