"""LlamaIndex: a node postprocessor, as SentenceTransformerRerank."""
from typing import Any, Optional

from .._devices import device_name
from ..cross_encoder import CrossEncoder
from ._common import missing, open_model

try:
    from llama_index.core.bridge.pydantic import Field, PrivateAttr
    from llama_index.core.callbacks import CBEventType, EventPayload
    from llama_index.core.instrumentation import get_dispatcher
    from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
except ImportError as error:
    raise missing(__name__, "llama-index-core>=0.11") from error

_dispatcher = get_dispatcher(__name__)


class CrossencRerank(BaseNodePostprocessor):
    """Keeps the top_n nodes that match the query best, best first, with the model's score. The caller's nodes stay as
    they are, which SentenceTransformerRerank gives their new scores.

    model                 a folder or a name, or a CrossEncoder; None is the default model
    device                where it is when the constructor returns
    keep_retrieval_score  puts the score that a node came with into its metadata, as "retrieval_score"
    cross_encoder_kwargs  further arguments of the CrossEncoder, such as max_length
    """

    model: str = Field(description="Name or folder of the model.")
    device: Optional[str] = Field(default=None, description="Device that was asked for.")
    top_n: int = Field(default=2, description="Number of nodes to return sorted by score.")
    keep_retrieval_score: bool = Field(default=False, description="Whether to keep the retrieval score in metadata.")
    cross_encoder_kwargs: dict[str, Any] = Field(default_factory=dict, description="Arguments of the CrossEncoder.")
    _model: CrossEncoder = PrivateAttr()

    def __init__(
        self,
        model: Any = None,
        device: Any = None,
        cache_folder: Any = None,
        top_n: int = 2,
        keep_retrieval_score: bool = False,
        cross_encoder_kwargs: Optional[dict[str, Any]] = None,
        **kwargs: Any,
    ) -> None:
        arguments = dict(cross_encoder_kwargs or {})
        if cache_folder is not None:
            arguments["cache_folder"] = cache_folder
        opened = open_model(model, device, arguments)
        super().__init__(
            model=model if isinstance(model, str) else opened.path, device=device_name(device), top_n=top_n,
            keep_retrieval_score=keep_retrieval_score, cross_encoder_kwargs=arguments, **kwargs,
        )
        self._model = opened

    @classmethod
    def class_name(cls) -> str:
        return "CrossencRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: Optional[QueryBundle] = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise ValueError("Missing query bundle in extra info.")
        _dispatcher.event(
            ReRankStartEvent(query=query_bundle, nodes=nodes, top_n=self.top_n, model_name=self.model)
        )
        payload = {
            EventPayload.NODES: nodes, EventPayload.MODEL_NAME: self.model, EventPayload.TOP_K: self.top_n,
            EventPayload.QUERY_STR: query_bundle.query_str,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            texts = [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
            ranking = self._model.rank(query_bundle.query_str, texts, top_k=self.top_n)
            ranked = [self._with_score(nodes[row["corpus_id"]], row["score"]) for row in ranking]
            event.on_end(payload={EventPayload.NODES: ranked})
        _dispatcher.event(ReRankEndEvent(nodes=ranked))
        return ranked

    def _with_score(self, node: NodeWithScore, score: float) -> NodeWithScore:
        if not self.keep_retrieval_score:
            return NodeWithScore(node=node.node, score=score)
        metadata = {**node.node.metadata, "retrieval_score": node.score}
        return NodeWithScore(node=node.node.model_copy(update={"metadata": metadata}), score=score)
