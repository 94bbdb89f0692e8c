"""Small random models of architectures that came after those of tiny_models.py, with seeds of their own."""

IDENTITY = {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}

# As in tiny_models.MODELS; seed: of the weights; twin: what runs it in the place of its authors' code (authors.py).
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
    # As jina-reranker-v1-tiny is published; a number of heads that is no power of two.
    "jina-bert": {
        "seed": 204, "kind": ("bert", "JinaBertForSequenceClassification"), "twin": "jina-bert",
        "config": {"hidden_size": 24, "num_attention_heads": 6, "intermediate_size": 40,
                   "max_position_embeddings": 128},
        "extra": {"position_embedding_type": "alibi", "feed_forward_type": "geglu", "emb_pooler": "mean", **IDENTITY},
        "labels": ["LABEL_0"], "tokenizer": "json", "limit": 120,
    },
    "jina-bert-reglu": {
        "seed": 205, "kind": ("bert", "JinaBertForSequenceClassification"), "twin": "jina-bert", "brief": True,
        "config": {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 21},
        "extra": {"position_embedding_type": "alibi", "feed_forward_type": "reglu"},
        "labels": ["no", "yes"], "store": "BF16", "tokenizer": "vocab", "limit": 64, "cased": True,
    },
    # As jina-reranker-v2-base-multilingual is published.
    "jina-xlm-roberta": {
        "seed": 206, "kind": ("xlm-roberta", "XLMRobertaForSequenceClassification"), "twin": "flash", "brief": True,
        "config": {"hidden_size": 20, "max_position_embeddings": 66, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
        "extra": {"position_embedding_type": "absolute", "use_flash_attn": True, **IDENTITY},
        "labels": ["LABEL_0"], "tokenizer": "unigram", "limit": 64,
    },
    # As gte-multilingual-reranker-base is published, and with scaling in its mixed form.
    "new": {
        "seed": 207, "kind": ("new", "NewForSequenceClassification"), "twin": "new",
        "config": {"hidden_size": 24, "num_attention_heads": 3, "max_position_embeddings": 128, "type_vocab_size": 1},
        "extra": {"position_embedding_type": "rope", "rope_theta": 20000.0, "rope_scaling": {"type": "ntk", "factor": 8.0},
                  "pack_qkv": True, "layer_norm_type": "layer_norm", "logn_attention_scale": False, **IDENTITY},
        "labels": ["LABEL_0"], "store": "F16", "tokenizer": "unigram", "limit": 120,
    },
    "new-mixed": {
        "seed": 208, "kind": ("new", "NewForSequenceClassification"), "twin": "new", "brief": True,
        "config": {"hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 1, "type_vocab_size": 0},
        "extra": {"rope_theta": 500.0, "rope_scaling": {"type": "ntk", "factor": 4.0, "mixed_b": 0.6}, "pack_qkv": True},
        "labels": ["no", "yes"], "tokenizer": "json", "limit": 64, "no_types": True,
    },
    # As jina-embeddings-v3 was published, with a classifier and without adapters.
    "jina-rotary": {
        "seed": 210, "kind": ("xlm-roberta", "XLMRobertaForSequenceClassification"), "twin": "flash-rotary", "brief": True,
        "config": {"hidden_size": 20, "num_attention_heads": 2, "max_position_embeddings": 66, "type_vocab_size": 1,
                   "layer_norm_eps": 1e-5},
        "extra": {"position_embedding_type": "rotary", "rotary_emb_base": 700.0, "use_flash_attn": True},
        "labels": ["no", "yes"], "store": "F16", "tokenizer": "unigram", "limit": 64,
    },
    # As nomic-embed-text-v1.5 is published, with a classifier.
    "nomic-authors": {
        "seed": 209, "kind": ("nomic_bert", "NomicBertForSequenceClassification"), "twin": "nomic", "brief": True,
        "keys": {"hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head",
                 "intermediate_size": "n_inner", "layer_norm_eps": "layer_norm_epsilon",
                 "max_position_embeddings": "n_positions"},
        "config": {"hidden_size": 12, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 20},
        "extra": {"activation_function": "swiglu", "causal": False, "max_trained_positions": 2048, "mlp_fc1_bias": False,
                  "mlp_fc2_bias": False, "parallel_block": False, "prenorm": False, "qkv_proj_bias": False,
                  "rotary_emb_base": 500, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False,
                  "rotary_emb_scale_base": None, "rotary_scaling_factor": None, "use_rms_norm": False},
        "labels": ["no", "yes"], "store": "F16", "tokenizer": "json", "limit": 64,
    },
    # Scaled positions: with a factor of cosines and sines; of each kind of layers its own; up to the first length.
    "gte-yarn": {
        "seed": 221, "kind": ("gte", "GteForSequenceClassification"), "brief": True,
        "config": {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 20, "type_vocab_size": 0,
                   "max_position_embeddings": 128},
        "extra": {"rope_theta": 1000.0, "rope_scaling": {"type": "yarn", "factor": 8.0,
                                                         "original_max_position_embeddings": 16}, **IDENTITY},
        "labels": ["LABEL_0"], "store": "F16", "tokenizer": "json", "limit": 120, "no_types": True,
    },
    "modernbert-scaled": {
        "seed": 222, "kind": ("modernbert", "ModernBertForSequenceClassification"), "brief": True,
        "keys": {"hidden_act": "hidden_activation", "layer_norm_eps": "norm_eps"},
        "config": {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 20, "layer_norm_eps": 1e-5,
                   "max_position_embeddings": 128},
        "extra": {"layer_types": ["full_attention", "sliding_attention"], "local_attention": 20,
                  "rope_parameters": {
                      "full_attention": {"rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0,
                                         "high_freq_factor": 4.0, "original_max_position_embeddings": 32},
                      "sliding_attention": {"rope_type": "linear", "rope_theta": 100.0, "factor": 3.0}}},
        "labels": ["no", "yes"], "store": "F16", "tokenizer": "json", "limit": 120, "no_types": True, "gain": 0.6,
    },
    "nomic-longrope": {
        "seed": 223, "kind": ("nomic_bert", "NomicBertForSequenceClassification"), "brief": True,
        "config": {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 20, "num_hidden_layers": 1,
                   "max_position_embeddings": 96},
        "extra": {"rope_parameters": {"rope_type": "longrope", "rope_theta": 1000.0, "short_factor": [1.0, 1.3, 1.7, 3.0],
                                      "long_factor": [1.0, 2.0, 3.0, 4.0], "original_max_position_embeddings": 48}},
        "labels": ["no", "yes"], "store": "F16", "tokenizer": "json", "limit": 48,
    },
    "gte-dynamic": {
        "seed": 224, "kind": ("gte", "GteForSequenceClassification"), "brief": True,
        "config": {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 20, "num_hidden_layers": 1,
                   "type_vocab_size": 0, "max_position_embeddings": 64},
        "extra": {"rope_theta": 1000.0, "rope_scaling": {"type": "dynamic", "factor": 2.0}, **IDENTITY},
        "labels": ["LABEL_0"], "store": "F16", "tokenizer": "json", "limit": 64, "no_types": True,
    },
    # As deberta-base is published: both terms, no token types; absolute positions besides.
    "deberta": {
        "seed": 231, "kind": ("deberta", "DebertaForSequenceClassification"),
        "config": {"hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 40, "type_vocab_size": 0,
                   "layer_norm_eps": 1e-7},
        "extra": {"relative_attention": True, "max_relative_positions": -1, "pos_att_type": "c2p|p2c",
                  "position_biased_input": True, "pooler_hidden_act": "gelu", **IDENTITY},
        "labels": ["LABEL_0"], "tokenizer": "deberta-byte-level", "limit": 64,
    },
    # Fewer distances than positions, one term, token types, int8, no absolute positions.
    "deberta-p2c": {
        "seed": 232, "kind": ("deberta", "DebertaForSequenceClassification"), "brief": True,
        "config": {"hidden_size": 20, "num_attention_heads": 2, "num_hidden_layers": 1, "layer_norm_eps": 1e-7},
        "extra": {"relative_attention": True, "max_relative_positions": 20, "pos_att_type": ["p2c"],
                  "position_biased_input": False, "pooler_hidden_act": "tanh"},
        "labels": ["no", "yes"], "store": "I8", "tokenizer": "json", "limit": 64,
    },
}  # fmt: skip
