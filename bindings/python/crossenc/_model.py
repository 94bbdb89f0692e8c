"""A model of the library and where it is: what all classes of models share. Knows nothing of texts or scores.

A PlacedModel holds a handle, an object of the extension. What the library fixes at load (precision, maximal length) is
changed by loading anew and swapping the handle: calls in flight finish on the old one, which goes with the last of them,
and after a failure the old one stays."""
from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from . import _crossenc, _pools, _save
from ._arguments import Options, count, precision_name
from ._devices import Device, device_name
from ._log import ModelLog, logger
from ._model_card import card_of
from ._models import Config
from ._placement import Health, Placement

Self = TypeVar("Self", bound="PlacedModel")

_PLACES = ("eager", "deferred")
_OWN = ("_lock", "_log", "_handle", "_views")  # what is made anew where an object is unpickled
_TOKENS = "pairs become tokens in the library; SentenceTransformer's preprocess has those of texts"
_MODULES = "the modules are the library's; max_seq_length, config and to() are the model's own"
_TRAIN = "crossenc does not train: train with Sentence Transformers, and load the folder that it saves"
# Names of the reference that make no sense here, and what to do instead. Asking for them is an AttributeError.
_ELSEWHERE = {
    "model": "there is no model of transformers in it; it has to(), device, config and max_seq_length itself",
    "transformers_model": "there is no model of transformers in it",
    "tokenizer": "the tokenizer is the library's; max_seq_length sets the maximal length",
    "tokenize": _TOKENS,
    "preprocess": _TOKENS,
    "_first_module": _MODULES,
    "_last_module": _MODULES,
    "encode_multi_process": "encode takes a pool, and needs none: one model uses all cores of the CPU",
    "fit": _TRAIN,
    "old_fit": _TRAIN,
    "push_to_hub": "nothing is uploaded here: save_pretrained, then `hf upload`",
}


class PlacedModel:
    """Settings, handle and device of a model. Safe in threads."""

    _kind: ClassVar[type[Any]] = _crossenc.Model  # of the handle
    model_type: ClassVar[str]
    _config_settings: dict[str, Any] = {}
    _limit: int | None = None  # of tokens, below that of the handle
    model_card_data: Any

    def _open(self, path: str, options: Options, place: str) -> None:
        if place not in _PLACES:
            raise ValueError(f'place must be "eager" or "deferred", not {place!r}')
        self._lock = threading.Lock()
        self._log = ModelLog()
        self._path = path
        self._options = options
        self._handle = self._load(options, place)
        self._description: dict[str, Any] = self._handle.describe()

    def _load(self, options: Options, place: str) -> Any:
        self._stamp = _save.stamp(self._path)
        return self._kind(
            os.fsencode(self._path), options.device, place == "deferred", options.precision, options.threads, None,
            options.max_length, options.num_labels, options.include_prompt, self._loaded_activation(), self._log,
        )

    def _loaded_activation(self) -> str | None:
        """The library's activation that takes the place of what the model's files name; None: theirs."""
        return None

    def _reopen(self, **changes: Any) -> None:
        """Loads the model with other options, where it is and in the state in which it is, and takes its place."""
        self._handle.placement()  # refuses a closed model, and a process that was forked, before the lock
        with self._lock:
            placement = self.placement
            options = self._options._replace(device=",".join(self.devices))._replace(**changes)
            handle = self._load(options, "deferred" if placement.state == "deferred" else "eager")
            self._options, self._handle, self._description = options, handle, handle.describe()

    # ---- where it is

    @property
    def path(self) -> str:
        """The folder that the model was loaded from."""
        return self._path

    @property
    def placement(self) -> Placement:
        """Where the model is, how it came there and what was checked; of several devices, on the first that works."""
        return Placement(**self._handle.placement())

    @property
    def placements(self) -> list[Placement]:
        """The same of each device that the model is on."""
        return [Placement(**report) for report in self._handle.placements()]

    @property
    def device(self) -> Device:
        """The device that the weights are on, the first of several; of a deferred model, that they will be placed on."""
        return Device(self._handle.placement()["device"])

    @property
    def devices(self) -> list[Device]:
        """All of them: each has a replica of the model."""
        return [Device(report["device"]) for report in self._handle.placements()]

    @property
    def _target_device(self) -> Device:
        name = type(self).__name__
        logger.warning(f"`{name}._target_device` has been deprecated. Please use `{name}.device` instead.")
        return self.device

    @_target_device.setter
    def _target_device(self, device: Any) -> None:
        logger.warning(f"`{type(self).__name__}._target_device` has been deprecated. Please use `to(device)` instead.")
        self.to(device)

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Moves the model to a device, for good, and, if a dtype is given, into that precision: to("cuda"),
        to(torch.device("cuda", 1)), to(["cuda:0", "cuda:1"]), to("bfloat16"), to("cpu", torch.float32). A move that
        fails changes nothing."""
        device, precision = _targets(args, kwargs)
        if precision is not None and precision != self.placement.precision:
            self._reopen(precision=precision, **({} if device is None else {"device": device}))
        elif device is not None:
            self._handle.placement()  # as in _reopen
            with self._lock:
                self._handle.to(device)
        return self

    def cpu(self: Self) -> Self:
        return self.to("cpu")

    def cuda(self: Self, device: Any = None) -> Self:
        return self.to("cuda" if device is None else device)

    def float(self: Self) -> Self:
        """Into float32, from the model's files."""
        return self.to(dtype="float32")

    def bfloat16(self: Self) -> Self:
        """Into bfloat16, from the model's files."""
        return self.to(dtype="bfloat16")

    def half(self: Self) -> Self:
        """Into float16, from the model's files."""
        return self.to(dtype="float16")

    def eval(self: Self) -> Self:
        """Nothing: a model here has no other mode."""
        return self

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: kernels are chosen for the processor when the model is loaded."""

    def place(self: Self) -> Self:
        """Places a deferred or lost model now."""
        self._handle.place()
        return self

    def check(self) -> Health:
        """Runs the known input again and compares the bits with those at placement; raises if they differ."""
        return Health(**self._handle.check())

    def _before_call(self, device: Any, pool: Any, chunk_size: int | None) -> None:
        """What calls take as the reference's do, to move the model or to be checked."""
        if pool is not None:
            _pools.check(pool, chunk_size)
        elif device is not None:
            if isinstance(device, (list, tuple)):
                _pools.check_chunk_size(chunk_size)
            self.to(device)

    def start_multi_process_pool(self, target_devices: list[Any] | None = None) -> dict[str, Any]:
        """Nothing is started: one model uses all cores, and any number of threads may call it. Moves the model to the
        devices of the list, with a replica on each, for good; the model's calls take what it returns."""
        if target_devices is not None:
            self.to(target_devices)
        return _pools.new_pool()

    @staticmethod
    def stop_multi_process_pool(pool: dict[str, Any]) -> None:
        """Nothing: no process was started."""

    def evaluate(self, evaluator: Callable[..., Any], output_path: str | None = None) -> Any:
        """What the evaluator says of this model: any callable, and Sentence Transformers' evaluators in particular."""
        return evaluator(self, output_path)

    # ---- its folder

    def save_pretrained(
        self,
        path: str | os.PathLike[str] | None,
        model_name: str | None = None,
        create_model_card: bool = True,
        train_datasets: list[str] | None = None,
        safe_serialization: bool = True,
    ) -> None:
        """Writes the model as a folder that crossenc and Sentence Transformers load, with the same results: weights in
        float32, the tokenizer, and the settings as they are now (max_seq_length, prompts; activation_fn, or
        similarity_fn_name, truncate_dim and what pooling does with prompts). Of precision it keeps that of the model's
        files if that is int8, which crossenc alone reads.

        path                 appears whole or not at all. In a folder that is there, files of a model are replaced and
                             others stay; it may be the model's own. None does nothing
        model_name           goes into the card where that leaves the name open
        create_model_card    writes README.md: the model's own, or one of a few lines
        train_datasets, safe_serialization
                             have no effect, as in the reference: weights are safetensors
        """
        if path is None:
            return
        self._handle.placement()  # refuses a closed model, and a process that was forked
        if model_name and not os.path.exists(model_name) and not getattr(self.model_card_data, "model_id", None):
            self.model_card_data.model_id = model_name
        card = None
        if create_model_card:
            model_id = getattr(self.model_card_data, "model_id", None)
            card = card_of(self._path, self.model_type, model_id, self._new_card())
        self._write_folder(os.fsdecode(path), self._saved_precision(), self._settings_writer(card))

    def save(self, path: str | os.PathLike[str] | None = None, *args: Any, **kwargs: Any) -> None:
        """save_pretrained."""
        self.save_pretrained(path, *args, **kwargs)

    def _new_card(self) -> str:
        raise NotImplementedError

    def _settings_writer(self, card: str | None) -> Callable[[str], None]:
        """Writes the settings that the model has now into a folder; card is the text of its README.md."""
        raise NotImplementedError

    def _saved_precision(self) -> str:
        """What weights are written in so that the same precision at load gives the same bits: float32, which has
        exactly what the files had, and which other programs read. A model that is int8 in its files stays so."""
        is_int8 = self.placement.precision == "int8" and "I8" in self._description["weight_dtype"]
        return "int8" if is_int8 else "float32"

    def _write_folder(self, path: str, precision: str, add_settings: Callable[[str], None]) -> None:
        if _save.stamp(self._path) != self._stamp:
            raise OSError(f"files in {self._path} have changed since the model was loaded: load it anew to save it")
        is_bi_encoder = self._kind is _crossenc.Encoder
        _save.write_folder(path, self._path, precision, self._options.threads, is_bi_encoder, self._log, add_settings)
        if os.path.samefile(path, self._path):
            self._stamp = _save.stamp(self._path)

    # ---- what it is

    @property
    def config(self) -> Config:
        """config.json of the model's folder, with what the constructor's config_kwargs say."""
        return Config(self._path, self._description.get("labels"), self._config_settings)

    @property
    def dtype(self) -> str:
        """The precision that weights are held and multiplied in: "float32", "bfloat16", "float16" or "int8"."""
        return self.placement.precision

    @property
    def max_seq_length(self) -> int:
        """Tokens of a text or pair, special ones included; longer ones are cut. Setting it costs nothing up to what the
        model was loaded with; beyond that it loads the model anew."""
        return int(self._description["max_length"]) if self._limit is None else self._limit

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        if value is None:
            raise ValueError("max_seq_length must be a positive integer: every model has a limit")
        length, least = count("max_seq_length", value), self._description["special_tokens"]
        self._handle.placement()  # as in _reopen
        if length < least:
            raise ValueError(f"max_seq_length is {length}, and the special tokens alone are {least}")
        if length > self._description["max_length"]:
            self._reopen(max_length=length)
        self._limit = length

    def get_max_seq_length(self) -> int:
        return self.max_seq_length

    # ---- how it ends

    def close(self) -> None:
        """Frees the model, after the calls in flight. Calls that come later are a ValueError."""
        self._handle.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    if not TYPE_CHECKING:  # which would take every name for one that is there
        def __getattr__(self, name: str) -> Any:
            alternative = _ELSEWHERE.get(name)
            why = f": {alternative}" if alternative else ""
            raise AttributeError(f"crossenc's {type(self).__name__} has no attribute {name!r}{why}")

    def __getstate__(self) -> dict[str, Any]:
        """What opens the same model again, on the device where it is now."""
        placement = self.placement
        state = {name: value for name, value in self.__dict__.items() if name not in _OWN}
        state["_options"] = self._options._replace(device=",".join(self.devices))
        state["_place"] = "deferred" if placement.state == "deferred" else "eager"
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        place = state.pop("_place")
        self.__dict__.update(state)
        self._open(state["_path"], state["_options"], place)


def _targets(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str | None, str | None]:
    """The device and the precision among the arguments of to(), which has those of torch.nn.Module.to."""
    unknown = set(kwargs) - {"device", "dtype", "non_blocking", "copy", "memory_format"}
    if unknown:
        raise TypeError(f"to() got an unexpected keyword argument {sorted(unknown)[0]!r}")
    device, precision = device_name(kwargs.get("device")), precision_name(kwargs.get("dtype"))
    for argument in args:
        if _is_dtype(argument):
            precision = precision_name(argument)
        elif not isinstance(argument, bool):  # non_blocking
            device = device_name(argument)
    return device, precision


def _is_dtype(argument: Any) -> bool:
    kind = type(argument)
    if (kind.__module__, kind.__name__) == ("torch", "dtype"):
        return True
    return isinstance(argument, str) and argument in ("float32", "float16", "bfloat16", "int8", "float", "half")
