"""What is held, and for how long: closing, memory that goes with the object, memory that does not grow."""
import gc
import threading

import pytest


def resident():
    """Bytes of memory that this process holds."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def test_close(package, one, pairs):
    model = package.CrossEncoder(one)
    with model as same:
        assert same is model
        model.predict(pairs)
    model.close()
    for call in (lambda: model.predict(pairs), lambda: model.rank("a", ["b"]), lambda: model.to("cpu"), model.place,
                 lambda: model.placement, lambda: model.device, model.check, lambda: model.predict([]),
                 lambda: setattr(model, "max_seq_length", 5)):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_close_during_calls(package, one, pairs):
    for _ in range(5):
        model = package.CrossEncoder(one)
        expected, wrong = model.predict(pairs * 5).tolist(), []

        def work(model=model, expected=expected, wrong=wrong):
            try:
                while True:
                    if model.predict(pairs * 5).tolist() != expected:
                        wrong.append("scores")
            except ValueError as error:
                if "closed" not in str(error):
                    wrong.append(error)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        model.close()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_memory_goes_with_the_object(package, one):
    model = package.CrossEncoder(one)
    size = model.placement.weight_bytes + model.placement.workspace_bytes
    del model
    for _ in range(3):
        package.CrossEncoder(one)
    before = resident()
    for _ in range(40):
        package.CrossEncoder(one)
    gc.collect()
    assert resident() - before < 5 * size + (4 << 20)


def test_memory_does_not_grow(model, pairs):
    import numpy
    for _ in range(20):
        model.predict(pairs)
    before = resident()
    for i in range(400):
        model.predict(pairs)
        model.rank("query", [d for _, d in pairs], return_documents=True, activation_fn=numpy.abs)
        for wrong in ([("a", "b")] * 30 + [("a", "b\ud800")], [("a", "b"), ("c", 3)], [("a",)]):
            with pytest.raises(ValueError):
                model.predict(wrong)
        model.placement, model.device, model.config
    gc.collect()
    assert resident() - before < 4 << 20


def test_texts_are_not_held(model):
    """Neither the texts nor their encoding stay with the caller's objects: a str keeps no copy of its UTF-8."""
    import sys
    text = "\u00e9" * 100_000
    size = sys.getsizeof(text)
    count = sys.getrefcount(text)
    model.predict([(text, text)] * 3)
    assert (sys.getsizeof(text), sys.getrefcount(text)) == (size, count)


def test_scores_outlive_the_model(package, one, pairs):
    model = package.CrossEncoder(one)
    scores = model.predict(pairs)
    copy = scores.tolist()
    model.close()
    del model
    gc.collect()
    assert scores.tolist() == copy and scores.flags.writeable


def test_failed_loads_hold_nothing(package, one):
    def load():
        for arguments in ({"device": "cuda:7"}, {"max_length": 99999}, {"num_labels": 7}):
            with pytest.raises((package.DeviceError, ValueError)):
                package.CrossEncoder(one, **arguments)
    load()
    before = resident()
    for _ in range(50):
        load()
    assert resident() - before < 4 << 20
