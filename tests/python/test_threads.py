"""Eight threads on one model of either class: right results, no growth of memory; and a model in another process."""
import gc
import multiprocessing
import os
import threading

import pytest
from conftest import DATA
from test_lifetime import resident

THREADS = 8


def cross_encoder(package, one):
    pairs = [("how many people live in berlin?", "berlin has many inhabitants " * (1 + n % 5)) for n in range(24)]
    return package.CrossEncoder(one, device="cpu", threads=2), "predict", pairs


def bi_encoder(package, one):
    texts = ["how many people live in berlin? " * (1 + n % 5) for n in range(24)]
    return package.SentenceTransformer(DATA / "golden" / "encoders" / "cls-dense", device="cpu", threads=2), "encode", texts


@pytest.fixture(params=[cross_encoder, bi_encoder])
def work(request, package, one):
    """A model, the name of its method, and inputs."""
    model, method, inputs = request.param(package, one)
    with model:
        yield model, method, inputs


def in_threads(function):
    threads = [threading.Thread(target=function, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_results_are_right_and_memory_does_not_grow(work):
    model, method, inputs = work
    call = getattr(model, method)
    expected, wrong, length = call(inputs).tolist(), [], model.max_seq_length

    def use(seed, rounds):
        for i in range(rounds):
            first = (seed + i) % 9
            if call(inputs[first:]).tolist() != expected[first:]:
                wrong.append(seed)
            if seed == 0:
                model.max_seq_length = length  # which loads nothing anew
    in_threads(lambda seed: use(seed, 30))
    gc.collect()
    before = resident()
    for _ in range(3):
        in_threads(lambda seed: use(seed, 30))
    gc.collect()
    assert wrong == [] and resident() - before < 4 << 20


def call_by_name(model, method, inputs):
    return getattr(model, method)(inputs).tolist()


def test_a_process_of_its_own(work):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(call_by_name, work) == call_by_name(*work)


def test_what_a_forked_child_is_refused(work):
    """All that is a model's; the other side of it is in test_process.py."""
    model, method, inputs = work
    child = os.fork()
    if child == 0:
        refused = 0
        try:
            for use in (lambda: getattr(model, method)(inputs), lambda: model.save_pretrained("/nonexistent/new"),
                        lambda: setattr(model, "max_seq_length", 9), lambda: model.to("bfloat16"), model.check):
                try:
                    use()
                except RuntimeError as error:
                    refused += "forked" in str(error)
        finally:
            os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
