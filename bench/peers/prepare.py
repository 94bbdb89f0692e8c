"""Makes what all programs need, in the peers' interpreter; run.py starts it.

    prepare.py MODEL COLLECTION WORK PAIRS MODEL_OUT WORK_OUT

MODEL_OUT receives float32, a copy of the model that every peer can read; WORK_OUT receives pairs.tsv, and work.json
with the number of tokens and the reference scores: PyTorch in float32, a pair at a time, without padding.
"""

import json
import sys
from pathlib import Path

import serve  # first: it sets the environment
import workloads

sys.path.append(str(Path(__file__).resolve().parent.parent.parent / "tools"))


def reference_scores(folder, encodings):
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return [float(model(input_ids=torch.tensor([e.ids]), token_type_ids=torch.tensor([e.type_ids])).logits[0, 0])
                for e in encodings]


def write_float32(model, out):
    """The weights in one file, whatever they are stored as, and the tokenizer in the form of the package."""
    import checkpoint
    from transformers import AutoTokenizer

    checkpoint.write_float32_copy(model, out)
    if not (out / "tokenizer.json").exists():
        AutoTokenizer.from_pretrained(out).backend_tokenizer.save(str(out / "tokenizer.json"))


def main():
    model, collection, work, pairs, model_out, out = sys.argv[1:]
    float32, out = Path(model_out) / "float32", Path(out)
    out.mkdir(parents=True, exist_ok=True)
    if not (float32 / "tokenizer.json").exists():
        write_float32(model, float32)
    tokenizer = serve.load_tokenizer(float32)
    texts = workloads.make(work, Path(collection), int(pairs), tokenizer)
    workloads.write(texts, out / "pairs.tsv")
    encodings = tokenizer.encode_batch(texts)
    told = {"tokens": sum(map(len, encodings)), "scores": reference_scores(float32, encodings)}
    (out / "work.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
