"""A model's card: the README.md of its folder, and what programs that were written for the reference tell about it."""
from __future__ import annotations

import os
from typing import Any

_ID = "cross_encoder_model_id"  # the reference's cards name the model so until it has a name


class ModelCardData:
    """Takes whatever is set, as the reference's does, and uses model_id alone: cards are not written from it."""

    model_id: Any = None

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def set_model_id(self, model_id: str) -> None:
        self.model_id = model_id

    def set_evaluation_metrics(self, *args: Any) -> None:
        """What the reference's evaluators call with their results, which a card would show."""


def card_of(folder: str, model_id: str | None, num_labels: int, max_length: int) -> str:
    """The card that is in the folder, or one of a few lines; with the model's name in it where it has one."""
    try:
        with open(os.path.join(folder, "README.md"), encoding="utf-8") as file:
            card = file.read()
    except (OSError, ValueError):
        card = _new_card(num_labels, max_length)
    return card.replace(f'CrossEncoder("{_ID}"', f'CrossEncoder("{model_id}"') if model_id else card


def _new_card(num_labels: int, max_length: int) -> str:
    task = "text-ranking" if num_labels == 1 else "text-classification"
    return f"""---
tags:
- sentence-transformers
- cross-encoder
- reranker
pipeline_tag: {task}
library_name: sentence-transformers
---

# CrossEncoder

A cross-encoder: it reads two texts together, at most {max_length} tokens, and gives {num_labels} \
score{"s" if num_labels > 1 else ""}.

```python
from sentence_transformers import CrossEncoder  # or: from crossenc import CrossEncoder

model = CrossEncoder("{_ID}")
scores = model.predict([("How many people live in Berlin?", "Berlin has 3.5 million inhabitants.")])
```
"""
