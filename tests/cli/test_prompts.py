"""Prompts of cross-encoders: before queries, and by a chat template, against the ids and logits of the reference."""
import json
import shutil

import pytest
from conftest import DATA, MODELS

CHAT = DATA / "golden" / "chat"
CASES = json.loads((CHAT / "cases.json").read_text())


def case(name):
    return next(case for case in CASES["cases"] if case["name"] == name)


def write_case(folder, name):
    shutil.copytree(CHAT / "model", folder)
    for file, content in case(name)["files"].items():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.fixture
def judge(tmp_path):
    """A causal model with two named prompts, of which "judge" is the default."""
    return write_case(tmp_path / "judge", "saved, one word")


def prompt_arguments(prompt):
    return [] if prompt is None else ["--prompt", prompt]


def test_ids_and_logits(run, judge):
    rows = [row for row in case("saved, one word")["results"] if row[0] in (0, 4) and len(row) == 5]
    for index, prompt, limit, ids, logit in rows:
        query, document = CASES["pairs"][index]
        arguments = ["-m", judge, "--json", "--max-length", str(limit or 0), *prompt_arguments(prompt)]
        assert run("tokenize", *arguments, "--", query, document).json()["ids"] == ids
        score = run("rank", *arguments, "--logits", "--documents", "-", "--", query, input=document + "\n").json()["score"]
        assert score == pytest.approx(logit, rel=2e-5, abs=2e-5)


def test_named_prompts(run, judge):
    def ids(*arguments):
        return run("tokenize", "-m", judge, "--json", *arguments, "query", "document").json()["ids"]

    assert ids() == ids("--prompt-name", "judge") == ids("--prompt", "Strictly.") != ids("--prompt-name", "none")
    assert ids("--prompt-name", "none") == ids("--prompt", "")
    assert "it has judge, none" in run("rank", "-m", judge, "--prompt-name", "x", "q", expect=2).error


def test_a_prompt_goes_before_the_query(run):
    def scores(*arguments, query):
        return run("rank", "-m", MODELS / "long-1024", *arguments, "--documents", "-", query, input="the sea\n").out

    assert scores("--prompt", "how ", query="many") == scores(query="how many") != scores(query="many")
    assert "it has none" in run("predict", "-m", MODELS / "long-1024", "--prompt-name", "x", expect=2).error


def test_what_a_template_says_is_told(run, judge):
    (judge / "chat_template.jinja").write_text("{{ messages[0].content }}\n{{ messages | shuffle }}")
    error = run("rank", "-m", judge, "q", expect=None).error
    assert "chat_template.jinja, line 2: the filter \"shuffle\" is not supported" in error
