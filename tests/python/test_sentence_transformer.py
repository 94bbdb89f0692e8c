"""SentenceTransformer against the reference's recorded results, and what callers hand in: values, types, exceptions."""
import collections
import gc
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import DATA, PACKAGE, SHARED
from test_lifetime import resident
from test_process import python

GOLDEN = json.loads((DATA / "python" / "encodings.json").read_text(encoding="utf-8"))
TEXTS = GOLDEN["texts"]
FOLDERS = DATA / "golden" / "encoders"
NAMES = list(GOLDEN["models"])
BOUND = 1e-4  # docs/numerics.md; embeddings' values are near 1 or below


@pytest.fixture(autouse=True)
def fresh_warnings():
    from crossenc import _log
    _log.warn_once.cache_clear()


@pytest.fixture(scope="module", name="models")
def models_by_name():
    import crossenc
    return {name: crossenc.SentenceTransformer(FOLDERS / name, device="cpu") for name in NAMES}


@pytest.fixture
def folder():
    return str(FOLDERS / NAMES[0])


@pytest.fixture
def model(package, folder):
    with package.SentenceTransformer(folder, device="cpu", threads=2) as opened:
        yield opened


def recorded(kind):
    return [pytest.param(name, case, id=f"{name}-{case['arguments']}")
            for name, results in GOLDEN["models"].items() for case in results[kind]]


def call(method, arguments, **names):
    import numpy
    return eval(f"method({arguments})", {"np": numpy, "method": method, "texts": TEXTS, **names})


def same(found, expected, bound=BOUND):
    import numpy
    if expected["type"] == "list":
        return isinstance(found, list) and all(map(same, found, expected["items"]))
    values = expected["values"]
    if isinstance(values, str):
        values = numpy.frombuffer(bytes.fromhex(values), expected["dtype"])
    values = numpy.reshape(values, expected["shape"])
    kinds = {"array": numpy.ndarray, "float32": numpy.float32, "float64": numpy.float64}
    return (isinstance(found, (kinds.get(expected["type"], numpy.generic), numpy.generic))
            and (str(found.dtype), list(found.shape)) == (expected["dtype"], expected["shape"])
            and numpy.allclose(found, values, rtol=bound, atol=bound))


# ---- the reference's results


@pytest.mark.parametrize("name, case", recorded("encode"))
def test_encode(models, name, case):
    found = call(models[name].encode, case["arguments"])
    if "int8" not in case["arguments"]:
        assert same(found, case)
        return
    import numpy  # a value at the border of two steps may fall to either side
    values = numpy.frombuffer(bytes.fromhex(case["values"]), case["dtype"]).reshape(case["shape"])
    assert found.dtype == values.dtype and abs(found.astype(int) - values.astype(int)).max() <= 1
    assert (found != values).mean() < 0.05


@pytest.mark.parametrize("role", ["encode_query", "encode_document"])
def test_roles(models, role):
    for name, case in (parameter.values for parameter in recorded(role)):
        assert same(call(getattr(models[name], role), case["arguments"]), case)


@pytest.mark.parametrize("name, case", recorded("raises"))
def test_what_the_reference_refuses_is_refused(models, name, case):
    with pytest.raises({"ValueError": ValueError, "TypeError": TypeError}[case["exception"]]):
        call(models[name].encode, case["arguments"])


@pytest.mark.parametrize("name", NAMES)
def test_features(models, name):
    model, expected = models[name], GOLDEN["models"][name]["features"]
    tokens = model.encode(TEXTS, output_value="token_embeddings")
    rows = model.encode(TEXTS, output_value=None)
    for i, row in enumerate(rows):
        assert row["input_ids"].tolist() == expected[i]["input_ids"]
        assert tokens[i].shape == (expected[i]["tokens"], tokens[0].shape[1]) == row["token_embeddings"].shape
        assert same(tokens[i][-1], expected[i]["token_embeddings"]) and (tokens[i] == row["token_embeddings"]).all()
        assert same(row["sentence_embedding"], expected[i]["sentence_embedding"])
        assert row["attention_mask"].tolist() == [1] * len(tokens[i]) and not row["token_type_ids"].any()
    assert model.encode(TEXTS[0], output_value="token_embeddings").shape == tokens[0].shape
    assert model.encode(TEXTS[0], output_value=None)["input_ids"].tolist() == expected[0]["input_ids"]
    assert model.encode([], output_value=None) == [] == model.encode([], output_value="token_embeddings")
    assert [item.dtype for item in model.encode(TEXTS, output_value="token_embeddings", precision="int8")][0] == "int8"


@pytest.mark.parametrize("name", GOLDEN["properties"])
def test_properties(package, name):
    with package.SentenceTransformer(FOLDERS / name, place="deferred") as model:
        for expression, value in GOLDEN["properties"][name].items():
            assert eval(f"model.{expression}", {"model": model}) == value


@pytest.mark.parametrize("measure", GOLDEN["measures"])
def test_measures(model, measure):
    import numpy
    embeddings = numpy.array(GOLDEN["embeddings"], numpy.float32).reshape(-1, 9)
    model.similarity_fn_name = measure
    for method, cases in GOLDEN["measures"][measure].items():
        for case in cases:
            found = numpy.asarray(call(getattr(model, method), case["arguments"], e=embeddings))
            # The reference multiplies in float32 where most of the digits cancel.
            assert same(found, case, 1e-2 if measure == "euclidean" else 1e-5), case["arguments"]


@pytest.mark.parametrize("case", GOLDEN["quantize"], ids=lambda case: case["arguments"])
def test_quantization_has_the_same_bits(package, case):
    import numpy
    embeddings = numpy.array(GOLDEN["embeddings"], numpy.float32).reshape(-1, 9)
    assert same(call(package.quantize_embeddings, case["arguments"], e=embeddings), case, 1e-6)


@pytest.mark.parametrize("case", GOLDEN["quantize_raises"], ids=lambda case: case["arguments"])
def test_what_quantization_refuses(package, case):
    import numpy
    embeddings = numpy.array(GOLDEN["embeddings"], numpy.float32).reshape(-1, 9)
    with pytest.raises((TypeError, ValueError)):
        call(package.quantize_embeddings, case["arguments"], e=embeddings)


def test_few_embeddings_are_warned_of(package, model, caplog):
    model.encode(TEXTS, precision="int8")
    assert "based on 5 embeddings" in caplog.text
    caplog.clear()
    model.encode(TEXTS * 20, precision="uint8")
    assert not caplog.messages


# ---- what callers hand in


def test_every_kind_of_sequence_gives_the_same(model):
    import numpy
    expected = model.encode(TEXTS).tolist()
    for inputs in (tuple(TEXTS), numpy.array(TEXTS), numpy.array(TEXTS, object), (t for t in TEXTS),
                   collections.deque(TEXTS), dict.fromkeys(TEXTS).keys(), [numpy.str_(t) for t in TEXTS]):
        assert model.encode(inputs).tolist() == expected
    for batch_size in (1, 2, 1000):
        assert model.encode(TEXTS, batch_size=batch_size).tolist() == expected
    assert [model.encode(text).tolist() for text in TEXTS] == expected == model.encode(sentences=TEXTS).tolist()


@pytest.mark.parametrize("inputs, words", [
    (["a", None], "text 1: expected str, not NoneType: give a list of str"), ({"a", "b"}, "set is not"),
    (b"a", "bytes is not"), (["a", b"b"], "text 1"), (["b\udfff"], "text 0: it has a surrogate"), (3.5, "float is not"),
    ([["a", "b"]], "text 0: expected str, not list"), ({"text": "a"}, "dict is not"),
])
def test_wrong_inputs_are_named(package, model, inputs, words):
    with pytest.raises(package.InputError, match=words):
        model.encode(inputs)


def test_wrong_prompts_are_named(package, model):
    for prompt in (3, b"a", ["a"], "\ud800"):
        with pytest.raises(package.InputError, match="prompt"):
            model.encode("a", prompt=prompt)


def test_strange_texts(model):
    import numpy
    texts = ["", " ", "\0", "a\0b", "\ufffd", "\U0010ffff", "\u202e", "word " * 200_000, "x" * 2_000_000]
    found = model.encode(texts)
    assert numpy.isfinite(found).all() and found.shape == (9, model.get_embedding_dimension())
    assert numpy.isfinite(model.encode("a", prompt="\0" * 3 + "word " * 100_000)).all()


@pytest.mark.parametrize("arguments, exception, words", [
    ({"pool": {}}, TypeError, "pool"), ({"device": []}, ValueError, "empty"),
    ({"processing_kwargs": {"text": {"stride": 3}}}, NotImplementedError, "It takes max_length"),
    ({"nonsense": 1}, ValueError, "nonsense"),
    ({"precision": "int4"}, ValueError, "int4"), ({"truncate_dim": 0}, ValueError, "truncate_dim"),
    ({"truncate_dim": -1}, ValueError, "truncate_dim"), ({"truncate_dim": 2**40}, ValueError, "truncate_dim"),
    ({"output_value": "x"}, ValueError, "output_value"),
    ({"output_value": None, "precision": "int8"}, ValueError, "int8"),
])
def test_what_encode_refuses(model, arguments, exception, words):
    with pytest.raises(exception, match=words):
        model.encode(TEXTS, **arguments)


@pytest.mark.parametrize("arguments, exception, words", [
    ({"backend": "x"}, ValueError, "Unsupported backend 'x'"), ({"backend": "onnx"}, NotImplementedError, "backend"),
    ({"modules": []}, NotImplementedError, "folder"), ({"truncate_dim": 0}, ValueError, "truncate_dim"),
    ({"similarity_fn_name": "maxsim"}, ValueError, "maxsim"),
    ({"precision": "float64"}, ValueError, "float16"),
    ({"processor_kwargs": {"model_max_length": 100000}}, ValueError, "positions"),
    ({"nonsense": 1}, TypeError, "nonsense"),
    ({"default_prompt_name": "x"}, ValueError, "Default prompt name 'x' not found"),
    ({"device": "cuda:7"}, RuntimeError, "cuda:7"),
    ({"token": "a", "use_auth_token": "b"}, ValueError, "only specify"), ({"place": "later"}, ValueError, "deferred"),
    ({"config_kwargs": {"num_labels": 2}}, ValueError, "no labels"),
])
@pytest.mark.filterwarnings("ignore:The `use_auth_token`")
def test_what_the_constructor_refuses(package, folder, arguments, exception, words):
    with pytest.raises(exception, match=words):
        package.SentenceTransformer(folder, **arguments)


def test_there_is_no_default_model(package):
    with pytest.raises(ValueError, match="no default"):
        package.SentenceTransformer()
    with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE"):
        package.SentenceTransformer("all-MiniLM-L6-v2")


def test_names_in_the_hubs_cache(package, folder, tmp_path):
    for name, repository in (("tiny", "models--sentence-transformers--tiny"), ("bert-tiny", "models--bert-tiny")):
        (tmp_path / repository / "refs").mkdir(parents=True)
        (tmp_path / repository / "refs" / "main").write_text("abc")
        (tmp_path / repository / "snapshots").mkdir()
        (tmp_path / repository / "snapshots" / "abc").symlink_to(folder)
        assert repository in package.SentenceTransformer(name, cache_folder=tmp_path).path


def test_old_names(package, folder, caplog):
    with pytest.warns(FutureWarning, match="use_auth_token"):
        model = package.SentenceTransformer(folder, tokenizer_kwargs={"model_max_length": 12}, use_auth_token=True)
    assert model.max_seq_length == 12 and "`tokenizer_kwargs`" in caplog.text
    with pytest.warns(FutureWarning, match="get_embedding_dimension"):
        dimension = model.get_sentence_embedding_dimension()
    with pytest.warns(FutureWarning, match="truncate_embeddings"), model.truncate_sentence_embeddings(3):
        assert model.encode("a").shape == (3,) and model.get_embedding_dimension() == 3
    assert model.encode("a").shape == (dimension,)


def test_prompts(package, folder, caplog):
    plain = package.SentenceTransformer(folder, prompts={"query": "", "passage": ""})
    model = package.SentenceTransformer(folder, prompts={"query": "find: ", "document": None, "web": "w "},
                                        default_prompt_name="web")
    manual = {prompt: plain.encode([prompt + text for text in TEXTS]).tolist() for prompt in ("", "w ", "find: ")}
    assert model.encode(TEXTS).tolist() == manual["w "] == plain.encode(TEXTS, prompt="w ").tolist()
    assert model.encode_query(TEXTS).tolist() == manual["find: "] == model.encode(TEXTS, "query").tolist()
    assert model.encode_document(TEXTS).tolist() == manual[""] == model.encode(TEXTS, prompt="").tolist()
    assert "Default prompt name is set to 'web'" in caplog.text
    model.encode("a", prompt="b", prompt_name="query")
    assert "Ignoring the `prompt_name`" in caplog.text


@pytest.mark.parametrize("name, value", [("mean", True), ("all-poolings", False)])
def test_pooling_of_prompts(package, name, value):
    model = package.SentenceTransformer(FOLDERS / name, place="deferred")
    handle = model._handle
    model.set_pooling_include_prompt(value)
    assert model._handle is handle
    model.set_pooling_include_prompt(not value)
    assert model[1].include_prompt is not value and model.placement.state == "deferred"


def test_truncation(model):
    import numpy
    whole = model.encode(TEXTS)
    with model.truncate_embeddings(4):
        assert model.encode(TEXTS).tolist() == whole[:, :4].tolist() and model.truncate_dim == 4
        cut = model.encode(TEXTS, truncate_dim=5, normalize_embeddings=True)
    assert cut.shape[1] == 5 and numpy.allclose(numpy.linalg.norm(cut, axis=1), 1, atol=1e-6)
    with pytest.raises(ValueError, match="truncate_dim"), model.truncate_embeddings(-3):
        pass
    assert model.encode(TEXTS).tolist() == whole.tolist()


# ---- types of results


def fake_torch(monkeypatch):
    """What similarity sees of a program that has imported PyTorch."""
    class Tensor:
        def __init__(self, array):
            self.array = array
    module = type(sys)("torch")
    module.from_numpy = Tensor
    monkeypatch.setitem(sys.modules, "torch", module)
    return Tensor


def test_where_torch_is_imported_results_are_tensors(model, monkeypatch):
    embeddings = model.encode(TEXTS)
    plain = model.similarity(embeddings, embeddings)
    tensor = fake_torch(monkeypatch)
    for found in (model.similarity(embeddings, embeddings), model.similarity_pairwise(embeddings, embeddings),
                  *model.encode(TEXTS, output_value="token_embeddings"), *list(model.encode("a", output_value=None).values())[:5],
                  model.encode(TEXTS, convert_to_tensor=True)):
        assert isinstance(found, tensor)
    assert model.similarity(embeddings, embeddings).array.tolist() == plain.tolist()
    assert model.encode(TEXTS).tolist() == embeddings.tolist()  # which the reference gives as an array


def test_without_torch_a_tensor_is_an_error_that_says_so(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for wish in ({"convert_to_tensor": True}, {"convert_to_numpy": False},
                 {"convert_to_tensor": True, "output_value": None}):
        with pytest.raises(ImportError, match="leave convert_to_tensor"):
            model.encode("a", **wish)


def test_with_torch(model):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tensor = model.encode(TEXTS, convert_to_tensor=True)
    assert isinstance(tensor, torch.Tensor) and tensor.tolist() == model.encode(TEXTS).tolist()
    assert model.encode([], convert_to_tensor=True).shape == (0,)
    listed = model.encode(TEXTS, convert_to_numpy=False)
    assert isinstance(listed, list) and torch.stack(listed).equal(tensor)
    assert isinstance(model.similarity(tensor, tensor.bfloat16()), torch.Tensor)
    assert isinstance(model.similarity(listed, tensor.numpy()), torch.Tensor)


def test_torch_is_not_imported(folder):
    code = f"import sys, crossenc; m = crossenc.SentenceTransformer({folder!r}); e = m.encode(['a', 'b'])\n" \
           "m.similarity(e, e), m.encode('a', output_value=None), crossenc.quantize_embeddings(e, 'binary')\n" \
           "assert not {'torch', 'transformers', 'tqdm'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(PACKAGE), "PATH": ""})


def test_progress_bar(model, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.autonotebook", None)
    model.encode(TEXTS, show_progress_bar=True)
    assert capsys.readouterr().err.endswith("Texts: 5/5\n")
    monkeypatch.setattr(logging.getLogger("crossenc"), "level", logging.INFO)
    logging.getLogger("crossenc").manager._clear_cache()
    model.encode(TEXTS, output_value=None)
    assert capsys.readouterr().err.endswith("Texts: 5/5\n")


# ---- search


def test_search(package):
    import numpy
    from crossenc import util
    corpus = numpy.array(GOLDEN["embeddings"], numpy.float32).reshape(-1, 9)
    for score, measure in ((util.cos_sim, "cosine"), (util.dot_score, "dot")):
        whole = numpy.asarray(package.SimilarityFunction.to_similarity_fn(measure)(corpus[:4], corpus))
        found = util.semantic_search(corpus[:4], corpus, 3, 40, top_k=7, score_function=score)
        best = numpy.argsort(-whole, kind="stable")[:, :7].tolist()
        assert [[hit["corpus_id"] for hit in hits] for hits in found] == best
        assert numpy.allclose([[hit["score"] for hit in hits] for hits in found], -numpy.sort(-whole)[:, :7], atol=1e-6)
    assert util.semantic_search(corpus[0], corpus[[2, 0, 0]], top_k=9)[0][0]["corpus_id"] == 1
    assert numpy.allclose(numpy.linalg.norm(util.normalize_embeddings(corpus), axis=1)[:7], 1)
    assert util.truncate_embeddings(corpus, 4).shape == (105, 4)


# ---- the device, and how it ends: as for CrossEncoder


def test_on_the_device_when_the_constructor_returns(package, folder):
    model = package.SentenceTransformer(folder, device="cpu")
    placement = model.placement
    assert (placement.state, placement.device, model.device) == ("ready", "cpu", "cpu")
    assert placement.tensors_verified == placement.tensors > 0 and placement.self_tested
    assert model.check().state == "ready" and model.to("cpu") is model.cpu() is model
    assert model.encode("a", device="cpu").tolist() == model.encode("a").tolist()
    with pytest.raises(package.DeviceError):
        model.encode("a", device="cuda:7")


def test_deferred_and_pickled(package, folder):
    model = package.SentenceTransformer(folder, place="deferred", truncate_dim=6, prompts={"a": "b "},
                                        default_prompt_name="a", similarity_fn_name="dot")
    again = pickle.loads(pickle.dumps(model))
    assert again.placement.state == model.placement.state == "deferred"
    assert (again.truncate_dim, again.prompts, again.similarity_fn_name) == (6, model.prompts, "dot")
    assert again.place().encode(TEXTS).tolist() == model.encode(TEXTS).tolist()
    assert model.placement.state == "ready"


def test_precision(package, folder, model):
    import numpy
    exact = model.encode(TEXTS)
    assert model.bfloat16().dtype == "bfloat16"
    rounded = model.encode(TEXTS)
    assert rounded.tolist() != exact.tolist() and numpy.abs(rounded - exact).max() < 0.5  # of random weights
    half = model.half().encode(TEXTS)
    assert model.dtype == "float16" and 0 < numpy.abs(half - exact).max() < 0.05
    assert model.float().encode(TEXTS).tolist() == exact.tolist()


def test_max_seq_length(package, folder, model):
    whole = model.encode(TEXTS).tolist()
    model.max_seq_length = 9
    assert model.get_max_seq_length() == 9
    short = model.encode(TEXTS).tolist()
    assert short != whole
    assert short == package.SentenceTransformer(folder, processor_kwargs={"model_max_length": 9}).encode(TEXTS).tolist()
    for wrong in (0, None, 10**6):
        with pytest.raises(ValueError):
            model.max_seq_length = wrong


@pytest.mark.parametrize("name", ["model", "fit", "encode_multi_process", "push_to_hub", "transformers_model"])
def test_what_is_elsewhere_says_where(model, name):
    with pytest.raises(AttributeError, match=f"{name!r}: "):
        getattr(model, name)


def test_what_programs_of_the_reference_ask(model):
    pool = model.start_multi_process_pool(["cpu", "cpu"])
    expected = model.encode(TEXTS).tolist()
    assert model.encode(TEXTS, pool=pool, chunk_size=2).tolist() == expected
    assert model.encode(TEXTS, device=["cpu"]).tolist() == expected
    model.stop_multi_process_pool(pool)
    assert model.is_singular_input("a") and not model.is_singular_input(["a"])
    assert model.evaluate(lambda evaluated, path: (evaluated is model, path), "out") == (True, "out")
    model.model_card_data.set_evaluation_metrics(None, {})


def test_classes_with_an_encode_of_their_own(package, folder):
    class Own(package.SentenceTransformer):
        def encode(self, inputs, **arguments):
            return inputs, arguments["prompt_name"], arguments["task"], arguments.get("batch_size")
    model = Own(folder, place="deferred")
    assert model.encode_query("a", batch_size=3) == ("a", "query", "query", 3)
    assert model.encode_document(sentences=["a"]) == (["a"], "document", "document", None)
    assert model.get_model_kwargs() == []


def test_close(package, folder):
    with package.SentenceTransformer(folder) as model:
        assert "device='cpu'" in repr(model)
    for use in (lambda: model.encode("a"), lambda: model.encode([]), lambda: model.encode("a", output_value=None),
                lambda: model.device, lambda: model.to("cpu"), model.check):
        with pytest.raises(ValueError, match="closed"):
            use()
    assert "closed" in repr(model)


def test_a_forked_child_is_refused(model):
    expected = model.encode(TEXTS).tolist()
    child = os.fork()
    if child == 0:
        refused = 0
        try:
            for use in (lambda: model.encode("a"), lambda: model.device, lambda: model.to("cpu")):
                try:
                    use()
                except RuntimeError as error:
                    refused += "forked" in str(error)
        finally:
            os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert model.encode(TEXTS).tolist() == expected


@pytest.mark.parametrize("wish", ["", ", output_value=None"])
def test_control_c_stops_a_call(wish):
    process = python("import sys, crossenc\n"
                     "model = crossenc.SentenceTransformer(sys.argv[1], threads=1)\n"
                     "print('ready', flush=True)\n"
                     "try:\n"
                     f"    while True: model.encode(['a b c ' * 4] * 50000{wish})\n"
                     "except KeyboardInterrupt:\n"
                     "    print('stopped', model.encode('a').ndim)\n", str(FOLDERS / "cls-dense"))
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert (process.communicate(timeout=60)[0], process.returncode) == ("stopped 1\n", 0)
    finally:
        process.kill()


def test_threads_on_one_model(model):
    expected, wrong = model.encode(TEXTS).tolist(), []

    def work(seed):
        for i in range(20):
            some = slice((seed + i) % 4, None)
            found = [row["sentence_embedding"].tolist() for row in model.encode(TEXTS[some], output_value=None)]
            if not expected[some] == model.encode(TEXTS[some]).tolist() == found:
                wrong.append(seed)
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_memory_does_not_grow(model):
    def use():
        model.encode(TEXTS), model.encode(TEXTS, output_value=None), model.encode("a", precision="binary")
        for inputs in (["a", None], ["a", "\ud800"]):
            with pytest.raises(ValueError):
                model.encode(inputs)
    for _ in range(20):
        use()
    before = resident()
    for _ in range(300):
        use()
    gc.collect()
    assert resident() - before < 4 << 20


def test_real_texts(package):
    """all-MiniLM-L6-v2 puts paraphrases nearer to each other than to what is about something else."""
    real = SHARED / "models" / "all-MiniLM-L6-v2"
    if not (real / "model.safetensors").exists():
        pytest.skip(f"{real} is not there")
    model = package.SentenceTransformer(real, device="cpu")
    embeddings = model.encode(["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."])
    alike = model.similarity(embeddings, embeddings)
    assert embeddings.shape == (3, 384) and model.max_seq_length == 256
    assert abs(alike[0, 1] - 0.6660) < 1e-3 and abs(alike[0, 2] - 0.1046) < 1e-3  # as its model card has them
