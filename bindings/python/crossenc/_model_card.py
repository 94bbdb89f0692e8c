"""What programs that were written for the reference tell about a model's card."""
from __future__ import annotations

from typing import Any


class ModelCardData:
    """Takes whatever is set, as the reference's does: no card is written of it."""

    model_id: Any = None

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def set_model_id(self, model_id: str) -> None:
        self.model_id = model_id

    def set_evaluation_metrics(self, *args: Any) -> None:
        """What the reference's evaluators call with their results, which a card would show."""
