"""The package's logger, warnings that come once, and the library's log lines."""
from __future__ import annotations

import functools
import logging

logger = logging.getLogger("crossenc")
_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING)


@functools.lru_cache(maxsize=None)
def warn_once(message: str) -> None:
    logger.warning(message)


class ModelLog:
    """Receives the library's lines about one model. Truncated texts are a warning the first time, and information from
    then on: the library says it of every call."""

    def __init__(self) -> None:
        self._has_warned = False

    def __call__(self, level: int, message: str) -> None:
        logging_level = _LEVELS[min(level, len(_LEVELS) - 1)]
        if "were truncated to" in message:
            logging_level = logging.INFO if self._has_warned else logging_level
            self._has_warned = True
        logger.log(logging_level, message)
