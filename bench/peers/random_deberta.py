"""Makes a folder of a DeBERTa-v3 with random weights, for measuring speed where no trained one is.

    random_deberta.py SIZE FOLDER [SPM_MODEL]

SIZE is xsmall, small, base or large: the dimensions of microsoft/deberta-v3-SIZE. The tokenizer is made of SPM_MODEL,
by default ../shared/tokenizers/deberta-v3/spm.model. Needs transformers.
"""

import json
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SPM_MODEL = ROOT.parent / "shared" / "tokenizers" / "deberta-v3" / "spm.model"

# hidden_size, layers, heads, intermediate_size
SIZES = {"xsmall": (384, 12, 6, 1536), "small": (768, 6, 12, 3072), "base": (768, 12, 12, 3072),
         "large": (1024, 24, 16, 4096)}  # fmt: skip


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def fields(data):
    """(number, value) of the fields of a message of protocol buffers."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            size = 8 if key & 7 == 1 else 4
            value, at = data[at : at + size], at + size
        yield key >> 3, value


def read_pieces(path):
    """[(piece, score)] of SentencePiece's model."""
    pieces = []
    for number, value in fields(path.read_bytes()):
        if number == 1:
            piece = dict(fields(value))
            pieces.append((piece[1].decode(), struct.unpack("<f", piece[2])[0]))
    return pieces


def write_tokenizer(folder, spm_model):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    pieces = read_pieces(spm_model)
    tokenizer = Tokenizer(models.Unigram([*pieces, ("[MASK]", 0.0)], 3, False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([piece for piece, _ in pieces[:4]] + ["[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )  # fmt: skip
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "DebertaV2Tokenizer", "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return len(pieces) + 1


def main():
    import torch
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    size, folder = sys.argv[1], Path(sys.argv[2])
    spm_model = Path(sys.argv[3]) if len(sys.argv) > 3 else SPM_MODEL
    hidden, layers, heads, inner = SIZES[size]
    folder.mkdir(parents=True, exist_ok=True)
    vocab_size = write_tokenizer(folder, spm_model)
    config = DebertaV2Config(
        vocab_size=vocab_size, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=inner, type_vocab_size=0, relative_attention=True, position_buckets=256,
        norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p", position_biased_input=False,
        num_labels=1, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(1)
    DebertaV2ForSequenceClassification(config).eval().save_pretrained(folder)


if __name__ == "__main__":
    main()
