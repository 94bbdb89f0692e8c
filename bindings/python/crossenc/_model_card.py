"""A model's card: the README.md of its folder, and what programs that were written for the reference tell about it."""
from __future__ import annotations

import os
from typing import Any

# How the reference's cards name a model until it has a name.
_IDS = {"CrossEncoder": "cross_encoder_model_id", "SentenceTransformer": "sentence_transformers_model_id"}


class ModelCardData:
    """Takes whatever is set, as the reference's does, and uses model_id alone: cards are not written from it."""

    model_id: Any = None

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def set_model_id(self, model_id: str) -> None:
        self.model_id = model_id

    def set_evaluation_metrics(self, *args: Any) -> None:
        """What the reference's evaluators call with their results, which a card would show."""


def card_of(folder: str, kind: str, model_id: str | None, new_card: str) -> str:
    """The card that is in the folder, or the new one; with the model's name in it where that leaves the name open."""
    try:
        with open(os.path.join(folder, "README.md"), encoding="utf-8") as file:
            card = file.read()
    except (OSError, ValueError):
        card = new_card
    return card.replace(f'{kind}("{_IDS[kind]}"', f'{kind}("{model_id}"') if model_id else card


def cross_encoder_card(num_labels: int, max_length: int) -> str:
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

model = CrossEncoder("{_IDS["CrossEncoder"]}")
scores = model.predict([("How many people live in Berlin?", "Berlin has 3.5 million inhabitants.")])
```
"""


def bi_encoder_card(dimension: int, max_length: int, similarity: str) -> str:
    return f"""---
tags:
- sentence-transformers
- sentence-similarity
- feature-extraction
pipeline_tag: sentence-similarity
library_name: sentence-transformers
---

# SentenceTransformer

A bi-encoder: of a text, at most {max_length} tokens of it, it makes an embedding of {dimension} values, to be compared \
with others by {similarity} similarity.

```python
from sentence_transformers import SentenceTransformer  # or: from crossenc import SentenceTransformer

model = SentenceTransformer("{_IDS["SentenceTransformer"]}")
embeddings = model.encode(["How many people live in Berlin?", "Berlin has 3.5 million inhabitants."])
similarities = model.similarity(embeddings, embeddings)
```
"""
