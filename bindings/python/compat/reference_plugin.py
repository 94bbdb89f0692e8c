"""A plugin of pytest: puts crossenc's class into the installed reference, and writes down what became of each test.

CROSSENC_REPLACE  the name that is replaced in sentence_transformers, as CrossEncoder; empty for the reference's run
CROSSENC_RESULTS  a file that gets a JSON line for each test: its name, outcome, and the last words of a failure
The rest of sentence_transformers stays what it is, the reference's own modules among themselves included.
"""
import json
import os
import warnings

import pytest
import sentence_transformers

NAME = os.environ.get("CROSSENC_REPLACE", "")
HOMES = {"CrossEncoder": "cross_encoder", "SentenceTransformer": "sentence_transformer"}
REFERENCE = {name: getattr(sentence_transformers, name) for name in HOMES}

if NAME:
    import crossenc
    for home in (sentence_transformers, getattr(sentence_transformers, HOMES[NAME])):
        setattr(home, NAME, getattr(crossenc, NAME))


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: long tests of the reference")


@pytest.fixture(autouse=True)
def crossenc_warns_again():
    """As the reference's own fixture does for its warnings that come once."""
    if NAME:
        from crossenc import _log
        _log.warn_once.cache_clear()


def _last_words(report):
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    return (crash.message if crash else str(report.longrepr)).strip()


def _write(row):
    with open(os.environ["CROSSENC_RESULTS"], "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def pytest_runtest_logreport(report):
    """A test's call; or its setup or end, if that did not pass."""
    if report.when == "call" or not report.passed:
        words = "" if report.passed else _last_words(report)
        _write({"test": report.nodeid, "outcome": report.outcome, "words": words})


def pytest_collectreport(report):
    if not report.passed and report.nodeid.endswith(".py"):
        _write({"test": report.nodeid, "outcome": report.outcome, "words": _last_words(report)})


warnings.filterwarnings("ignore", category=pytest.PytestUnknownMarkWarning)
