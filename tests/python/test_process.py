"""Threads, signals, and processes that are forked."""
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import PACKAGE


def test_threads_on_one_model(package, one, pairs):
    model = package.CrossEncoder(one, threads=2)
    expected = model.predict(pairs).tolist()
    wrong = []

    def work(seed):
        for i in range(20):
            some = pairs[(seed + i) % 7:]
            if model.predict(some).tolist() != expected[(seed + i) % 7:]:
                wrong.append(seed)
            if i % 10 == 5 and seed == 0:
                model.to("cpu")
                model.max_seq_length = 1024  # swaps the model under the others
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_interpreter_runs_on_while_the_library_works(package, one, pairs):
    """Another thread's Python code gets on: the lock is given away."""
    model = package.CrossEncoder(one, threads=1)
    many = pairs * 200
    done = threading.Event()
    thread = threading.Thread(target=lambda: (model.predict(many), done.set()))
    counted = 0
    thread.start()
    while not done.is_set():
        counted += 1
        time.sleep(0.001)
    thread.join()
    assert counted > 3


def test_a_forked_child_is_refused_and_does_no_harm(model, pairs):
    expected = model.predict(pairs).tolist()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for call in (lambda: model.predict(pairs), lambda: model.device, model.check, lambda: model.to("cpu"),
                         lambda: setattr(model, "max_seq_length", 9)):
                try:
                    call()
                except RuntimeError as error:
                    assert "forked" in str(error) and "pickled" in str(error)
                else:
                    raise AssertionError("not refused")
            assert "forked" in repr(model)
            from crossenc import CrossEncoder  # a model of the child's own
            with CrossEncoder(model.path, threads=2) as own:
                assert own.predict(pairs).tolist() == expected
            model.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert model.predict(pairs).tolist() == expected


def score(model, pairs):
    return model.predict(pairs).tolist()


def test_multiprocessing_by_pickling(model, pairs):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(score, (model, pairs)) == model.predict(pairs).tolist()


def python(code, *arguments):
    """A Python that runs code with the package; what it prints, and how it ends."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_control_c_stops_a_call(one):
    process = python("import sys, crossenc\n"
                     "model = crossenc.CrossEncoder(sys.argv[1], threads=1)\n"
                     "print('ready', flush=True)\n"
                     "try:\n"
                     "    while True: model.predict([('a b c ' * 200, 'd e f ' * 300)] * 2000)\n"
                     "except KeyboardInterrupt:\n"
                     "    print('stopped', model.predict(('a', 'b')).shape)\n", one)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert out == "stopped ()\n" and process.returncode == 0


def test_an_exception_in_the_progress_bar_stops_the_call(model, pairs, monkeypatch):
    class Broken:
        n = 0

        def update(self, n):
            raise ZeroDivisionError

        def close(self):
            pass
    monkeypatch.setattr("crossenc._progress.open_bar", lambda total, unit: Broken())
    with pytest.raises(ZeroDivisionError):
        model.predict(pairs, show_progress_bar=True)
    assert model.predict(pairs).shape == (len(pairs),)


def test_a_log_that_fails_does_not_stop_a_call(package, one, monkeypatch, capfd):
    from crossenc import _log
    monkeypatch.setattr(_log.ModelLog, "__call__", lambda self, level, message: 1 / 0)
    hook = sys.unraisablehook
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    package.CrossEncoder(one)
    monkeypatch.setattr(sys, "unraisablehook", hook)
    assert seen and seen[0].exc_type is ZeroDivisionError


def test_the_end_of_a_program_with_a_model_and_threads(one):
    process = python("import sys, threading, crossenc\n"
                     "model = crossenc.CrossEncoder(sys.argv[1])\n"
                     "work = lambda: [model.predict([('a', 'b')] * 50) for _ in range(10**9)]\n"
                     "threading.Thread(target=work, daemon=True).start()\n"
                     "model.predict(('a', 'b')); print('end')\n", one)
    out, _ = process.communicate(timeout=60)
    assert (out, process.returncode) == ("end\n", 0)
