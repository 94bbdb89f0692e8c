"""The C extension, as thin as it can be. Private: the package's classes check and translate arguments."""
from collections.abc import Callable
from typing import Any, Optional, final

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
    path: bytes, to: bytes, precision: Optional[str], threads: int, log: Optional[Callable[[int, str], None]], /
) -> None: ...

@final
class Model:
    def __new__(
        cls,
        path: bytes,
        device: Optional[str],
        deferred: bool,
        precision: Optional[str],
        threads: int,
        cpus: Optional[str],
        max_length: int,
        num_labels: int,
        log: Optional[Callable[[int, str], None]],
        /,
    ) -> Model: ...
    def predict(
        self,
        pairs: list[Any],
        activation: Optional[str],
        apply_softmax: bool,
        progress: Optional[Callable[[int, int], object]],
        /,
    ) -> bytearray: ...
    def to(self, device: str, /) -> None: ...
    def place(self) -> None: ...
    def check(self) -> dict[str, Any]: ...
    def placement(self) -> dict[str, Any]: ...
    def describe(self) -> dict[str, Any]: ...
    def close(self) -> None: ...
