"""Named prompts: those of the model's files, those of the caller, and which of them a call gets."""
from __future__ import annotations

from ._log import logger, warn_once


class Prompted:
    """The part of a model that knows its prompts."""

    prompts: dict[str, str]
    default_prompt_name: str | None

    def _set_prompts(
        self, prompts: dict[str, str] | None, name: str | None, saved: dict[str, str], saved_name: str | None
    ) -> None:
        """The caller's win over the saved ones."""
        self.prompts = {**saved, **{key: text or "" for key, text in (prompts or {}).items()}}
        self.default_prompt_name = saved_name if name is None else name
        if self.default_prompt_name is None:
            return
        if self.default_prompt_name not in self.prompts:
            raise ValueError(
                f"Default prompt name '{self.default_prompt_name}' not found in the configured prompts dictionary with "
                f"keys {list(self.prompts)!r}."
            )
        warn_once(
            f"Default prompt name is set to '{self.default_prompt_name}'. This prompt applies unless overridden by "
            "`prompt` or `prompt_name`, including an empty prompt."
        )

    def _resolve_prompt(self, prompt: str | None, prompt_name: str | None) -> str | None:
        if prompt is not None:
            if prompt_name is not None:
                logger.warning(
                    "Provide either a `prompt`, a `prompt_name`, or neither, but not both. "
                    "Ignoring the `prompt_name` in favor of `prompt`."
                )
            return prompt
        if prompt_name is None:
            return None if self.default_prompt_name is None else self.prompts.get(self.default_prompt_name)
        if prompt_name not in self.prompts:
            raise ValueError(
                f"Prompt name '{prompt_name}' not found in the configured prompts dictionary with keys "
                f"{list(self.prompts)!r}."
            )
        return self.prompts[prompt_name]
