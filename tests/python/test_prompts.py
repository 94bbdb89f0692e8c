"""Prompts and chat templates of cross-encoders, against the logits of the reference."""
import json
import shutil

import pytest
from conftest import DATA

CHAT = DATA / "golden" / "chat"
CASES = json.loads((CHAT / "cases.json").read_text())


@pytest.fixture(params=CASES["cases"], ids=lambda case: case["name"])
def case(request, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(CHAT / "model", folder)
    for name, content in request.param["files"].items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder, request.param["results"]


def test_scores(package, case):
    folder, results = case
    model = package.CrossEncoder(str(folder), device="cpu", activation_fn=package.Identity())
    assert model.num_labels == 1
    for index, prompt, limit, _ids, logit, *chat in results:
        kwargs = {**({"text": {"max_length": limit}} if limit else {}), **({"chat_template": chat[0]} if chat else {})}
        score = model.predict(CASES["pairs"][index], prompt=prompt, processing_kwargs=kwargs or None)
        assert score == pytest.approx(logit, rel=2e-5, abs=2e-5)


@pytest.mark.parametrize("case", [c for c in CASES["cases"] if c["name"] == "plain"], indirect=True)
def test_names_for_the_template(package, case):
    model = package.CrossEncoder(str(case[0]), device="cpu")
    model.max_seq_length, pair = 40, ("query", "a document " * 30)
    usual = model.predict(pair)
    assert model.predict(pair, processing_kwargs={"chat_template": {"think": True}}) != usual
    assert model.predict(pair, processing_kwargs={"chat_template": {"other": 1}}) == usual  # the limit stays
    for wrong in ({"think": {1}}, {"think": float("nan")}, {"chat_template": "x"}):
        with pytest.raises(NotImplementedError, match="chat_template"):
            model.predict(pair, processing_kwargs={"chat_template": wrong})


@pytest.mark.parametrize("case", [c for c in CASES["cases"] if c["name"] == "saved, one word"], indirect=True)
def test_named_prompts(package, case, tmp_path):
    pair = ("query", "document")
    model = package.CrossEncoder(str(case[0]), device="cpu")
    assert model.prompts == {"judge": "Strictly.", "none": ""} and model.default_prompt_name == "judge"
    assert model.predict(pair) == model.predict(pair, prompt_name="judge") == model.predict(pair, prompt="Strictly.")
    assert model.predict(pair, prompt_name="none") == model.predict(pair, prompt="") != model.predict(pair)
    mine = package.CrossEncoder(str(case[0]), device="cpu", prompts={"mine": "Mine."}, default_prompt_name="mine")
    assert mine.predict(pair) == model.predict(pair, prompt="Mine.")
    assert mine.rank(*pair[:1], [pair[1]])[0]["score"] == pytest.approx(float(mine.predict(pair)))
    mine.save_pretrained(str(tmp_path / "saved"))
    again = package.CrossEncoder(str(tmp_path / "saved"), device="cpu")
    assert again.default_prompt_name == "mine" and again.predict(pair) == mine.predict(pair)
