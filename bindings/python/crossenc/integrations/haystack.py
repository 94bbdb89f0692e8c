"""Haystack: a ranker with the arguments of SentenceTransformersSimilarityRanker, which writes and reads pipelines."""
import inspect
from dataclasses import replace
from typing import Any, Optional

from .._activations import Identity, Sigmoid
from .._devices import device_name
from ..cross_encoder import CrossEncoder
from ._common import missing, open_model

try:
    from haystack import Document, component, default_from_dict, default_to_dict
    from haystack.utils import ComponentDevice
except ImportError as error:
    raise missing(__name__, "haystack-ai>=2") from error


@component
class CrossencSimilarityRanker:
    """Ranks documents by their similarity to the query, best first, in copies that have the score.

    model                 a folder or a name, or a CrossEncoder; None is the default model
    device                a name, a torch.device or a ComponentDevice; None is the best device that works
    place                 "eager": the model is on the device when the constructor returns. "deferred", for programs
                          that build pipelines without running them: the constructor reads the model's files and sees
                          that there is such a device, and warm_up() places the model
    cross_encoder_kwargs  further arguments of the CrossEncoder, such as max_length and precision
    top_k, query_prefix, query_suffix, document_prefix, document_suffix, meta_fields_to_embed, embedding_separator,
    scale_score, score_threshold, model_kwargs, tokenizer_kwargs, config_kwargs, backend, batch_size
                          as in SentenceTransformersSimilarityRanker
    token, trust_remote_code
                          have no effect: a token is what the environment says (HF_TOKEN), and no code of a
                          model is run

    to_dict() of a ranker that was given a CrossEncoder writes what opens the same model again.
    """

    def __init__(
        self,
        *,
        model: Any = None,
        device: Any = None,
        token: Any = None,
        top_k: int = 10,
        query_prefix: str = "",
        query_suffix: str = "",
        document_prefix: str = "",
        document_suffix: str = "",
        meta_fields_to_embed: Optional[list[str]] = None,
        embedding_separator: str = "\n",
        scale_score: bool = True,
        score_threshold: Optional[float] = None,
        trust_remote_code: bool = False,
        model_kwargs: Optional[dict[str, Any]] = None,
        tokenizer_kwargs: Optional[dict[str, Any]] = None,
        config_kwargs: Optional[dict[str, Any]] = None,
        backend: str = "torch",
        batch_size: int = 16,
        place: str = "eager",
        cross_encoder_kwargs: Optional[dict[str, Any]] = None,
    ) -> None:
        _check_top_k(top_k)
        self.token, self.trust_remote_code = token, trust_remote_code
        self.query_prefix, self.query_suffix = query_prefix, query_suffix
        self.document_prefix, self.document_suffix = document_prefix, document_suffix
        self.meta_fields_to_embed, self.embedding_separator = meta_fields_to_embed or [], embedding_separator
        self.top_k, self.scale_score, self.score_threshold = top_k, scale_score, score_threshold
        self.model_kwargs, self.tokenizer_kwargs, self.config_kwargs = model_kwargs, tokenizer_kwargs, config_kwargs
        self.backend, self.batch_size, self.place = backend, batch_size, place
        self.cross_encoder_kwargs = cross_encoder_kwargs
        self.model = None if model is None else str(model)
        self.device = device.to_torch_str() if isinstance(device, ComponentDevice) else device_name(device)
        if isinstance(model, CrossEncoder):
            self._cross_encoder = open_model(model, device, self._model_arguments())
            self._describe(model)
        else:
            arguments = {"place": place, "backend": backend, **self._model_arguments()}
            self._cross_encoder = open_model(self.model, self.device, arguments)

    def _model_arguments(self) -> dict[str, Any]:
        given = {"model_kwargs": self.model_kwargs, "processor_kwargs": self.tokenizer_kwargs,
                 "config_kwargs": self.config_kwargs, **(self.cross_encoder_kwargs or {})}
        return {name: value for name, value in given.items() if value is not None}

    def _describe(self, model: CrossEncoder) -> None:
        """The arguments that open the same model."""
        self.model, self.device = model.path, ",".join(model.devices)
        self.cross_encoder_kwargs = {
            "precision": model.dtype, "max_length": model.max_seq_length, "prompts": dict(model.prompts),
            "default_prompt_name": model.default_prompt_name,
        }

    def warm_up(self) -> None:
        """Places a model that was deferred."""
        self._cross_encoder.place()

    def to_dict(self) -> dict[str, Any]:
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        return dict(default_to_dict(self, **{name: getattr(self, name) for name in names}))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "CrossencSimilarityRanker":
        ranker: CrossencSimilarityRanker = default_from_dict(cls, data)
        return ranker

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str,
        documents: list[Document],
        top_k: Optional[int] = None,
        scale_score: Optional[bool] = None,
        score_threshold: Optional[float] = None,
    ) -> dict[str, list[Document]]:
        """Of documents with the same id the one with the highest score is ranked. None is the constructor's value."""
        top_k = self.top_k if top_k is None else top_k
        _check_top_k(top_k)
        threshold = self.score_threshold if score_threshold is None else score_threshold
        scaled = self.scale_score if scale_score is None else scale_score
        candidates = _without_duplicates(documents)
        ranking = self._cross_encoder.rank(
            self.query_prefix + query + self.query_suffix, [self._text(document) for document in candidates],
            batch_size=self.batch_size, activation_fn=Sigmoid() if scaled else Identity(),
        )
        ranked = [replace(candidates[row["corpus_id"]], score=row["score"]) for row in ranking
                  if threshold is None or row["score"] >= threshold]
        return {"documents": ranked[:top_k]}

    def _text(self, document: Document) -> str:
        fields = [document.meta.get(name) for name in self.meta_fields_to_embed]
        parts = [str(value) for value in fields if value is not None] + [document.content or ""]
        return self.document_prefix + self.embedding_separator.join(parts) + self.document_suffix


def _check_top_k(top_k: int) -> None:
    if top_k <= 0:
        raise ValueError(f"top_k must be > 0, but got {top_k}")


def _without_duplicates(documents: list[Document]) -> list[Document]:
    best: dict[str, Document] = {}
    for document in documents:
        if document.id not in best or _given_score(document) > _given_score(best[document.id]):
            best[document.id] = document
    return list(best.values())


def _given_score(document: Document) -> float:
    return float("-inf") if document.score is None else float(document.score)
