#!/usr/bin/env python3
"""Speed of the bi-encoder beside its peers: the same texts, the same model in float32, as many threads as there are cores.

    encode.py [--work abstracts|sentences] [--texts N] [--rounds N] [--peers torch,ort,openvino,llamacpp] [--model DIR]
              [--package BUILD/python] [--json FILE] --python PYTHON

Works: abstracts are documents of ../shared/data/scifact, of which the model reads 256 tokens; sentences are those of
../shared/data/stsb, about 14 tokens each. Programs load, encode all texts to warm up, then take turns, a round each; the
median round counts. Embeddings must be PyTorch's within 1e-4 (llama.cpp's within 2e-3: llamacpp_peer.py says why), else
a row is void. PyTorch is sentence-transformers' encode; ONNX Runtime and OpenVINO get the exported transformer with mean
pooling and normalization in its graph (which is what all-MiniLM-L6-v2 has behind it), llama.cpp a file with F32 weights;
texts are sorted by length, tokens are those of the `tokenizers` package, within the time.
Each peer is measured with batches of 1 and of 32, and the better row counts.

PYTHON has the packages of requirements.txt; --package is where the package crossenc of a build lies.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "true"

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
BOUNDS = {"llamacpp": 2e-3}
BOUND = 1e-4  # of the others


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", choices=("abstracts", "sentences"), default="abstracts")
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default="torch,ort,openvino,llamacpp")
    parser.add_argument("--model", type=Path, default=SHARED / "models" / "all-MiniLM-L6-v2")
    parser.add_argument("--package", type=Path, default=ROOT / "build" / "release" / "python")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--serve", help="for the script itself: PROGRAM BATCH")
    parser.add_argument("--folder", type=Path, help="for the script itself")
    return parser.parse_args()


def make_texts(work, count):
    if work == "sentences":
        with open(SHARED / "data" / "stsb" / "stsb-en-train.csv", encoding="utf-8", newline="") as file:
            rows = [text for row in csv.reader(file) for text in row[:2]]
    else:
        lines = (SHARED / "data" / "scifact" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [f"{entry['title']} {entry['text']}" for entry in map(json.loads, lines)]
    return [rows[i * len(rows) // count] for i in range(count)]


# ---- programs: a function from texts to embeddings -------------------------------------------------------------------


def load_crossenc(options, batch):
    sys.path.insert(0, str(options.package))
    from crossenc import SentenceTransformer

    model = SentenceTransformer(str(options.model), device="cpu", threads=options.threads)
    if batch == 1:
        return lambda texts: [model.encode(text) for text in texts]
    return model.encode


def load_torch(options, batch):
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(options.threads)
    model = SentenceTransformer(str(options.model), device="cpu", model_kwargs={"dtype": torch.float32})
    return lambda texts: model.encode(texts, batch_size=batch, show_progress_bar=False)


def embedding_graph(model):
    """The transformer, mean pooling and normalization, and inputs to trace it with: a batch with real padding."""
    import torch
    from transformers import AutoModel

    class Graph(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = AutoModel.from_pretrained(model, dtype=torch.float32, attn_implementation="eager").eval()

        def forward(self, input_ids, attention_mask, token_type_ids):
            inputs = dict(zip(INPUTS, (input_ids, attention_mask, token_type_ids)))
            states = self.model(**inputs).last_hidden_state
            mask = attention_mask.unsqueeze(-1).float()
            return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)

    ids = torch.arange(1000, 1032).reshape(2, 16)
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    return Graph(), (ids * mask, mask, torch.zeros_like(ids))


def with_tokenizer(options, batch, run):
    """Tokenizes, sorts by length, and gives the encodings of each batch to run."""
    import numpy
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(json.loads((options.model / "sentence_bert_config.json").read_text())["max_seq_length"])

    def encode(texts):
        encodings = tokenizer.encode_batch(texts)
        order = sorted(range(len(texts)), key=lambda i: -len(encodings[i]))
        out = numpy.empty((len(texts), 384), numpy.float32)
        for at in range(0, len(order), batch):
            chosen = order[at : at + batch]
            out[chosen] = run([encodings[i] for i in chosen])
        return out

    return encode


def padded(encodings):
    """The inputs of a batch whose first text is the longest."""
    import numpy

    arrays = numpy.zeros((3, len(encodings), len(encodings[0])), numpy.int64)
    for row, encoding in enumerate(encodings):
        arrays[0, row, : len(encoding)] = encoding.ids
        arrays[1, row, : len(encoding)] = 1
    return dict(zip(INPUTS, arrays))


def load_ort(options, batch):
    import onnxruntime

    path = options.folder / "encoder.onnx"
    if not path.exists():
        import torch

        graph, example = embedding_graph(options.model)
        axes = {name: {0: "batch", 1: "length"} for name in INPUTS} | {"embedding": {0: "batch"}}
        torch.onnx.export(graph, example, str(path), input_names=list(INPUTS), output_names=["embedding"],
                          dynamic_axes=axes, opset_version=17, dynamo=False)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = options.threads, 1
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return with_tokenizer(options, batch, lambda texts: session.run(None, padded(texts))[0])


def load_openvino(options, batch):
    import openvino

    graph, example = embedding_graph(options.model)
    shapes = [(name, [-1, -1], openvino.Type.i64) for name in INPUTS]
    model = openvino.convert_model(graph, input=shapes, example_input=dict(zip(INPUTS, example)))
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": options.threads,
              "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(model, "CPU", config)

    def run(texts):
        feed = padded(texts)
        return compiled([feed[name] for name in INPUTS])[0]

    return with_tokenizer(options, batch, run)


def load_llamacpp(options, batch):
    import llamacpp_model
    import numpy

    path = options.folder / "encoder.gguf"
    if not path.exists():
        llamacpp_model.write_file(options.model, path, "mean", "F32")
    model = llamacpp_model.Model(path, "mean", options.threads, batch, flash=True)

    def run(texts):
        states = model.run([text.ids for text in texts])
        return states / numpy.linalg.norm(states, axis=1, keepdims=True)

    return with_tokenizer(options, batch, run)


PROGRAMS = {"crossenc": load_crossenc, "torch": load_torch, "ort": load_ort, "openvino": load_openvino,
            "llamacpp": load_llamacpp}


def serve(options):
    import numpy

    name, batch = options.serve.split()
    texts = json.loads((options.folder / "texts.json").read_text(encoding="utf-8"))
    encode = PROGRAMS[name](options, int(batch))
    numpy.save(options.folder / f"{name}-{batch}.npy", numpy.asarray(encode(texts), numpy.float32))
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        encode(texts)
        print(f"{time.perf_counter() - start:.6f}", flush=True)


# ---- measuring -------------------------------------------------------------------------------------------------------


def start(options, folder, name, batch):
    command = [options.python, __file__, "--serve", f"{name} {batch}", "--folder", folder, "--model", options.model]
    command += ["--package", options.package, "--threads", str(options.threads)]
    process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    ready = process.stdout.readline().strip() == "ready"
    return {"name": name, "batch": batch, "process": process, "failed": not ready, "seconds": []}


def take_turns(rows, rounds):
    for _ in range(rounds):
        for row in rows:
            if not row["failed"]:
                row["process"].stdin.write("\n")
                row["process"].stdin.flush()
                row["seconds"].append(float(row["process"].stdout.readline()))
    for row in rows:
        row.pop("process").communicate()


def deviation(folder, row):
    import numpy

    found, wanted = (numpy.load(folder / f"{name}.npy") for name in (f"{row['name']}-{row['batch']}", "torch-1"))
    return float(numpy.abs(found - wanted).max())


def report(options, rows, folder):
    for row in rows:
        row["deviation"] = None if row["failed"] else deviation(folder, row)
        row["void"] = row["failed"] or not row["deviation"] <= BOUNDS.get(row["name"], BOUND)
        row["median"] = None if row["failed"] else statistics.median(row["seconds"])
    best = min((row["median"] for row in rows if row["name"] == "crossenc" and not row["void"]), default=None)
    print(f"{options.work}: {options.texts} texts, {options.model.name}, float32, {options.threads} threads, median of "
          f"{options.rounds} rounds")
    for row in sorted(rows, key=lambda row: row["median"] or float("inf")):
        said = "failed" if row["failed"] else (
            f"{options.texts / row['median']:9.1f} texts/s  time {row['median'] / best:5.2f}  "
            f"deviation {row['deviation']:.1e}{'  void' if row['void'] else ''}")
        print(f"  {row['name']:9} {'a text a call' if row['batch'] == 1 else 'batches of 32':14} {said}")
    if options.json:
        options.json.write_text(json.dumps({"work": options.work, "texts": options.texts, "rows": rows}, indent=1) + "\n")
    return best


def main():
    options = parse_arguments()
    if options.serve:
        serve(options)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "texts.json").write_text(json.dumps(make_texts(options.work, options.texts)), encoding="utf-8")
        names = ["crossenc", *options.peers.split(",")]
        rows = [start(options, folder, program, batch) for program in names for batch in (1, 32)]
        take_turns(rows, options.rounds)
        sys.exit(0 if report(options, rows, folder) else "encode.py: crossenc's embeddings are not those of the model")


if __name__ == "__main__":
    main()
