"""The constructor's arguments: the reference's names, places, old spellings and warnings; what is refused."""
import logging

import pytest


@pytest.fixture(autouse=True)
def fresh_warnings():
    from crossenc import _log
    _log.warn_once.cache_clear()


def test_positions_of_old(package, one, caplog):
    model = package.CrossEncoder(one, 1, 77, package.Sigmoid(), "cpu")
    assert (model.max_seq_length, model.activation_fn, model.device) == (77, package.Sigmoid(), "cpu")
    named = [f"`{name}`" for name in ("num_labels", "max_length", "activation_fn", "device")]
    assert all(any(name in line for line in caplog.messages) for name in named) and len(caplog.messages) == 4
    with pytest.raises(TypeError, match="positional"):
        package.CrossEncoder(one, 1, 77, None, "cpu", None)


@pytest.mark.parametrize("old, value, warns", [
    ("automodel_args", {"torch_dtype": "float32"}, "`model_kwargs`"),
    ("tokenizer_args", {"model_max_length": 33}, "`processor_kwargs`"),
    ("tokenizer_kwargs", {"model_max_length": 33}, "`processor_kwargs`"),
    ("config_args", {"num_labels": 1}, "`config_kwargs`"), ("cache_dir", "/nonexistent", "`cache_folder`"),
    ("default_activation_function", max, "`activation_fn`"), ("classifier_dropout", 0.1, "config_kwargs"),
])
def test_old_names(package, one, caplog, old, value, warns):
    for _ in range(2):
        model = package.CrossEncoder(one, **{old: value})
    assert model.max_seq_length == (33 if "tokenizer" in old else 1024)
    assert model.activation_fn is value if old == "default_activation_function" else True
    lines = [line for line in caplog.messages if f"`{old}`" in line and warns in line]
    assert len(lines) == (2 if old == "classifier_dropout" else 1)  # as often as the reference
    assert all(record.levelno == logging.WARNING for record in caplog.records)


def test_old_name_of_the_model(package, one, caplog):
    assert package.CrossEncoder(model_name=one).path == one and "`model_name`" in caplog.text


def test_new_name_wins(package, one):
    model = package.CrossEncoder(one, tokenizer_args={"model_max_length": 33}, processor_kwargs={"model_max_length": 44})
    assert model.max_seq_length == 44
    assert package.CrossEncoder(one, max_length=55, processor_kwargs={"model_max_length": 44}).max_seq_length == 55


def test_old_names_of_methods(model, pairs, caplog, package):
    expected = model.predict(pairs, activation_fn=package.Sigmoid()).tolist()
    assert model.predict(sentences=pairs, activation_fct=package.Sigmoid(), num_workers=3).tolist() == expected
    assert [name for name in ("`sentences`", "`activation_fct`", "`num_workers`") if name not in caplog.text] == []
    ranking = model.rank("q", ["a"], convert_to_numpy=True, convert_to_tensor=True, apply_softmax=True, num_workers=1)
    assert ranking == model.rank("q", ["a"])
    assert caplog.text.count("no effect") == 5


def test_old_names_of_properties(package, model):
    with pytest.warns(DeprecationWarning, match="max_seq_length"):
        assert model.max_length == 1024
    with pytest.warns(DeprecationWarning, match="max_seq_length"):
        model.max_length = 40
    with pytest.warns(DeprecationWarning, match="activation_fn"):
        assert model.default_activation_function == package.Identity()
    assert model.max_seq_length == 40


def test_old_name_of_the_device(model, caplog):
    assert model._target_device == "cpu" and "deprecated" in caplog.text
    model._target_device = "cpu"


@pytest.mark.parametrize("arguments, exception, words", [
    ({"backend": "x"}, ValueError, "Unsupported backend 'x'"), ({"backend": "onnx"}, NotImplementedError, "backend"),
    ({"modules": []}, NotImplementedError, "folder"), ({"num_labels": 0}, ValueError, "num_labels"),
    ({"num_labels": 3}, ValueError, "3"), ({"num_labels": "a"}, TypeError, "str"), ({"max_length": 0}, ValueError, "max"),
    ({"max_length": -5}, ValueError, "max_length"), ({"max_length": "a"}, TypeError, "str"),
    ({"max_length": 100000}, ValueError, "1024"), ({"max_length": 2**40}, ValueError, "max_length"),
    ({"activation_fn": "sigmoid"}, TypeError, "callable"), ({"threads": -1}, ValueError, "threads"),
    ({"threads": 2**40}, ValueError, "threads"),
    ({"precision": "float8"}, ValueError, "float32, bfloat16, float16, int8"), ({"place": "later"}, ValueError, "deferred"),
    ({"model_kwargs": {"torch_dtype": "float64"}}, ValueError, "float16"),
    ({"model_kwargs": {"quantization_config": 1}}, NotImplementedError, "quantization_config.*int8"),
    ({"model_kwargs": {"device_map": {"": 0}}}, NotImplementedError, "device="),
    ({"model_kwargs": {"dtype": "bfloat16"}, "precision": "int8"}, ValueError, "several precisions"),
    ({"processor_kwargs": {"chat_template": ""}}, NotImplementedError, "chat_template"),
    ({"config_kwargs": {"hidden_size": 3}}, NotImplementedError, "hidden_size"),
    ({"keep_in_fp32_modules": ["a"]}, NotImplementedError, "float32"),
    ({"default_prompt_name": "x"}, ValueError, "Default prompt name 'x' not found"),
    ({"nonsense": 1}, TypeError, "nonsense"),
])
def test_what_is_refused(package, one, arguments, exception, words):
    with pytest.raises(exception, match=words):
        package.CrossEncoder(one, **arguments)


def test_what_changes_nothing(package, one, pairs):
    model = package.CrossEncoder(
        one, trust_remote_code=True, local_files_only=True, token="x", keep_in_fp32_modules=[], backend="torch",
        model_kwargs={"attn_implementation": "sdpa", "dtype": "auto"}, processor_kwargs={"use_fast": True},
        config_kwargs={"classifier_dropout": 0.1}, model_card_data=object(), cache_folder="/nonexistent")
    assert model.predict(pairs).tolist() == package.CrossEncoder(one).predict(pairs).tolist()


def test_prompts(package, one, pairs):
    model = package.CrossEncoder(one, prompts={"web": "find: ", "none": None}, default_prompt_name="web")
    plain = package.CrossEncoder(one)
    manual = plain.predict([("find: " + q, d) for q, d in pairs]).tolist()
    assert model.predict(pairs).tolist() == manual == plain.predict(pairs, prompt="find: ").tolist()
    assert model.predict(pairs, prompt="").tolist() == plain.predict(pairs).tolist()
    assert model.predict(pairs, prompt_name="none").tolist() == plain.predict(pairs).tolist()
    assert model.rank("q", ["a"]) == plain.rank("q", ["a"], prompt="find: ")
    with pytest.raises(ValueError, match="Prompt name 'x' not found"):
        model.predict(pairs, prompt_name="x")
    with pytest.raises(TypeError):
        model.predict(pairs, prompt=3)


@pytest.mark.parametrize("arguments, words", [
    ({"processing_kwargs": {"text": {"stride": 3}}}, "It takes max_length"),
])
def test_what_predict_refuses(model, pairs, arguments, words):
    with pytest.raises(NotImplementedError, match=words):
        model.predict(pairs, **arguments)


@pytest.mark.parametrize("name", ["fit", "push_to_hub", "tokenizer", "transformers_model"])
def test_what_is_elsewhere_says_where(model, name):
    assert not hasattr(model, name)
    with pytest.raises(AttributeError, match=f"{name!r}: "):
        getattr(model, name)


def test_pools_are_the_model_itself(model, pairs):
    expected = model.predict(pairs).tolist()
    for devices in (None, ["cpu"], ["cpu"] * 4):
        pool = model.start_multi_process_pool(devices)
        assert model.predict(pairs, pool=pool, chunk_size=3).tolist() == expected
        assert model.rank("q", ["a", "b"], pool=pool) == model.rank("q", ["a", "b"])
        model.stop_multi_process_pool(pool)
    assert model.predict(pairs, device=["cpu", "cpu"]).tolist() == expected
    assert model.rank("q", ["a"], device=["cpu", "cpu"]) == model.rank("q", ["a"])
    for wish in ({"pool": pool}, {"device": ["cpu"]}):
        with pytest.raises(ValueError, match="chunk_size must be a positive integer, got 0"):
            model.predict(pairs, chunk_size=0, **wish)
    with pytest.raises(TypeError, match="start_multi_process_pool"):
        model.predict(pairs, pool={})
    for devices in (["cpu", "cuda:7"], ["opencl:9", "cpu"]):
        with pytest.raises(RuntimeError, match=devices[0] if devices[1] == "cpu" else devices[1]):
            model.start_multi_process_pool(devices)
    with pytest.raises(ValueError, match="empty"):
        model.predict(pairs, device=[])
    assert model.predict(pairs).tolist() == expected


def test_what_programs_of_the_reference_ask(package, one, model):
    assert model.is_singular_input(("a", "b")) and not model.is_singular_input([("a", "b")])
    assert not model.is_singular_input([]) and not model.is_singular_input(())
    assert model.compile(dynamic=True) is None and model.model is model and model.model.eval().device == "cpu"
    model.model_card_data.generate_widget_examples = False
    model.model_card_data.set_evaluation_metrics(None, {}, 0, 0)
    assert model.evaluate(lambda given, path: (given is model, path), "out") == (True, "out")
    assert model.config.classifier_dropout is None
    for arguments in ({"classifier_dropout": 0.25}, {"config_kwargs": {"classifier_dropout": 0.25}}):
        assert package.CrossEncoder(one, **arguments).config.classifier_dropout == 0.25
