"""PyTorch: sentence-transformers' CrossEncoder.predict, which tokenizes, and sorts the pairs by length itself."""

import serve  # first: it sets the environment
import torch
from sentence_transformers import CrossEncoder


def load(options):
    torch.set_num_threads(options.threads)
    model = CrossEncoder(
        str(options.model), device="cpu", model_kwargs={"dtype": getattr(torch, options.precision)}
    )

    def score(pairs):
        return model.predict(
            pairs, batch_size=options.batch, show_progress_bar=False, activation_fn=torch.nn.Identity()
        )

    return score, ""


if __name__ == "__main__":
    serve.main(load)
