"""Models with the layers of published ones on pairs of 4 to 1,024 tokens: logits against the reference's, and the same
bits alone, in a batch, on more threads. A ModernBERT (256 wide, 4 heads, a window of 128 tokens) with the real tokenizer,
and a Qwen 3 (1,024 wide, 16 heads that share 8 of keys)."""
import importlib
import json
import sys

import pytest
from conftest import DATA, SHARED, SOURCE

MODELS = {
    "modernbert": ("wide_model", SHARED / "tokenizers" / "modernbert", {"bfloat16": 0.1, "int8": 0.4}),
    "qwen3": ("wide_decoder", DATA / "golden" / "models" / "qwen2", {"bfloat16": 0.1, "int8": 0.4}),
}


@pytest.fixture(scope="module", params=MODELS)
def wide(request, tmp_path_factory):
    module, tokenizer, bounds = MODELS[request.param]
    if not tokenizer.exists():
        pytest.skip(f"{tokenizer} is not there")
    sys.path[:0] = [str(SOURCE / "tools"), str(SOURCE / "tools" / "golden")]
    maker = importlib.import_module(module)
    folder = tmp_path_factory.mktemp("wide")
    maker.make(folder, tokenizer)
    golden = json.loads((DATA / "golden" / f"wide-{request.param}.json").read_text())
    yield str(folder), maker.pairs(), golden["logits"], bounds
    (folder / "model.safetensors").unlink()


def load(package, folder, **options):
    return package.CrossEncoder(folder, device="cpu", **options)


def test_logits_are_the_references(package, wide):
    folder, pairs, logits, _ = wide
    model = load(package, folder, threads=2)
    found = model.predict(pairs)
    assert len(found) == len(logits) == len(pairs)
    for logit, wanted in zip(found, logits):
        assert abs(float(logit) - wanted) <= 1e-4 + 1e-4 * abs(wanted)
    for i, pair in enumerate(pairs):
        assert model.predict([pair])[0] == found[i]
    assert (load(package, folder, threads=1).predict(pairs) == found).all()


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_low_precision_stays_near(package, wide, precision):
    folder, pairs, logits, bounds = wide
    model = load(package, folder, precision=precision)
    for logit, wanted in zip(model.predict(pairs), logits):
        assert abs(float(logit) - wanted) <= bounds[precision] * (1 + abs(wanted))
