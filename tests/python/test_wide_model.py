"""A ModernBERT with the layers of a published one (256 wide, 4 heads, a window of 128 tokens) and the real tokenizer, on
pairs of 5 to 1,024 tokens: logits against the reference's, and the same bits alone, in a batch, on more threads."""
import json
import sys

import pytest
from conftest import DATA, SHARED, SOURCE

TOKENIZER = SHARED / "tokenizers" / "modernbert"


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    if not (TOKENIZER / "tokenizer.json").exists():
        pytest.skip(f"{TOKENIZER} is not there")
    sys.path[:0] = [str(SOURCE / "tools"), str(SOURCE / "tools" / "golden")]
    import wide_model
    folder = tmp_path_factory.mktemp("wide")
    wide_model.make(folder, TOKENIZER)
    yield str(folder), wide_model.pairs()
    (folder / "model.safetensors").unlink()


def load(package, folder, **options):
    return package.CrossEncoder(folder, device="cpu", **options)


def test_logits_are_the_references(package, wide):
    folder, pairs = wide
    golden = json.loads((DATA / "golden" / "wide-modernbert.json").read_text())
    model = load(package, folder, threads=2)
    found = model.predict(pairs)
    assert len(found) == len(golden["logits"]) == len(pairs)
    for logit, wanted in zip(found, golden["logits"]):
        assert abs(float(logit) - wanted) <= 1e-4 + 1e-4 * abs(wanted)
    for i, pair in enumerate(pairs):
        assert model.predict([pair])[0] == found[i]
    assert (load(package, folder, threads=1).predict(pairs) == found).all()


@pytest.mark.parametrize("precision, bound", [("bfloat16", 0.1), ("int8", 0.4)])
def test_low_precision_stays_near(package, wide, precision, bound):
    folder, pairs = wide
    golden = json.loads((DATA / "golden" / "wide-modernbert.json").read_text())
    model = load(package, folder, precision=precision)
    for logit, wanted in zip(model.predict(pairs), golden["logits"]):
        assert abs(float(logit) - wanted) <= bound * (1 + abs(wanted))
