"""A progress bar: tqdm's if that is installed, else a line on standard error."""
from __future__ import annotations

import sys
from typing import Any, Protocol


class Bar(Protocol):
    n: int

    def update(self, n: int) -> Any: ...
    def close(self) -> None: ...


class _Line:
    def __init__(self, total: int) -> None:
        self.n, self.total = 0, total

    def update(self, n: int) -> None:
        self.n += n
        sys.stderr.write(f"\rPairs: {self.n}/{self.total}")
        sys.stderr.flush()

    def close(self) -> None:
        sys.stderr.write("\n")


def open_bar(total: int) -> Bar:
    try:
        from tqdm.autonotebook import tqdm
    except ImportError:
        return _Line(total)
    return tqdm(total=total, desc="Pairs", unit="pair")


class Progress:
    """What the library calls with (done, total), for the time of a with block; the bar is where the block ends."""

    def __init__(self, total: int) -> None:
        self._bar = open_bar(total)

    def __enter__(self) -> Progress:
        return self

    def __call__(self, done: int, total: int) -> None:
        self._bar.update(done - self._bar.n)

    def __exit__(self, *_: object) -> None:
        self._bar.close()
