"""llama.cpp as the wheel of xllamacpp has it, through its C functions; and the GGUF file that it computes a BERT of.

The wheel offers a server alone, but its library exports llama.cpp's interface. Where the fields of
llama_context_params lie is that of the pinned version: what can be read back is, and another version is an error.

llama.cpp knows no token types and adds the row of type 0 to every token. So that it computes a model with types, the
file's table of word embeddings has a second half, for tokens of type 1, in which the difference of the two rows is
added.
"""

import ctypes
import json
import sys
from pathlib import Path

import numpy

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))

# What llama.cpp takes in one piece unless it is told otherwise. Several texts are one long sequence with a mask for it,
# and cost attention over all of its tokens: more in a piece is slower.
TOKENS = 512
POOLING = {"mean": 1, "rank": 4}  # llama_pooling_type
LAYER = {
    "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
}
WHOLE = {
    "embeddings.position_embeddings": "position_embd", "embeddings.LayerNorm": "token_embd_norm",
    "pooler.dense": "cls", "classifier": "cls.output",
}

# ---- the file --------------------------------------------------------------------------------------------------------


def file_name(name):
    """As llama.cpp calls a tensor of BERT; None for what it does not have."""
    stem, _, part = name.removeprefix("bert.").rpartition(".")
    if stem.startswith("encoder.layer."):
        number, _, rest = stem.removeprefix("encoder.layer.").partition(".")
        return f"blk.{number}.{LAYER[rest]}.{part}"
    return f"{WHOLE[stem]}.{part}" if stem in WHOLE else None


def tensors(folder, pooling):
    """name in the file -> float32 array"""
    import checkpoint

    given = {name: tensor.float32() for name, tensor in checkpoint.read_folder(folder).items()}
    named = {file_name(name): array for name, array in given.items()}
    bare = {name.removeprefix("bert."): array for name, array in given.items()}
    words, kinds = (bare[f"embeddings.{name}_embeddings.weight"] for name in ("word", "token_type"))
    out = {name: array for name, array in named.items() if name and (pooling == "rank" or not name.startswith("cls"))}
    out["token_embd.weight"] = numpy.concatenate([words, words + (kinds[1] - kinds[0])])
    out["token_types.weight"] = kinds
    return out


def write_file(folder, path, pooling, matrices):
    """Writes path from a folder of BERT with float32 weights, matrices in F32, F16, BF16 or Q8_0 and the rest in F32."""
    import gguf

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config["model_type"] != "bert" or config.get("hidden_act", "gelu") != "gelu":
        raise SystemExit(f"llama.cpp: {folder} is no BERT with gelu, of which alone files are written here")
    writer = gguf.GGUFWriter(str(path), "bert")
    writer.add_vocab_size(2 * config["vocab_size"])
    writer.add_tokenizer_model("none")
    writer.add_token_type_count(2)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType[pooling.upper()])
    for name, array in tensors(folder, pooling).items():
        kind = gguf.GGMLQuantizationType[matrices if name.startswith("blk.") and array.ndim == 2 else "F32"]
        writer.add_tensor(name, gguf.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ---- the library -----------------------------------------------------------------------------------------------------


class Settings(ctypes.Structure):
    """llama_model_params or llama_context_params: more bytes than either has."""

    _fields_ = [("bytes", ctypes.c_uint8 * 512)]


class Batch(ctypes.Structure):
    """llama_batch: tokens, where they are in their texts, and which texts these are."""

    _fields_ = [("count", ctypes.c_int32), ("tokens", ctypes.c_void_p), ("embeddings", ctypes.c_void_p),
                ("positions", ctypes.c_void_p), ("text_counts", ctypes.c_void_p), ("texts", ctypes.c_void_p),
                ("outputs", ctypes.c_void_p)]


NUMBERS = {"n_ctx": 0, "n_batch": 1, "n_ubatch": 2, "n_seq_max": 3, "n_threads": 7, "n_threads_batch": 8,
           "pooling_type": 11, "flash_attn_type": 13}  # of 32 bits, counted from the first
EMBEDDINGS = 136  # the byte of a flag
UNTOLD = {"n_ctx", "flash_attn_type"}  # the first is rounded up
LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class Library:
    def __init__(self):
        import xllamacpp

        self.library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
        self.silent = LOG(lambda level, text, user: None)  # has to outlive every call
        self.call("log_set", None, LOG, ctypes.c_void_p)(self.silent, None)

    def call(self, name, result, *arguments):
        function = getattr(self.library, f"llama_{name}")
        function.restype, function.argtypes = result, arguments
        return function


class Model:
    """A file of write_file with one context, for up to `most` texts in a call."""

    def __init__(self, path, pooling, threads, most, flash):
        self.library = Library()
        pointer, call = ctypes.c_void_p, self.library.call
        model = call("model_load_from_file", pointer, ctypes.c_char_p, Settings)(
            str(path).encode(), call("model_default_params", Settings)())
        if not model:
            raise SystemExit(f"llama.cpp: cannot load {path}")
        settings = {"n_ctx": TOKENS, "n_batch": TOKENS, "n_ubatch": TOKENS, "n_seq_max": most, "n_threads": threads,
                    "n_threads_batch": threads, "pooling_type": POOLING[pooling], "flash_attn_type": int(flash)}
        self.context = call("init_from_model", pointer, pointer, Settings)(model, self.settings(settings))
        if not self.context:
            raise SystemExit("llama.cpp: no context")
        for name in settings.keys() - UNTOLD:
            if call(name, ctypes.c_int32, pointer)(self.context) != settings[name]:
                raise SystemExit(f"llama.cpp: {name} was not set: another version than that of requirements.txt?")
        self.encode = call("encode", ctypes.c_int32, pointer, Batch)
        self.result = call("get_embeddings_seq", ctypes.POINTER(ctypes.c_float), pointer, ctypes.c_int32)
        self.width = 1 if pooling == "rank" else call("model_n_embd", ctypes.c_int32, pointer)(model)
        self.most, self.numbers = most, numpy.arange(most, dtype=numpy.int32)

    def settings(self, values):
        settings = self.library.call("context_default_params", Settings)()
        numbers = ctypes.cast(ctypes.pointer(settings), ctypes.POINTER(ctypes.c_int32))
        for name, value in values.items():
            numbers[NUMBERS[name]] = value
        settings.bytes[EMBEDDINGS] = 1
        return settings

    def piece(self, texts):
        """What the model makes of texts, lists of tokens that fit into one piece: [texts, width]."""
        lengths = [len(text) for text in texts]
        tokens = numpy.concatenate([numpy.asarray(text, numpy.int32) for text in texts])
        positions = numpy.concatenate([numpy.arange(length, dtype=numpy.int32) for length in lengths])
        ones, outputs = numpy.ones(len(tokens), numpy.int32), numpy.ones(len(tokens), numpy.int8)
        owners = numpy.repeat(numpy.arange(len(texts), dtype=numpy.uint64), lengths) * 4 + self.numbers.ctypes.data
        batch = Batch(len(tokens), tokens.ctypes.data, None, positions.ctypes.data, ones.ctypes.data,
                      owners.ctypes.data, outputs.ctypes.data)
        status = self.encode(self.context, batch)
        if status != 0:
            raise SystemExit(f"llama.cpp: encode returned {status}")
        rows = [numpy.ctypeslib.as_array(self.result(self.context, i), (self.width,)) for i in range(len(texts))]
        return numpy.array(rows)

    def run(self, texts):
        """The same of any number of texts, of at most TOKENS each: as many in a piece as fit."""
        out, begin = [], 0
        while begin < len(texts):
            end, total = begin, 0
            while end < len(texts) and end - begin < self.most and total + len(texts[end]) <= TOKENS:
                total += len(texts[end])
                end += 1
            out.append(self.piece(texts[begin:end]))
            begin = end
        return numpy.concatenate(out)
