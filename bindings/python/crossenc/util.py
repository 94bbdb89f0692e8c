"""What programs take from sentence_transformers.util for embeddings, in numpy: measures, search, smaller forms.
Embeddings and results are of the kinds that _similarity says."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _similarity
from ._quantization import quantize_embeddings
from ._similarity import (
    SimilarityFunction, cos_sim, dot_score, euclidean_sim, manhattan_sim, pairwise_cos_sim, pairwise_dot_score,
    pairwise_euclidean_sim, pairwise_manhattan_sim,
)

__all__ = [
    "SimilarityFunction", "cos_sim", "dot_score", "euclidean_sim", "manhattan_sim", "normalize_embeddings",
    "pairwise_cos_sim", "pairwise_dot_score", "pairwise_euclidean_sim", "pairwise_manhattan_sim", "quantize_embeddings",
    "semantic_search", "truncate_embeddings",
]


def normalize_embeddings(embeddings: Any) -> Any:
    """Each embedding scaled to length 1; zeros stay zeros."""
    return _similarity.like(_similarity.unit(_similarity.as_array(embeddings)), embeddings)


def truncate_embeddings(embeddings: Any, truncate_dim: int | None) -> Any:
    """The first values of each embedding; None keeps all."""
    return embeddings[..., :truncate_dim]


def semantic_search(
    query_embeddings: Any,
    corpus_embeddings: Any,
    query_chunk_size: int = 100,
    corpus_chunk_size: int = 500000,
    top_k: int = 10,
    score_function: Callable[[Any, Any], Any] = cos_sim,
) -> list[list[dict[str, int | float]]]:
    """For each query the corpus_id and the score of the most similar of the corpus, best first; equal scores keep the
    order of the corpus. Chunks bound the memory."""
    if top_k < 0:
        raise ValueError(f"top_k is {top_k}, and cannot be negative")
    queries = np.atleast_2d(_similarity.as_array(query_embeddings))
    corpus = np.atleast_2d(_similarity.as_array(corpus_embeddings))
    results: list[list[dict[str, int | float]]] = []
    for start in range(0, len(queries), query_chunk_size):
        chunk = queries[start : start + query_chunk_size]
        ids, scores = np.zeros((len(chunk), 0), int), np.zeros((len(chunk), 0), np.float32)
        for first in range(0, len(corpus), corpus_chunk_size):
            part = corpus[first : first + corpus_chunk_size]
            given = (_similarity.like(rows, query_embeddings, corpus_embeddings) for rows in (chunk, part))
            found = _similarity.as_array(score_function(*given))
            numbers = np.broadcast_to(np.arange(first, first + found.shape[1]), found.shape)
            ids, scores = _best(np.hstack((ids, numbers)), np.hstack((scores, found)), top_k)
        results.extend([{"corpus_id": int(i), "score": float(s)} for i, s in zip(*row)] for row in zip(ids, scores))
    return results


def _best(ids: np.ndarray, scores: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)
