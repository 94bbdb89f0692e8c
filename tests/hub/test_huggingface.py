"""The Python package huggingface_hub against the same hub and the same cache: what it fetches is found, and what crossenc
fetches it takes for its own. So the protocol and the layout are not only our own reading of them."""
import json
import os
import subprocess

import pytest
from conftest import python_with

PROGRAM = """
import json, sys
import huggingface_hub
from huggingface_hub import errors
out = []
for function, arguments in json.load(sys.stdin):
    try:
        found = getattr(huggingface_hub, function)(**arguments)
        out.append(found if isinstance(found, str) else type(found).__name__)
    except Exception as error:
        out.append([base.__name__ for base in type(error).__mro__])
print(json.dumps([huggingface_hub.__version__, out]))
"""


@pytest.fixture(scope="module", name="python")
def python_of_the_package():
    return python_with("huggingface_hub")


def call(place, python, *calls, **variables):
    done = subprocess.run([python, "-c", PROGRAM], input=json.dumps(calls), stdout=subprocess.PIPE, text=True, check=True,
                          timeout=120, env={**place.environment, **variables})
    version, results = json.loads(done.stdout)
    print("huggingface_hub", version)
    return results


@pytest.mark.parametrize("is_caching", [False, True])
def test_what_it_fetched_is_found(place, python, files, is_caching):
    place.hub.is_caching = is_caching
    place.hub.add("org/tiny", files)
    folder, = call(place, python, ("snapshot_download", {"repo_id": "org/tiny"}))
    place.hub.requests.clear()
    scores = place.run("rank", "--json", "-m", "org/tiny", "query", "one", "two")[0]
    assert len(scores.splitlines()) == 2 and not place.hub.requests
    report = place.pull("org/tiny")
    assert report["folder"] == folder and report["files_fetched"] == 0


def test_it_fetched_a_part(place, python, files):
    """Other programs read configs alone; such a snapshot is no model, and is completed."""
    place.hub.add("org/tiny", files)
    call(place, python, ("hf_hub_download", {"repo_id": "org/tiny", "filename": "config.json"}))
    assert "with its weights" in place.run("rank", "-m", "org/tiny", "q", "d", expect=3)[1]
    assert place.pull("org/tiny")["files_fetched"] == len(files) - 1
    place.run("rank", "-m", "org/tiny", "q", "d")


def test_what_is_fetched_is_its_own(place, python, files, encoder_files):
    place.hub.add("org/tiny", files)
    place.hub.add("org/encoder", encoder_files)
    first, second = place.pull("org/tiny"), place.pull("org/encoder")
    place.hub.requests.clear()
    found = call(place, python, ("snapshot_download", {"repo_id": "org/tiny"}),
                 ("snapshot_download", {"repo_id": "org/encoder", "revision": second["commit"]}),
                 ("hf_hub_download", {"repo_id": "org/tiny", "filename": "config.json"}),
                 ("try_to_load_from_cache", {"repo_id": "org/tiny", "filename": "vocab.txt"}),
                 HF_HUB_OFFLINE="1")
    assert found[:3] == [first["folder"], second["folder"], os.path.join(first["folder"], "config.json")]
    assert found[3] == "object"  # _CACHED_NO_EXIST: it knows that there is none
    assert not place.hub.requests
    # Online it asks what there is, and fetches nothing that is here.
    assert call(place, python, ("snapshot_download", {"repo_id": "org/tiny"})) == [first["folder"]]
    assert not place.hub.asked(host="store")


def test_its_scan_finds_no_fault(place, python, files):
    place.hub.add("org/tiny", files)
    place.pull("org/tiny")
    program = ("import huggingface_hub, json; found = huggingface_hub.scan_cache_dir(); repo, = found.repos; "
               "print(json.dumps([repo.repo_id, len(found.warnings), repo.nb_files, sorted(repo.refs)]))")
    done = subprocess.run([python, "-c", program], stdout=subprocess.PIPE, text=True, check=True, env=place.environment)
    assert json.loads(done.stdout) == ["org/tiny", 0, len(files), ["main"]]


def test_both_at_once(place, python, files):
    """Two programs that know nothing of each other, and one lock."""
    large = {**files, "model.safetensors": os.urandom(400000)}
    place.hub.add("org/tiny", large)
    place.hub.fault("signature", "change", {"pace": (40000, 0.05)}, times=2)
    process = place.start("pull", "--json", "org/tiny")
    folder, = call(place, python, ("snapshot_download", {"repo_id": "org/tiny"}))
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert json.loads(out)["folder"] == folder
    place.expect_whole(large)


def test_refusals_are_the_same(place, python, files):
    """Our server's refusals are such that the package knows them."""
    place.hub.add("org/gated", files, gated=True)
    place.hub.add("org/tiny", files)
    results = call(place, python, ("hf_hub_download", {"repo_id": "org/gated", "filename": "config.json"}),
                   ("snapshot_download", {"repo_id": "org/nothing"}),
                   ("snapshot_download", {"repo_id": "org/tiny", "revision": "v9"}),
                   ("hf_hub_download", {"repo_id": "org/tiny", "filename": "nothing"}))
    for bases, name in zip(results, ["GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError",
                                     "EntryNotFoundError"]):
        assert name in bases and "OSError" in bases
