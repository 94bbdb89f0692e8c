"""LangChain: a compressor of retrieved documents, and a model for LangChain's own CrossEncoderReranker."""
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

from ..cross_encoder import CrossEncoder
from ._common import missing, open_model

try:
    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
    from pydantic import ConfigDict
except ImportError as error:
    raise missing(__name__, "langchain-core>=0.3") from error

if TYPE_CHECKING:
    from langchain_core.cross_encoders import BaseCrossEncoder
else:
    # In releases of 2025 and before, the class is beside the rerankers, which need not be installed.
    BaseCrossEncoder = object
    for _module in ("langchain_core.cross_encoders", "langchain_classic.retrievers.document_compressors.cross_encoder",
                    "langchain.retrievers.document_compressors.cross_encoder"):
        try:
            BaseCrossEncoder = importlib.import_module(_module).BaseCrossEncoder
            break
        except ImportError:
            pass


class CrossencRerank(BaseDocumentCompressor):
    """Keeps the top_n documents that match the query best, best first; with None all of them. They are copies with the
    score in their metadata as "relevance_score", as other rerankers of LangChain have it.

    model         a folder or a name, or a CrossEncoder; None is the default model
    device        where it is when the constructor returns
    model_kwargs  further arguments of the CrossEncoder, such as max_length
    """

    model: CrossEncoder
    top_n: Optional[int] = 3
    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    def __init__(
        self,
        model: Any = None,
        *,
        device: Any = None,
        top_n: Optional[int] = 3,
        model_kwargs: Optional[dict[str, Any]] = None,
    ) -> None:
        super().__init__(model=open_model(model, device, model_kwargs), top_n=top_n)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Optional[Callbacks] = None
    ) -> Sequence[Document]:
        ranking = self.model.rank(query, [document.page_content for document in documents], top_k=self.top_n)
        return [_with_score(documents[row["corpus_id"]], row["score"]) for row in ranking]


def _with_score(document: Document, score: float) -> Document:
    return document.model_copy(update={"metadata": {**document.metadata, "relevance_score": score}})


class CrossencCrossEncoder(BaseCrossEncoder):
    """Scores pairs for what takes LangChain's BaseCrossEncoder, with the arguments of HuggingFaceCrossEncoder: a name,
    or a CrossEncoder, and a dictionary with its other arguments, of which device may also stand alone."""

    def __init__(
        self, model_name: Any = None, model_kwargs: Optional[dict[str, Any]] = None, *, device: Any = None
    ) -> None:
        arguments = dict(model_kwargs or {})
        self.client = open_model(model_name, arguments.pop("device", device), arguments)

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """A score a pair; of a model with several labels the second label's, as HuggingFaceCrossEncoder does."""
        scores = self.client.predict(text_pairs)
        return [float(score) for score in (scores[:, 1] if scores.ndim > 1 else scores)]
