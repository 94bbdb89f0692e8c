"""A progress bar: tqdm's if that is installed, else a line on standard error."""
from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from ._log import logger

Result = TypeVar("Result")


class Bar(Protocol):
    n: int

    def update(self, n: int) -> Any: ...
    def close(self) -> None: ...


class _Line:
    def __init__(self, total: int, unit: str) -> None:
        self.n, self.total, self.title = 0, total, _title(unit)

    def update(self, n: int) -> None:
        self.n += n
        sys.stderr.write(f"\r{self.title}: {self.n}/{self.total}")
        sys.stderr.flush()

    def close(self) -> None:
        sys.stderr.write("\n")


def _title(unit: str) -> str:
    return unit.capitalize() + "s"


def open_bar(total: int, unit: str) -> Bar:
    try:
        from tqdm.autonotebook import tqdm
    except ImportError:
        return _Line(total, unit)
    return tqdm(total=total, desc=_title(unit), unit=unit)


class Progress:
    """What the library calls with (done, total), for the time of a with block; the bar is where the block ends."""

    def __init__(self, total: int, unit: str) -> None:
        self._bar = open_bar(total, unit)

    def __enter__(self) -> Progress:
        return self

    def __call__(self, done: int, total: int) -> None:
        self._bar.update(done - self._bar.n)

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def watched(
    method: Callable[..., Result], arguments: tuple[Any, ...], total: int, show: bool | None, unit: str
) -> Result:
    """Calls a method of the extension, whose last argument is what it tells its progress: a bar, if one is to be shown.
    None shows it where the reference does: if the logger is at INFO or DEBUG."""
    if show is None:
        show = logger.getEffectiveLevel() in (logging.INFO, logging.DEBUG)
    if not show or total == 0:
        return method(*arguments, None)
    with Progress(total, unit) as progress:
        return method(*arguments, progress)
