"""The model as PyTorch runs it, for peers that translate it: logits of (input_ids, attention_mask, token_type_ids)."""

import torch
from transformers import AutoModelForSequenceClassification


class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        return self.model(**inputs).logits[:, 0]


def load(folder, attention):
    """attention: "eager" is products and a softmax, which fusions know; "sdpa" is one operation."""
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation=attention, dtype=torch.float32
    )
    return Logits(model.eval())


def example():
    """Inputs to trace with: a batch with real padding, so that no shortcut for a full mask is taken."""
    ids = torch.arange(1000, 1032).reshape(2, 16)
    mask, types = torch.ones_like(ids), torch.zeros_like(ids)
    mask[1, 9:], types[:, 6:] = 0, 1
    return ids * mask, mask, types * mask


def export_onnx(folder, path):
    """Writes the graph to path, and proves that it kept the attention mask: padding must not change a score."""
    import onnxruntime

    inputs, names = example(), ["input_ids", "attention_mask", "token_type_ids"]
    axes = {name: {0: "batch", 1: "length"} for name in names} | {"logits": {0: "batch"}}
    torch.onnx.export(load(folder, "eager"), inputs, str(path), input_names=names, output_names=["logits"],
                      dynamic_axes=axes, opset_version=17, dynamo=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = {name: value.numpy() for name, value in zip(names, inputs)}
    batch = session.run(None, feed)[0][1]
    alone = session.run(None, {name: value[1:, :9] for name, value in feed.items()})[0][0]
    if not abs(batch - alone) <= 1e-4 * (1 + abs(alone)):
        path.unlink()
        raise SystemExit(f"graph.py: padding changes a score from {alone} to {batch}: the mask was lost")
