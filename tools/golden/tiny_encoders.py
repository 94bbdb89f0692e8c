"""Small random models of architectures that came after those of tiny_models.py, with seeds of their own."""

IDENTITY = {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}

# As in tiny_models.MODELS; seed: of the weights.
MODELS = {
    # As ALBERT is published: one layer, run again and again.
    "albert": {
        "seed": 211, "kind": ("albert", "AlbertForSequenceClassification"),
        "config": {"hidden_size": 28, "embedding_size": 18, "num_hidden_layers": 3, "hidden_act": "gelu_new"},
        "extra": {"num_hidden_groups": 1, "inner_group_num": 1, **IDENTITY},
        "labels": ["LABEL_0"], "tokenizer": "albert", "limit": 64,
    },
    # Layers in groups that do not share out evenly, embeddings that are as wide and projected all the same.
    "albert-groups": {
        "seed": 202, "kind": ("albert", "AlbertForSequenceClassification"), "brief": True,
        "config": {"hidden_size": 20, "embedding_size": 20, "num_hidden_layers": 5, "num_attention_heads": 2,
                   "hidden_act": "relu"},
        "extra": {"num_hidden_groups": 3, "inner_group_num": 2},
        "labels": ["no", "yes", "perhaps"], "store": "F16", "tokenizer": "json", "limit": 48, "gain": 0.9,
    },
    # Texts of more than 128 tokens, so that every bucket is met.
    "mpnet": {
        "seed": 203, "kind": ("mpnet", "MPNetForSequenceClassification"),
        "config": {"hidden_size": 24, "num_attention_heads": 3, "max_position_embeddings": 200},
        "extra": {"relative_attention_num_buckets": 32, **IDENTITY},
        "labels": ["LABEL_0"], "tokenizer": "mpnet", "limit": 190,
    },
}  # fmt: skip
