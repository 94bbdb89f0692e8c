"""Scores pairs with sentence-transformers on PyTorch in float32; run.py starts it and takes turns with it.

    torch_peer.py MODEL_DIR PAIRS.tsv BATCH_SIZE THREADS SCORES_FILE

After loading and a warm-up round it writes the scores to SCORES_FILE and prints "ready"; then, for each line on
standard input, it scores all pairs and prints the seconds that took. predict itself sorts the pairs by length.
"""

import os
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
from sentence_transformers import CrossEncoder  # noqa: E402


def main():
    model_dir, pairs_path, batch_size, threads, scores_path = sys.argv[1:]
    torch.set_num_threads(int(threads))
    with open(pairs_path, encoding="utf-8", newline="\n") as file:
        pairs = [tuple(line.rstrip("\n").split("\t", 1)) for line in file]
    model = CrossEncoder(model_dir, device="cpu", model_kwargs={"dtype": torch.float32})
    options = {"batch_size": int(batch_size), "show_progress_bar": False, "activation_fn": torch.nn.Identity()}
    scores = model.predict(pairs, **options)
    with open(scores_path, "w", encoding="utf-8") as file:
        file.writelines(f"{score:.9g}\n" for score in scores)
    print("ready", flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        model.predict(pairs, **options)
        print(f"{time.perf_counter() - begin:.6f}", flush=True)


if __name__ == "__main__":
    main()
