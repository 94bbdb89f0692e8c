"""What callers hand in: kinds of sequences, texts of all sizes, activations, tensors."""
import collections
import subprocess
import sys

import pytest


def test_every_kind_of_sequence_gives_the_same(model, pairs):
    import numpy
    expected = model.predict(pairs).tolist()

    class Column:  # as datasets.Column
        def __len__(self):
            return len(pairs)

        def __getitem__(self, index):
            return pairs[index]

    for inputs in (tuple(pairs), [list(p) for p in pairs], numpy.array(pairs), (p for p in pairs),
                   zip(*zip(*pairs)), collections.deque(pairs), [numpy.array(p) for p in pairs],
                   [tuple(map(numpy.str_, p)) for p in pairs]):
        assert model.predict(inputs).tolist() == expected
    assert model.predict(list(iter(Column()))).tolist() == expected


def test_lists_are_left_as_they_were(model, pairs):
    copy = list(pairs)
    model.predict(pairs, prompt="a ")
    assert pairs == copy


@pytest.mark.parametrize("inputs, words", [
    ("text", "str is not"), (b"text", "bytes is not"), ({"a", "b"}, "set is not"), (None, "NoneType is not"),
    ([("a", "b"), "c"], "pair 1: expected a list or a tuple, not str"), ([("a", "b"), None], "pair 1.*NoneType"),
    ([("a", "b"), ("a", 3)], "pair 1: the document must be str, not int"), ([(None, "a")], "pair 0: the query"),
    (["a", "b", "c"], "rank"), ([("a", "b", "c")], "3 members"), ([("a", "b\udfff")], "pair 0: the document.*surrogate"),
    ([["\ud83d", "a"]], "pair 0: the query.*surrogate"), ([[["a"], "b"]], "list"), ([[]], "0 members"),
])
def test_wrong_inputs_are_named(package, model, inputs, words):
    with pytest.raises(package.InputError, match=words) as caught:
        model.predict(inputs)
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, ValueError)


@pytest.mark.parametrize("documents", ["text", b"text", None, 3, {"a": 1}, [None], [3], ["a", b"b"], [("a", "b")]])
def test_wrong_documents_are_named(package, model, documents):
    with pytest.raises(package.InputError):
        model.rank("query", documents)


def test_a_number_of_documents_that_is_none(model):
    with pytest.raises(TypeError):
        model.rank("query", ["a"], top_k=1.5)


def test_strange_texts(model):
    import numpy
    texts = ["", " ", "\0", "a\0b", "\ufffd", "\U0010ffff", "e\u0301", "\u202e", "\x7f\x80", "word " * 200_000, "x" * 2_000_000]
    scores = model.predict([(a, b) for a in texts[:9] for b in texts])
    assert scores.shape == (99,) and numpy.isfinite(scores).all()
    assert model.predict((texts[9], texts[10])).shape == ()


def test_rank_keeps_ties_in_order_and_puts_nan_last(model):
    ranking = model.rank("q", ["same", "other", "same", "same"])
    same = [row["corpus_id"] for row in ranking if row["corpus_id"] != 1]
    assert same == [0, 2, 3]

    def second_is_nan(logits):
        logits = logits.copy() if hasattr(logits, "copy") else logits.clone()
        logits[1] = float("nan")
        return logits
    assert model.rank("q", ["a", "b", "c"], activation_fn=second_is_nan)[-1]["corpus_id"] == 1


# ---- activations


def fake_torch(name, **attributes):
    """An instance of a class that looks as PyTorch's modules do, and would fail if it were called."""
    kind = type(name, (), {"__module__": "torch.nn.modules.activation", "__call__": lambda self, x: 1 / 0})
    module = kind()
    module.__dict__.update(attributes)
    return module


@pytest.mark.parametrize("name", ["Sigmoid", "Tanh", "ReLU", "Softmax"])
def test_torch_modules_are_known_by_name(package, three, pairs, name):
    with package.CrossEncoder(three, device="cpu") as model:
        expected = model.predict(pairs, activation_fn=getattr(package, name)())
        assert model.predict(pairs, activation_fn=fake_torch(name, dim=None)).tolist() == expected.tolist()
        if name == "Softmax":
            with pytest.raises(ZeroDivisionError):
                model.predict(pairs, activation_fn=fake_torch(name, dim=0))
        model.activation_fn = fake_torch(name)
        assert model.predict(pairs).tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["Identity", "Sigmoid", "Tanh", "ReLU", "Softmax"])
def test_own_activations_compute_what_the_library_does(package, three, pairs, name):
    import numpy
    with package.CrossEncoder(three, device="cpu") as model:
        logits = model.predict(pairs, activation_fn=package.Identity())
        by_library = model.predict(pairs, activation_fn=getattr(package, name)())
    assert numpy.allclose(getattr(package, name)()(logits), by_library, rtol=1e-6, atol=1e-7)


def test_any_callable(model, pairs):
    import numpy
    logits = model.predict(pairs)
    seen = []

    def half(x):
        seen.append((type(x).__name__, x.shape))
        return x / 2
    assert numpy.allclose(model.predict(pairs, activation_fn=half), logits / 2)
    assert seen == [("ndarray", (len(pairs), 1))]
    assert model.predict(pairs[0], activation_fn=half) == logits[0] / 2
    assert model.predict(pairs).tolist() == logits.tolist()  # for that call alone
    assert model.predict([], activation_fn=half).shape == (0,)

    def both(x):  # what it makes of one label are several columns: they are kept, as by the reference
        return numpy.concatenate([1 - x, x], 1)
    columns = numpy.stack([1 - logits, logits], 1)
    assert model.predict(pairs, activation_fn=both).tolist() == columns.tolist()
    assert model.predict(pairs[0], activation_fn=both).tolist() == columns[0].tolist()
    assert model.predict(pairs, activation_fn=both, apply_softmax=True).sum(1) == pytest.approx(1)
    with pytest.raises(ValueError, match="a score a pair"):
        model.rank("what", ["one", "two"], activation_fn=both)


@pytest.mark.parametrize("function", [lambda x: x.sum(), lambda x: x[:3], lambda x: "text", lambda x: None])
def test_callables_that_lose_the_pairs(model, pairs, function):
    with pytest.raises((ValueError, TypeError)):
        model.predict(pairs, activation_fn=function)


def test_an_activations_exception_comes_through(model, pairs):
    with pytest.raises(ZeroDivisionError):
        model.predict(pairs, activation_fn=lambda x: 1 / 0)


# ---- tensors


def test_tensors_need_torch(model, pairs):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    scores = model.predict(pairs)
    tensor = model.predict(pairs, convert_to_tensor=True)
    assert isinstance(tensor, torch.Tensor) and tensor.tolist() == scores.tolist()
    listed = model.predict(pairs, convert_to_numpy=False)
    assert isinstance(listed, list) and [float(x) for x in listed] == scores.tolist()
    assert model.predict(pairs[0], convert_to_tensor=True).shape == ()
    assert model.predict([], convert_to_tensor=True).shape == (0,) and model.predict([], convert_to_numpy=False) == []
    assert model.predict(pairs, activation_fn=torch.sigmoid).shape == scores.shape


def test_without_torch_a_tensor_is_an_error_that_says_so(model, pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for wish in ({"convert_to_tensor": True}, {"convert_to_numpy": False}):
        with pytest.raises(ImportError, match="leave convert_to_tensor"):
            model.predict(pairs, **wish)


def test_torch_is_not_imported(one):
    code = f"import sys, crossenc; m = crossenc.CrossEncoder({one!r}); m.predict(('a', 'b')); m.rank('a', ['b'])\n" \
           "assert not {'torch', 'transformers', 'tqdm'} & set(sys.modules)"
    from conftest import PACKAGE
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(PACKAGE), "PATH": ""})


# ---- progress


def test_progress_bar(model, pairs, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.autonotebook", None)
    shown = model.predict(pairs, show_progress_bar=True)
    assert capsys.readouterr().err.endswith("Pairs: 40/40\n")
    assert shown.tolist() == model.predict(pairs, show_progress_bar=False).tolist()
    assert capsys.readouterr().err == ""


def test_progress_follows_the_logger(model, pairs, capsys, monkeypatch):
    import logging
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.autonotebook", None)
    logger = logging.getLogger("crossenc")
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()
    model.predict(pairs)
    assert "Pairs: 40/40" in capsys.readouterr().err
