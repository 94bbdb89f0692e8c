"""The models that the reference's tests name, for a machine that can't download them: a hub cache made of stand-ins.

Each name is one of ../shared/models, or a small random BERT that is made here with the same labels, activation and
layout as the model of that name. Both implementations find them by name, offline; scores that a test expects of the
trained model itself are then wrong for both, which the runner sees from the reference's own run.
"""
import json
import pathlib
import shutil

SIGMOID = "torch.nn.modules.activation.Sigmoid"
TANH = "torch.nn.modules.activation.Tanh"
TOKENIZER = "crossenc-small-en"  # whose tokenizer the small models have

# name -> a folder of shared/models
SHARED_MODELS = {
    "cross-encoder/ms-marco-MiniLM-L6-v2": "crossenc-small-en",
    "cross-encoder/ms-marco-MiniLM-L-6-v2": "crossenc-small-en",
    "cross-encoder/ms-marco-MiniLM-L12-v2": "ms-marco-MiniLM-L-12-v2-dq",
    "cross-encoder/stsb-distilroberta-base": "crossenc-small-en",
    "cross-encoder/stsb-roberta-base": "crossenc-small-en",
    "sentence-transformers/all-MiniLM-L6-v2": "all-MiniLM-L6-v2",
    "sentence-transformers/paraphrase-distilroberta-base-v1": "all-MiniLM-L6-v2",
    "sentence-transformers/stsb-bert-base": "all-MiniLM-L6-v2",
}
# name -> a small model: its labels and what config.json says of the activation
BCE = "cross-encoder-testing/reranker-bert-tiny-gooaq-bce"
SMALL_MODELS = {
    BCE: (1, {"sentence_transformers": {"activation_fn": SIGMOID}}),
    f"{BCE}-tanh-v3": (1, {"sbert_ce_default_activation_function": TANH}),
    f"{BCE}-tanh-v4": (1, {"sentence_transformers": {"activation_fn": TANH}}),
    "cross-encoder/nli-MiniLM2-L6-H768": (3, {}),
    "BAAI/bge-reranker-base": (1, {}),
}
RESAVED = {f"{BCE}-STv54": BCE}  # by the reference, in its own layout
EMBEDDERS = ("sentence-transformers-testing/stsb-bert-tiny-safetensors", "distilbert/distilbert-base-uncased",
             "distilbert/distilroberta-base")
COMMIT = "5" * 40  # what every revision is: caches are asked for commits by their hashes
REVISIONS = ("main", "f3cb857cba53019a20df283396bcca179cf051a4", "ba33022fdf0b0fc2643263f0726f44d0a07d0e24")


def make_hub(shared, hub):
    """Fills the folder hub, laid out as the Hugging Face cache, unless it was filled before."""
    shared, hub = pathlib.Path(shared), pathlib.Path(hub)
    done = hub / "complete"
    if done.exists():
        return
    shutil.rmtree(hub, ignore_errors=True)
    for name, folder in SHARED_MODELS.items():
        _snapshot(hub, name).symlink_to(_in_float32((shared / "models" / folder).resolve(), hub / "float32" / folder))
    for seed, (name, (labels, extra)) in enumerate(SMALL_MODELS.items()):
        _classifier(shared, _snapshot(hub, name), labels, extra, seed)
    for name, source in RESAVED.items():
        from sentence_transformers import CrossEncoder
        model = CrossEncoder(str(_repository(hub, source) / "snapshots" / COMMIT))
        model.save_pretrained(str(_snapshot(hub, name)))
    for seed, name in enumerate(EMBEDDERS):
        _embedder(shared, _snapshot(hub, name), seed)
    done.write_text("")


def _repository(hub, name):
    return hub / ("models--" + name.replace("/", "--"))


def _snapshot(hub, name):
    """The folder that a model goes to, with all revisions pointing at it."""
    repository = _repository(hub, name)
    (repository / "snapshots").mkdir(parents=True)
    (repository / "refs").mkdir()
    for revision in REVISIONS:
        (repository / "refs" / revision).write_text(COMMIT)
    return repository / "snapshots" / COMMIT


def _in_float32(folder, copy):
    """A copy of a model's folder with float32 weights, as the models of these names have: transformers computes in the
    type that it finds in the file."""
    from safetensors.torch import load_file, save_file
    if not copy.exists():
        copy.mkdir(parents=True)
        for file in folder.iterdir():
            (copy / file.name).symlink_to(file)
        tensors = load_file(folder / "model.safetensors")
        (copy / "model.safetensors").unlink()
        save_file({name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()},
                  copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def _config(**settings):
    from transformers import BertConfig
    return BertConfig(vocab_size=30522, hidden_size=128, num_hidden_layers=2, num_attention_heads=2,
                      intermediate_size=512, initializer_range=0.2, **settings)


def _add_tokenizer(shared, folder):
    for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copyfile(shared / "models" / TOKENIZER / file, folder / file)


def _classifier(shared, folder, labels, extra, seed):
    import torch
    from transformers import BertForSequenceClassification
    torch.manual_seed(seed)
    BertForSequenceClassification(_config(num_labels=labels)).save_pretrained(folder)
    _add_tokenizer(shared, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **extra}, indent=2))


def _embedder(shared, folder, seed):
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertModel
    torch.manual_seed(100 + seed)
    bare = folder.parent.parent / "bare"
    BertModel(_config()).save_pretrained(bare)
    _add_tokenizer(shared, bare)
    transformer = Transformer(str(bare))
    model = SentenceTransformer(modules=[transformer, Pooling(transformer.get_embedding_dimension())])
    model.save_pretrained(str(folder))
