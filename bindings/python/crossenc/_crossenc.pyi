"""The C extension, as thin as it can be. Private: the package's classes check and translate arguments."""
from collections.abc import Callable
from typing import Any, Optional, TypeVar, final

_Self = TypeVar("_Self", bound="_Placed")
_Progress = Optional[Callable[[int, int], object]]

class InputError(TypeError, ValueError):
    status: str

class ModelError(ValueError):
    status: str

class DeviceError(RuntimeError):
    status: str

def version() -> str: ...
def devices() -> list[dict[str, Any]]: ...
def default_model_path() -> str: ...
def convert(
    path: bytes, to: bytes, precision: Optional[str], threads: int, is_bi_encoder: bool,
    log: Optional[Callable[[int, str], None]], /
) -> None: ...
def find_model(name: bytes, cache: bytes, revision: Optional[str], organization: Optional[str], /) -> bytes: ...
def pull_model(
    name: bytes,
    cache: bytes,
    revision: Optional[str],
    organization: Optional[str],
    token: Optional[str],
    need_token: bool,
    log: Callable[[int, str], None],
    /,
) -> bytes: ...

class _Placed:
    def __new__(
        cls: type[_Self],
        path: bytes,
        device: Optional[str],
        deferred: bool,
        precision: Optional[str],
        threads: int,
        cpus: Optional[str],
        max_length: int,
        num_labels: int,
        include_prompt: int,
        activation: Optional[str],
        log: Optional[Callable[[int, str], None]],
        /,
    ) -> _Self: ...
    def to(self, device: str, /) -> None: ...
    def place(self) -> None: ...
    def check(self) -> dict[str, Any]: ...
    def placement(self) -> dict[str, Any]: ...
    def placements(self) -> list[dict[str, Any]]: ...
    def describe(self) -> dict[str, Any]: ...
    def close(self) -> None: ...

@final
class Model(_Placed):
    def predict(
        self,
        pairs: list[Any],
        prompt: bytes,
        activation: Optional[str],
        apply_softmax: bool,
        max_length: int,
        chat_settings: Optional[str],
        progress: _Progress,
        /,
    ) -> bytearray: ...

@final
class Encoder(_Placed):
    def encode(
        self, texts: list[Any], prompt: bytes, dimension: int, normalize: bool, max_length: int, progress: _Progress, /
    ) -> bytearray: ...
    def encode_rows(
        self, texts: list[Any], prompt: bytes, dimension: int, normalize: bool, max_length: int, progress: _Progress, /
    ) -> list[tuple[int, bytearray, bytearray, bytearray, bytearray]]: ...
    def tokenize(self, text: bytes, prompt: bytes, max_length: int, /) -> tuple[bytearray, bytearray, int]: ...
