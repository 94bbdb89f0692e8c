"""llama.cpp as a re-ranker of BERT's kin, on its own GGUF file (llamacpp_model.py).

Settings: the type of the matrices, and whether attention is one operation (flash) or several (plain). Types of 16 bits
are two, since processors without BF16 are quicker with F16. Its GELU is the formula with tanh, from a table of halves:
that, not the type of the weights, is what its scores differ by in float32, and the bound in catalogue.py allows for it.
"""

import json

import serve  # first: it sets the environment
import catalogue
import llamacpp_model


def prepare(options):
    for kind in {name.split()[0] for name in catalogue.PEERS["llamacpp"].settings[options.precision]}:
        path = options.folder / f"{kind}.gguf"
        if not path.exists():
            llamacpp_model.write_file(options.model, path, "rank", kind)


def load(options):
    kind, attention = options.setting.split()
    words = json.loads((options.model / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    model = llamacpp_model.Model(options.folder / f"{kind}.gguf", "rank", options.threads, options.batch,
                                 attention == "flash")

    def tokens(encoding):
        return [word + kind * words for word, kind in zip(encoding.ids, encoding.type_ids)]

    def run(batches):
        return [model.run([tokens(encoding) for encoding in batch])[:, 0] for batch in batches]

    return serve.in_batches(serve.load_tokenizer(options.model), options.batch, run), ""


if __name__ == "__main__":
    serve.main(load, prepare)
