"""Arguments as the reference spells them: old names and places, each with a warning, and the dictionaries that it hands
to transformers, of which crossenc takes what it can and refuses the rest by name."""
from __future__ import annotations

import functools
import json
import operator
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from ._devices import device_name
from ._log import logger, warn_once

F = TypeVar("F", bound=Callable[..., Any])

_INIT_POSITIONS = ("num_labels", "max_length", "activation_fn", "device")
_INIT_RENAMED = {
    "model_name": "model_name_or_path",
    "automodel_args": "model_kwargs",
    "tokenizer_args": "processor_kwargs",
    "tokenizer_kwargs": "processor_kwargs",
    "config_args": "config_kwargs",
    "cache_dir": "cache_folder",
    "default_activation_function": "activation_fn",
}
_CALL_RENAMED = {"sentences": "inputs", "activation_fct": "activation_fn"}
_BACKENDS = ("torch", "onnx", "openvino")

# Of the dictionaries: what has no effect on scores here, and is let pass.
_MODEL_KWARGS_WITHOUT_EFFECT = {
    "attn_implementation", "low_cpu_mem_usage", "use_safetensors", "weights_only", "trust_remote_code", "token",
    "local_files_only", "revision", "cache_dir",
}
_PROCESSOR_KWARGS_WITHOUT_EFFECT = {
    "use_fast", "padding", "padding_side", "clean_up_tokenization_spaces", "trust_remote_code", "token",
    "local_files_only", "revision", "cache_dir",
}
_CONFIG_KWARGS_WITHOUT_EFFECT = {
    "attn_implementation", "classifier_dropout", "attention_probs_dropout_prob", "hidden_dropout_prob",
    "trust_remote_code", "token", "local_files_only", "revision", "cache_dir",
}
_PRECISIONS = ("float32", "bfloat16", "float16", "int8")
_DTYPES = {"float": "float32", "half": "float16"}  # other names that dtypes have


def _rename(kwargs: dict[str, Any], names: dict[str, str], subject: str) -> None:
    """The new name wins where both are given."""
    for old, new in names.items():
        if old in kwargs:
            value = kwargs.pop(old)
            warn_once(f"The {subject}`{old}` argument was renamed and is now deprecated. Please use `{new}` instead.")
            kwargs.setdefault(new, value)


def init_arguments(function: F) -> F:
    """Takes the constructor's arguments as releases of the reference before 5.4 did."""

    @functools.wraps(function)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        if len(args) > 1 + len(_INIT_POSITIONS):
            raise TypeError(f"{name} takes at most {1 + len(_INIT_POSITIONS)} positional arguments, got {len(args)}")
        for position, value in zip(_INIT_POSITIONS, args[1:]):
            logger.warning(
                f"Passing `{position}` as a positional argument to {name} is deprecated. "
                f"Please use `{position}={value!r}` as a keyword argument instead."
            )
            kwargs.setdefault(position, value)
        _rename(kwargs, _INIT_RENAMED, f"{name} ")
        if "classifier_dropout" in kwargs:
            dropout = kwargs.pop("classifier_dropout")
            kwargs["config_kwargs"] = {"classifier_dropout": dropout, **(kwargs.get("config_kwargs") or {})}
            logger.warning(
                f"The {name} `classifier_dropout` argument is deprecated. "
                f"Please use `config_kwargs={{'classifier_dropout': {dropout}}}` instead."
            )
        function(self, *args[:1], **kwargs)

    return wrapper  # type: ignore[return-value]


def renamed_arguments(**names: str) -> Callable[[F], F]:
    """Takes a function's arguments under their old names: old="new"."""

    def decorator(function: F) -> F:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if kwargs:
                _rename(kwargs, names, "")
            return function(*args, **kwargs)

        return wrapper  # type: ignore[return-value]

    return decorator


def call_arguments(*without_effect: str) -> Callable[[F], F]:
    """Takes a method's arguments under their old names, and drops those that the reference drops."""

    def decorator(function: F) -> F:
        @renamed_arguments(**_CALL_RENAMED)
        @functools.wraps(function)
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            for name in without_effect:
                if name in kwargs:
                    del kwargs[name]
                    warn_once(
                        f"The {type(self).__name__}.{function.__name__} `{name}` argument is deprecated and has no "
                        "effect. It will be removed in a future version."
                    )
            return function(self, *args, **kwargs)

        return wrapper  # type: ignore[return-value]

    return decorator


def refuse_modules_and_backends(modules: Any, backend: Any) -> None:
    if modules is not None:
        raise NotImplementedError("modules: crossenc loads whole models; give the folder of one")
    if backend not in _BACKENDS:
        raise ValueError(f"Unsupported backend '{backend}'. `backend` should be `torch`, `onnx`, or `openvino`.")
    if backend != "torch":
        raise NotImplementedError(
            f"backend={backend!r}: crossenc has its own kernels and needs no other program's; leave backend out"
        )


class Options(NamedTuple):
    """What of the arguments the library is told."""

    device: str | None
    precision: str | None
    max_length: int
    num_labels: int
    threads: int
    include_prompt: int = 0  # in pooling: 0 as the model's files say, 1 yes, 2 no


def precision_name(dtype: Any) -> str | None:
    """The precision of a dtype: None, a name, or a torch.dtype. "auto" is the default, float32, which holds exactly what
    a checkpoint in float16 or bfloat16 has."""
    if dtype is None or dtype == "auto":
        return None
    name = str(dtype).rpartition(".")[2]
    name = _DTYPES.get(name, name)
    if name in _PRECISIONS:
        return name
    raise ValueError(f"{dtype!r} is no precision of crossenc: there are {', '.join(_PRECISIONS)}")


def count(name: str, value: Any) -> int:
    """A positive number, or 0 for None."""
    if value is None:
        return 0
    number = operator.index(value)
    if isinstance(value, bool) or not 0 < number < 2**31:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return number


def call_max_length(processing_kwargs: dict[str, Any] | None) -> int:
    """The max_length that a call's processing_kwargs say, 0 if they say none."""
    length = None
    for kind, given in (processing_kwargs or {}).items():
        if kind == "chat_template" and isinstance(given, dict):
            continue
        if kind not in ("text", "common") or not isinstance(given, dict):
            raise NotImplementedError(f"processing_kwargs: crossenc reads texts, and has nothing that {kind!r} could set")
        _refuse("processing_kwargs", given, {"max_length", "truncation", "padding"}, "It takes max_length")
        if given.get("truncation", True) not in (True, "longest_first"):
            raise NotImplementedError("processing_kwargs: texts are always truncated, to max_length at most")
        length = given.get("max_length", length)
    return count("max_length", length)


def call_chat_settings(processing_kwargs: dict[str, Any] | None) -> str | None:
    """The names for the chat template that a call's processing_kwargs have, in JSON; None if they have none."""
    given = (processing_kwargs or {}).get("chat_template")
    if not given:
        return None
    try:
        return json.dumps(given, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise NotImplementedError(
            f"processing_kwargs: what chat_template gives to the template must be of JSON's kinds ({error})"
        ) from None


def config_settings(config_kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """What of config_kwargs is a setting of config.json that scores don't depend on."""
    return {name: value for name, value in (config_kwargs or {}).items() if "dropout" in name}


def _refuse(name: str, given: dict[str, Any], known: set[str], alternative: str) -> None:
    unknown = sorted(str(key) for key in given if key not in known)
    if unknown:
        raise NotImplementedError(f"{name}: crossenc has nothing that {', '.join(unknown)} could set. {alternative}")


def _device(device: Any, model_kwargs: dict[str, Any]) -> str | None:
    device_map = model_kwargs.get("device_map")
    if isinstance(device_map, dict):
        raise NotImplementedError("device_map: a model is on one device here, which device= names")
    if device_map is None:
        return device_name(device)
    if device is not None:
        logger.warning(f"Ignoring `device={device}` because `model_kwargs['device_map']` takes priority.")
    return device_name(device_map)


def _precision(precision: Any, model_kwargs: dict[str, Any], config_kwargs: dict[str, Any]) -> str | None:
    asked = [kwargs.get(key) for kwargs in (model_kwargs, config_kwargs) for key in ("dtype", "torch_dtype")]
    names = {precision_name(dtype) for dtype in (precision, *asked)} - {None}
    if len(names) > 1:
        raise ValueError(f"several precisions were asked for: {', '.join(sorted(str(name) for name in names))}")
    return names.pop() if names else None


def read_options(
    device: Any,
    precision: Any,
    num_labels: Any,
    max_length: Any,
    threads: Any,
    model_kwargs: dict[str, Any] | None,
    processor_kwargs: dict[str, Any] | None,
    config_kwargs: dict[str, Any] | None,
) -> Options:
    model, processor, config = dict(model_kwargs or {}), dict(processor_kwargs or {}), dict(config_kwargs or {})
    _refuse("model_kwargs", model, _MODEL_KWARGS_WITHOUT_EFFECT | {"device_map", "dtype", "torch_dtype"},
            'It takes dtype and device_map; for small weights there is precision="int8"')
    _refuse("processor_kwargs", processor, _PROCESSOR_KWARGS_WITHOUT_EFFECT | {"model_max_length"},
            "It takes model_max_length; what a tokenizer's files may say is read from them (docs/models.md)")
    _refuse("config_kwargs", config, _CONFIG_KWARGS_WITHOUT_EFFECT | {"num_labels", "dtype", "torch_dtype"},
            "It takes num_labels and dtype; what a model's config.json may say is read from it (docs/models.md)")
    return Options(
        device=_device(device, model),
        precision=_precision(precision, model, config),
        max_length=count("max_length", processor.get("model_max_length") if max_length is None else max_length),
        num_labels=count("num_labels", config.get("num_labels") if num_labels is None else num_labels),
        threads=count("threads", threads),
    )
