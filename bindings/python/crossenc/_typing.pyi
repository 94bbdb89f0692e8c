"""Types for type checkers alone: what the methods that encode take and return."""
from typing import Any, Literal, Optional, Protocol, TypedDict, Union, overload

from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Unpack

_Precision = Optional[Literal["float32", "int8", "uint8", "binary", "ubinary"]]

class _Common(TypedDict, total=False):
    prompt_name: Optional[str]
    prompt: Optional[str]
    batch_size: int
    show_progress_bar: Optional[bool]
    precision: _Precision
    device: Any
    normalize_embeddings: bool
    truncate_dim: Optional[int]
    pool: Any
    chunk_size: Optional[int]
    processing_kwargs: Optional[dict[str, Any]]
    task: Optional[str]

class _Conversions(_Common, total=False):
    convert_to_numpy: bool
    convert_to_tensor: bool

class _All(_Conversions, total=False):
    output_value: Optional[Literal["sentence_embedding", "token_embeddings"]]

class Encode(Protocol):
    @overload
    def __call__(
        self,
        inputs: Any,
        prompt_name: Optional[str] = ...,
        prompt: Optional[str] = ...,
        batch_size: int = ...,
        show_progress_bar: Optional[bool] = ...,
        output_value: Literal["sentence_embedding"] = ...,
        precision: _Precision = ...,
        convert_to_numpy: Literal[True] = ...,
        convert_to_tensor: Literal[False] = ...,
        device: Any = ...,
        normalize_embeddings: bool = ...,
        truncate_dim: Optional[int] = ...,
        pool: Any = ...,
        chunk_size: Optional[int] = ...,
        processing_kwargs: Optional[dict[str, Any]] = ...,
        task: Optional[str] = ...,
    ) -> NDArray[Any]: ...
    @overload
    def __call__(
        self, inputs: Any, *, convert_to_tensor: Literal[True], convert_to_numpy: bool = ..., **options: Unpack[_Common]
    ) -> Tensor: ...
    @overload
    def __call__(
        self, inputs: str, *, output_value: None, **options: Unpack[_Conversions]
    ) -> dict[str, Any]: ...
    @overload
    def __call__(
        self, inputs: Any, *, output_value: None, **options: Unpack[_Conversions]
    ) -> Union[dict[str, Any], list[dict[str, Any]]]: ...
    @overload
    def __call__(self, inputs: Any, **options: Unpack[_All]) -> Any: ...
