"""What programs ask of a SentenceTransformer's parts: modules, tokenizer, tokens, and limits that are set on the way."""
import logging

import pytest
from conftest import DATA, MODELS

FOLDERS = DATA / "golden" / "encoders"
TEXTS = ["how many people live in berlin?", "a b c", ""]


@pytest.fixture
def model(package):
    with package.SentenceTransformer(FOLDERS / "cls-dense", device="cpu") as opened:
        yield opened


def test_modules_say_what_they_are(model):
    names = ["Transformer", "Pooling", "Dense", "Dropout", "LayerNorm", "Dense", "Normalize"]
    assert len(model) == 7 and [type(module).__name__ for module in model] == names
    assert model[0] is model._first_module() and model[-1] is model._last_module() and model[1:3] == [model[1], model[2]]
    assert model[0].get_embedding_dimension() == model[0].get_word_embedding_dimension() == 20
    assert (model[1].pooling_mode, model[1].include_prompt, model[1].get_embedding_dimension()) == ("cls", True, 20)
    assert (model[2].in_features, model[2].out_features, model[2].get_embedding_dimension()) == (20, 33, 33)
    assert model[3].dropout == 0.1 and model[4].get_sentence_embedding_dimension() == 33
    assert "out_features" in repr(model[2]) and model[0].config.hidden_size == 20
    with pytest.raises(AttributeError, match="the library runs the model as a whole"):
        model[0].auto_model
    with pytest.raises(IndexError):
        model[7]


def test_several_poolings(package):
    pooling = package.SentenceTransformer(FOLDERS / "old-max-cased", place="deferred")[1]
    assert pooling.pooling_mode == ("cls", "max") and pooling.get_pooling_mode_str() == "cls+max"
    assert pooling.get_embedding_dimension() == 2 * pooling.word_embedding_dimension == 28


def test_a_transformer_alone_gets_mean_pooling(package):
    for folder in (FOLDERS / "plain-classifier", MODELS / "three-labels"):
        model = package.SentenceTransformer(folder, place="deferred")
        assert [type(module).__name__ for module in model] == ["Transformer", "Pooling"]
        assert model[1].pooling_mode == "mean"


def test_modules_set_what_is_the_models(model):
    length, whole = model.max_seq_length, model.encode(TEXTS, prompt="find: ").tolist()
    model[0].max_seq_length = 5
    assert model.max_seq_length == model.tokenizer.model_max_length == 5
    model.tokenizer.model_max_length = length
    model[1].include_prompt = False
    assert not model[1].include_prompt and model.encode(TEXTS, prompt="find: ").tolist() != whole
    model.set_pooling_include_prompt(True)
    assert model.encode(TEXTS, prompt="find: ").tolist() == whole


def test_a_limit_does_not_load_the_model_anew(model):
    handle, length, whole = model._handle, model.max_seq_length, model.encode(TEXTS).tolist()
    model.max_seq_length = 5
    assert model._handle is handle and model.encode(TEXTS).tolist() != whole
    assert model.encode(TEXTS, processing_kwargs={"text": {"max_length": length, "padding": True}}).tolist() == whole
    kwargs = {"text": {"max_length": length}, "chat_template": {"x": 1}}  # which plain texts know nothing of
    assert model.encode(TEXTS, processing_kwargs=kwargs).tolist() == whole
    for wrong in (1, 10**6, 0, None):
        with pytest.raises(ValueError):
            model.max_seq_length = wrong
    assert model.max_seq_length == 5
    for wrong in ({"image": {}}, {"text": {"stride": 3}}, {"text": {"truncation": False}}):
        with pytest.raises(NotImplementedError, match="processing_kwargs"):
            model.encode("a", processing_kwargs=wrong)


def test_a_cross_encoders_limit(package, one, pairs):
    model = package.CrossEncoder(one)
    handle = model._handle
    model.max_seq_length = 12
    cut = model.predict(pairs).tolist()
    assert model._handle is handle and cut == package.CrossEncoder(one, max_length=12).predict(pairs).tolist()
    model.max_seq_length = 1024
    assert model.predict(pairs).tolist() == package.CrossEncoder(one).predict(pairs).tolist() != cut
    assert model.predict(pairs, processing_kwargs={"common": {"max_length": 12}}).tolist() == cut
    small = package.CrossEncoder(one, max_length=12)
    small.max_seq_length = 20  # more than it was loaded with
    assert small._handle is not handle and small.max_seq_length == 20
    assert small.predict(pairs).tolist() == package.CrossEncoder(one, max_length=20).predict(pairs).tolist()


def test_tokens(package, model, caplog):
    import numpy
    features = model.preprocess(TEXTS, prompt="find: ")
    assert list(features) == ["input_ids", "token_type_ids", "attention_mask", "modality", "prompt_length"]
    assert features["modality"] == "text" and features["prompt_length"] == 5
    rows = model.encode(TEXTS, prompt="find: ", output_value=None)
    assert set(rows[0]) == {*features, "token_embeddings", "sentence_embedding"} and rows[0]["prompt_length"] == 5
    for i, row in enumerate(rows):
        count = len(row["input_ids"])
        assert features["attention_mask"][i].tolist() == [1] * count + [0] * (features["input_ids"].shape[1] - count)
        assert (features["input_ids"][i][:count] == row["input_ids"]).all()
    model.tokenizer.padding_side = "left"
    left = model.preprocess(TEXTS, prompt="find: ")
    assert (numpy.sort(left["input_ids"]) == numpy.sort(features["input_ids"])).all() and left["attention_mask"][2][0] == 0
    with pytest.raises(ValueError, match="padding_side"):
        model.tokenizer.padding_side = "top"
    with caplog.at_level(logging.WARNING):
        assert (model.tokenize(TEXTS)["input_ids"] == model[0].tokenize(TEXTS)["input_ids"]).all()
    assert "please use `preprocess`" in caplog.text
    assert model.preprocess([]) == {} and model.preprocess(TEXTS, max_length=4)["input_ids"].shape == (3, 4)
    for wrong in (["a", 3], ["\ud800"], None):
        with pytest.raises(package.InputError):
            model.preprocess(wrong)
    with pytest.raises(TypeError, match="unexpected keyword argument 'nothing'"):
        model.preprocess(TEXTS, nothing=1)


def test_the_tokenizer(model):
    tokenizer = model.tokenizer
    ids = tokenizer(TEXTS)["input_ids"]
    assert [len(row) for row in ids] == [model.preprocess([text])["input_ids"].shape[1] for text in TEXTS]
    assert tokenizer(TEXTS[1])["input_ids"] == ids[1] == tokenizer.encode(TEXTS[1])
    assert len(tokenizer) == tokenizer.vocab_size == model.config.vocab_size
    assert "WordPiece" in repr(tokenizer)
