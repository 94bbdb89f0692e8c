"""What the makers of golden results share: the reference in float32 on one thread, and versions of what computed it."""

import os
import sys
from importlib.metadata import version
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from sentence_transformers import CrossEncoder  # noqa: E402

import checkpoint  # noqa: E402

PACKAGES = ("sentence-transformers", "transformers", "tokenizers", "torch")
ROOT = Path(__file__).resolve().parent.parent.parent


def versions():
    return {name: version(name) for name in PACKAGES}


def reference(folder, **options):
    """The reference cross-encoder in float32, whatever the files hold."""
    torch.set_num_threads(1)
    return CrossEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32}, **options)


def plain_copy(folder, out):
    checkpoint.write_float32_copy(folder, out)
    return out


def encode(model, query, document, **options):
    """What the tokenizer makes of a pair as predict asks it: in lists, for in a call with two plain strings an empty
    second one would count as none."""
    encoded = model.tokenizer([query], [document], **options)
    return {name: rows[0] for name, rows in encoded.items()}


def call(method, arguments, names):
    """method(arguments), which are as Python writes them, so that tests can say them again."""
    return eval(f"method({arguments})", {"np": np, "method": method, **names})


def raised(method, arguments, names):
    """The name of the exception; there must be one."""
    try:
        call(method, arguments, names)
    except Exception as error:
        return type(error).__name__
    raise SystemExit(f"the reference takes {arguments}")


def logits(model, pair):
    """Logits of one pair alone, so that no padding is in it: float32 [labels]."""
    out = model.predict([pair], batch_size=1, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    return np.atleast_1d(np.asarray(out, np.float32)[0])
