#!/usr/bin/env python3
"""Runs the reference's own tests and the examples of its documentation against crossenc.

    run_reference_tests.py [--work DIR] [--checkout DIR] [--shared DIR] [--table FILE] [--class NAME]

pip brings the tests into the work folder: sdists of sentence-transformers. The last that have tests of CrossEncoder
and of SentenceTransformer are old ones; the tests of a newer release, and pages of its documentation, are taken from a
checkout of its repository (--checkout), which pip can't bring. Nothing of them is kept here. sentence-transformers,
pytest, pillow and datasets must be installed, and crossenc must be importable.

Each test runs twice: with the reference, and with crossenc's class in its place (reference_plugin.py). Models are
stand-ins under their names (reference_models.py). What the reference itself doesn't pass here says nothing of crossenc.
Of the others, each must pass, or have a reason in reference_reasons.json; else the exit status is 1.
"""
import argparse
import collections
import datetime
import fnmatch
import importlib.metadata
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SHARED = HERE.parents[3] / "shared"
REASONS = HERE / "reference_reasons.json"
TIMEOUT_S = 1800

Suite = collections.namedtuple("Suite", "name sdist sdist_files checkout_files checkout_pages")
SUITES = (
    Suite("CrossEncoder", "3.4.1", ("tests/test_cross_encoder.py",),
          ("tests/cross_encoder/test_model.py", "tests/cross_encoder/test_multi_process.py",
           "tests/cross_encoder/test_backends.py", "tests/cross_encoder/test_pretrained.py",
           "tests/cross_encoder/test_model_card.py", "tests/cross_encoder/evaluation"),
          ("docs/quickstart.rst", "docs/cross_encoder/usage")),
    Suite("SentenceTransformer", "5.1.2",
          ("tests/test_sentence_transformer.py", "tests/test_compute_embeddings.py", "tests/test_multi_process.py"),
          ("tests/sentence_transformer/test_model.py", "tests/sentence_transformer/test_compute_embeddings.py",
           "tests/sentence_transformer/test_multi_process.py", "tests/sentence_transformer/test_backends.py",
           "tests/sentence_transformer/test_pretrained.py", "tests/sentence_transformer/evaluation"),
          ("docs/quickstart.rst", "docs/sentence_transformer/usage")),
)
# What the sdists' tests need of files that sdists lack.
TEST_UTILS = """import tempfile
SafeTemporaryDirectory = tempfile.TemporaryDirectory
def is_ci():
    return False
"""
CONFTEST = """import pytest
import sentence_transformers
def model_fixture(fixture, cls, name):
    return pytest.fixture(name=fixture)(lambda: getattr(sentence_transformers, cls)(name))
distilroberta_base_ce_model = model_fixture("distilroberta_base_ce_model", "CrossEncoder",
                                            "cross-encoder-testing/reranker-bert-tiny-gooaq-bce")
stsb_bert_tiny_model = model_fixture("stsb_bert_tiny_model", "SentenceTransformer",
                                     "sentence-transformers-testing/stsb-bert-tiny-safetensors")
paraphrase_distilroberta_base_v1_model = model_fixture(
    "paraphrase_distilroberta_base_v1_model", "SentenceTransformer",
    "sentence-transformers/paraphrase-distilroberta-base-v1")
@pytest.fixture
def cache_dir():
    yield None
"""
NOT_THERE = "not there yet"
APART = "the reference does not pass it here"


def sdist(work, version):
    """The unpacked sdist of a release, brought by pip unless it is there."""
    folder = work / "sdist" / f"sentence_transformers-{version}"
    if not folder.exists():
        (work / "sdist").mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary",
                        "sentence-transformers", "--dest", str(work / "sdist"), f"sentence-transformers=={version}"],
                       check=True)
        with tarfile.open(next((work / "sdist").glob(f"*-{version}.tar.gz"))) as archive:
            archive.extractall(work / "sdist", filter="data")
    return folder


def place_sdist(work, suite):
    """A folder with the tests of a suite's sdist and what they import; and which of its files to run."""
    folder = work / "run" / f"{suite.name}-{suite.sdist}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sdist(work, suite.sdist) / "tests", folder / "tests")
    (folder / "tests" / "__init__.py").write_text("")
    (folder / "tests" / "utils.py").write_text(TEST_UTILS)
    (folder / "tests" / "conftest.py").write_text(CONFTEST)
    return folder, suite.sdist_files


def place_checkout(work, suite, checkout):
    folder = work / "run" / f"{suite.name}-checkout"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(checkout / "tests", folder / "tests")
    return folder, [file for file in suite.checkout_files if (folder / file).exists()]


def place_examples(work, suite):
    folder = work / "run" / f"{suite.name}-examples"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(HERE / "reference_examples.py", folder / "test_examples.py")
    return folder, ["test_examples.py"]


def pages(suite, checkout):
    """Pages of the checkout's documentation, with their folders' ones."""
    found = [checkout / path for path in suite.checkout_pages] if checkout else []
    return [str(page) for path in found for page in (sorted(path.glob("*.rst")) if path.is_dir() else [path])
            if page.exists()]


def run(folder, files, suite, replace, options):
    """name of a test -> (outcome, last words), with the reference, once a work folder, or with crossenc's class."""
    results = options.work / "results" / f"{folder.name}-{'crossenc' if replace else 'reference'}.jsonl"
    if replace or not results.exists():
        results.parent.mkdir(exist_ok=True)
        results.unlink(missing_ok=True)
        run_pytest(folder, files, suite, replace, results, options)
    return outcomes(results)


def run_pytest(folder, files, suite, replace, results, options):
    import crossenc
    release = importlib.metadata.version("sentence-transformers")
    partial = results.with_suffix(".part")
    partial.unlink(missing_ok=True)
    environment = {
        **os.environ, "CROSSENC_REPLACE": suite.name if replace else "", "CROSSENC_SUBJECT": suite.name,
        "CROSSENC_RESULTS": str(partial), "CROSSENC_README": str(sdist(options.work, release) / "README.md"),
        "CROSSENC_PAGES": os.pathsep.join(pages(suite, options.checkout)), "HF_HUB_CACHE": str(options.work / "hub"),
        "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": os.pathsep.join((str(HERE), os.path.dirname(os.path.dirname(crossenc.__file__)))),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "reference_plugin", "-p", "no:cacheprovider", "--tb=short",
               "--rootdir", str(folder), *files]
    with open(results.with_suffix(".log"), "w", encoding="utf-8") as log:
        done = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT,
                              timeout=TIMEOUT_S, check=False)
    # With crossenc, what did not run because of a crash is a failure by itself.
    if not partial.exists() or (not replace and done.returncode not in (0, 1)):
        sys.exit(f"the tests did not run to their end: see {results.with_suffix('.log')}")
    partial.rename(results)


def outcomes(results):
    found = {}
    for line in results.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if found.get(row["test"], ("passed",))[0] == "passed":
            found[row["test"]] = (row["outcome"], row["words"])
    return found


def reason_for(test, words, reasons):
    """A reason holds for tests whose name fits and, if it says so, whose failure has the words."""
    for row in reasons:
        if fnmatch.fnmatchcase(test, row["test"]) and re.search(row.get("words", ""), words, re.S):
            return row["reason"]
    return None


def judge(suite, source, theirs, ours, reasons):
    """Rows (suite, source, test, verdict, why)."""
    for test, (outcome, words) in sorted(theirs.items()):
        found, own_words = ours.get(test, ("missing", "was not collected"))
        if outcome != "passed":
            yield suite, source, test, "can't apply", f"{APART}: {outcome}: {first_line(words)}"
        elif found == "passed":
            yield suite, source, test, "passed", ""
        else:
            reason = reason_for(test, own_words, reasons)
            yield suite, source, test, "can't apply" if reason else "failed", reason or first_line(own_words)


def first_line(words):
    return words.strip().splitlines()[0][:200] if words.strip() else ""


def run_suite(suite, options, reasons):
    import crossenc
    if not hasattr(crossenc, suite.name):
        yield suite.name, "", "all", NOT_THERE, f"crossenc has no {suite.name}"
        return
    places = [(f"sdist {suite.sdist}", place_sdist(options.work, suite)),
              ("documentation", place_examples(options.work, suite))]
    if options.checkout:
        places.insert(0, (f"checkout {options.release}", place_checkout(options.work, suite, options.checkout)))
    for source, (folder, files) in places:
        theirs, ours = (run(folder, files, suite, replace, options) for replace in (False, True))
        yield from judge(suite.name, source, theirs, ours, reasons)


def checkout_release(folder):
    """What the checkout calls itself."""
    found = re.search(r'^version = "(.*)"', (folder / "pyproject.toml").read_text(), re.M) if folder else None
    return found.group(1) if found else ""


def summary(rows):
    """A Markdown table of suites and sources, and one of reasons, with numbers of tests."""
    verdicts = ("passed", "failed", "can't apply", NOT_THERE)
    counts = collections.Counter((suite, source, verdict) for suite, source, _, verdict, _ in rows)
    lines = ["| class | tests of | passed | failed | can't apply: reference | can't apply: reason |",
             "|---|---|---|---|---|---|"]
    for suite, source in dict.fromkeys((row[0], row[1]) for row in rows):
        apart = sum(row[:2] == (suite, source) and row[4].startswith(APART) for row in rows)
        passed, failed, others, missing = (counts[suite, source, verdict] for verdict in verdicts)
        lines.append(f"| {suite} | {source or NOT_THERE} | {passed} | {failed} | {apart} | {others - apart} |")
    reasons = collections.Counter(row[4] for row in rows if row[3] == "can't apply" and not row[4].startswith(APART))
    lines += ["", "| tests | why they can't apply |", "|---|---|"]
    return "\n".join(lines + [f"| {count} | {reason} |" for reason, count in reasons.most_common()])


def title():
    import crossenc
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in
                         ("sentence-transformers", "transformers", "torch", "numpy"))
    return f"crossenc {crossenc.__version__}; {versions}; {datetime.date.today()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, help="kept; else a folder that is removed")
    parser.add_argument("--checkout", type=pathlib.Path, help="a checkout of the reference's repository, with tests/")
    parser.add_argument("--shared", type=pathlib.Path, default=SHARED)
    parser.add_argument("--class", dest="name", choices=[suite.name for suite in SUITES], help="that class alone")
    parser.add_argument("--table", type=pathlib.Path, help="writes a line a test there, beside what is printed")
    options = parser.parse_args()
    options.checkout = options.checkout and options.checkout.resolve()
    options.release = checkout_release(options.checkout)
    with tempfile.TemporaryDirectory() as temporary:
        options.work = (options.work or pathlib.Path(temporary)).resolve()
        sys.path.insert(0, str(HERE))
        from reference_models import make_hub
        make_hub(options.shared.resolve(), options.work / "hub")
        reasons = json.loads(REASONS.read_text(encoding="utf-8"))
        suites = [suite for suite in SUITES if options.name in (None, suite.name)]
        rows = [row for suite in suites for row in run_suite(suite, options, reasons)]
    table = "".join("\t".join(row) + "\n" for row in rows)
    print(table if not options.table else "", end="")
    if options.table:
        options.table.write_text(table, encoding="utf-8")
    print(title(), summary(rows), sep="\n\n")
    failures = [row for row in rows if row[3] == "failed"]
    for row in failures:
        print("failed:", *row[1:3], row[4])
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
