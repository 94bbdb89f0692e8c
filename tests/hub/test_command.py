"""crossenc pull over real sockets: what is fetched, what is checked, and everything that can go wrong on the way."""
import fcntl
import hashlib
import json
import os
import pty
import re
import resource
import shutil
import signal
import ssl
import struct
import subprocess
import termios
import time

import pytest
from conftest import COMMAND, DATA
from server import Hub

# 0.3 MB that do not repeat, so that a part at the wrong place is another file.
LARGE = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(10000))


def test_a_model(place, files):
    place.hub.add("org/tiny", {**files, "onnx/model.onnx": b"o", "tf_model.h5": b"t", "pytorch_model.bin": b"p",
                               "openvino/openvino_model.xml": b"v", "train_script.py": b"#", ".gitattributes": b"*"})
    report = place.pull("org/tiny")
    snapshot = place.expect_whole(files)
    size = sum(map(len, files.values()))
    assert report == {"model": "org/tiny", "commit": snapshot.name, "folder": str(snapshot), "files": len(files),
                      "files_fetched": len(files), "bytes": size, "bytes_fetched": size}
    out, said = place.run("pull", "org/tiny")
    assert "all were here" in out and str(snapshot) in out and said == ""
    scores = place.run("rank", "--json", "-m", "org/tiny", "query", "one", "two")[0]
    assert scores == place.run("rank", "--json", "-m", DATA / "golden/models/long-1024", "query", "one", "two")[0]
    assert place.run("rank", "--json", "-m", f"org/tiny@{snapshot.name}", "query", "one", "two")[0] == scores
    assert f'"folder":"{snapshot}"'.replace("folder", "model") in place.run(
        "convert", "--json", "--precision", "int8", "org/tiny", place.folder / "int8")[0]


def test_a_bi_encoder(place, encoder_files):
    place.hub.add("sentence-transformers/tiny", {**encoder_files, "0_Transformer/pytorch_model.bin": b"p",
                                                 "2_Dense/pytorch_model.bin": b"p", "other/config.json": b"{}"})
    assert place.pull("sentence-transformers/tiny")["files"] == len(encoder_files)
    place.expect_whole(encoder_files, "sentence-transformers/tiny")
    out, _ = place.run("encode", "-m", "tiny", "--format", "lines", "/dev/stdin", stdin=subprocess.DEVNULL)
    assert out == ""


def test_small_files_behind_a_redirection(place, encoder_files):
    """The hub has them on its own host elsewhere, and what counts is said there."""
    place.hub.is_caching = True
    place.hub.add("org/tiny", encoder_files, private=True)
    place.pull("org/tiny", env={"HF_TOKEN": "hf_good"})
    place.expect_whole(encoder_files)
    assert all("authorization" in request.headers for request in place.hub.asked(host="hub"))


def test_shards(place):
    shards = {f"model-{i}-of-3.safetensors": b"%d" % i for i in (1, 2, 3)}
    index = {"weight_map": {"a": "model-1-of-3.safetensors", "b": "model-2-of-3.safetensors",
                            "c": "model-3-of-3.safetensors", "d": "model-1-of-3.safetensors"}}
    files = {"config.json": b"{}", "model.safetensors.index.json": json.dumps(index).encode(), **shards}
    place.hub.add("org/tiny", {**files, "consolidated.safetensors": b"x", "pytorch_model.bin": b"p"})
    place.pull("org/tiny")
    place.expect_whole(files)
    place.hub.add("org/gap", {name: data for name, data in files.items() if "2-of-3" not in name})
    assert "which is not there" in place.pull("org/gap", expect=3)


def test_pytorch_weights_without_others(place):
    files = {"config.json": b"{}", "pytorch_model.bin": LARGE}
    place.hub.add("org/tiny", files)
    place.pull("org/tiny")
    place.expect_whole(files)


def adapter_files(base, **settings):
    """The files of a LoRA adapter of the model three-labels, which goes by another name."""
    folder = DATA / "golden" / "adapters" / "patterns"
    config = json.loads((folder / "adapter_config.json").read_text())
    return {"adapter_config.json": json.dumps({**config, "base_model_name_or_path": base, **settings}).encode(),
            "adapter_model.safetensors": (folder / "adapter_model.safetensors").read_bytes()}


def base_files():
    return {path.name: path.read_bytes() for path in (DATA / "golden/models/three-labels").iterdir()}


def test_an_adapter_with_its_model(place):
    base, lora = base_files(), adapter_files("org/base", revision="v2")
    place.hub.add("org/base", {"config.json": b"{}"}).commit(base, "v2")
    place.hub.add("org/lora", {**lora, "adapter_model.bin": b"b", "optimizer.pt": b"o", "README.md": b"r"})
    report = place.pull("org/lora")
    assert report["model"] == "org/lora" and report["base"] == "org/base"
    assert report["files"] == report["files_fetched"] == len(base) + 3
    assert report["bytes"] == report["bytes_fetched"] == sum(map(len, [*base.values(), *lora.values()])) + 1
    place.expect_whole({**lora, "README.md": b"r"}, "org/lora")
    place.expect_whole(base, "org/base", "v2")
    assert "changes   org/base" in place.run("pull", "org/lora")[0]
    (place.folder / "pairs").write_text("who was in the war\tthe wing\n")
    scores = place.run("predict", "-m", "org/lora", place.folder / "pairs")[0]
    plain = place.run("predict", "-m", DATA / "golden/models/three-labels", place.folder / "pairs")[0]
    assert scores != plain
    assert place.run("predict", "-m", "org/base@v2", "--adapter", "org/lora", place.folder / "pairs")[0] == scores
    said = place.run("predict", "-m", "org/base@v2", "--adapter", "org/other", place.folder / "pairs", expect=3)[1]
    assert 'the adapter "org/other": there is no model' in said


def test_adapters_whose_models_are_elsewhere(place):
    place.hub.add("org/base", base_files())
    place.hub.add("org/path", adapter_files("/home/me/base"))
    out, said = place.run("pull", "--json", "org/path")
    assert "base" not in json.loads(out) and "no name of the hub" in said
    place.expect_whole(adapter_files("/home/me/base"), "org/path")
    place.hub.add("org/gone", adapter_files("org/nothing"))
    said = place.pull("org/gone", expect=3)
    assert "org/gone is here, and the model that it changes is not" in said and "org/nothing" in said
    place.hub.add("org/twice", adapter_files("org/path"))  # an adapter of an adapter, or of itself
    assert "has no file of a model" in place.pull("org/twice", expect=3)
    place.hub.add("org/here", adapter_files("here"))
    shutil.copytree(DATA / "golden/models/three-labels", place.folder / "here")
    assert "base" not in place.pull("org/here", cwd=place.folder)  # a folder counts first
    place.hub.add("org/model", {**base_files(), **adapter_files("org/base")})
    assert place.pull("org/model")["files"] == len(base_files())  # a model that has an adapter beside it


def test_gguf_alone_is_not_chosen_among(place):
    place.hub.add("org/many", {"config.json": b"{}", "m-Q4_K.gguf": LARGE, "m-Q8_0.gguf": LARGE})
    said = place.pull("org/many", expect=3)
    assert "as GGUF alone, in 2 files (m-Q4_K.gguf)" in said
    place.hub.add("org/both", {"config.json": b"{}", "model.safetensors": LARGE, "m-Q8_0.gguf": LARGE})
    assert place.pull("org/both")["files_fetched"] == 2


def test_several_models_and_none(place, files):
    place.hub.add("org/tiny", files)
    place.hub.add("plain", files)
    out, _ = place.run("pull", "--json", "org/tiny", "plain")
    assert [json.loads(line)["model"] for line in out.splitlines()] == ["org/tiny", "plain"]
    assert "none was given" in place.run("pull", expect=2)[1]
    place.hub.add("org/docs", {"notes.txt": b"n"})
    assert "no file of a model" in place.pull("org/docs", expect=3)


def test_revisions(place, files):
    repository = place.hub.add("org/tiny", files)
    changed = {**files, "README.md": b"other"}
    for revision in ("v1", "refs/pr/7", "feature/x"):
        commit = repository.commit(changed, revision)
        assert place.pull(f"org/tiny@{revision}")["commit"] == commit
        place.expect_whole(changed, revision=revision)
    assert place.pull(f"org/tiny@{commit}")["files_fetched"] == 0
    assert place.pull("org/tiny")["files_fetched"] == 0  # its blobs are those of the others
    assert sorted(path.name for path in (place.repository() / "refs").iterdir()) == ["feature", "main", "refs", "v1"]
    said = place.pull("org/tiny@v2", expect=3)
    assert "org/tiny@v2" in said and "no such branch, tag or commit" in said
    assert "can be no revision" in place.pull("org/tiny@../x", expect=2)


def test_a_revision_moves(place, files):
    repository = place.hub.add("org/tiny", files)
    first = place.pull("org/tiny")["commit"]
    newer = {**files, "config.json": files["config.json"] + b"\n"}
    repository.commit(newer)
    place.run("rank", "-m", "org/tiny", "q", "d")  # what is here is taken, and nobody asked
    report = place.pull("org/tiny")
    assert report["commit"] != first and report["files_fetched"] == 1
    place.expect_whole(newer)
    assert (place.repository() / "snapshots" / first / "config.json").read_bytes() == files["config.json"]


# ---- who may

def test_the_token_stays_with_the_hub(place, files):
    place.hub.add("org/tiny", files, private=True)
    assert "private" in place.pull("org/tiny", expect=3)
    assert "the token is not valid" in place.pull("org/tiny", env={"HF_TOKEN": "hf_bad"}, expect=3)
    place.pull("org/tiny", env={"HF_TOKEN": " hf_good\n"})
    at_hub, at_store = place.hub.asked(host="hub")[2:], place.hub.asked(host="store")
    assert at_store and all("authorization" not in request.headers for request in at_store)
    assert all(request.headers["authorization"] == "Bearer hf_good" for request in at_hub)


def test_where_the_token_is(place, files):
    place.hub.add("org/tiny", files)
    home = place.folder / "home"
    home.mkdir()

    def sent(**variables):
        place.hub.requests.clear()
        place.pull("org/tiny", env={"HF_HOME": str(home), **variables})
        return place.hub.requests[0].headers.get("authorization")

    assert sent() is None
    (home / "token").write_text("hf_file\n")
    assert sent() == "Bearer hf_file"
    (home / "other").write_text("hf_other")
    assert sent(HF_TOKEN_PATH=str(home / "other")) == "Bearer hf_other"
    assert sent(HUGGING_FACE_HUB_TOKEN="hf_old") == "Bearer hf_old"
    assert sent(HUGGING_FACE_HUB_TOKEN="hf_old", HF_TOKEN="hf_new") == "Bearer hf_new"
    assert sent(HF_TOKEN="hf_new", HF_HUB_DISABLE_IMPLICIT_TOKEN="YES") is None
    said = place.pull("org/tiny", env={"HF_TOKEN": "hf_a\r\nX: b"}, expect=2)
    assert "HF_TOKEN holds what can be no token" in said and "hf_a" not in said


def test_gated_models(place, files):
    place.hub.add("org/tiny", files, gated=True)
    said = place.pull("org/tiny", expect=3)
    assert "is gated" in said and "HF_TOKEN" in said
    said = place.pull("org/tiny", env={"HF_TOKEN": "hf_bad"}, expect=3)
    assert "use a token of an account" in said and "hf_bad" not in said
    place.pull("org/tiny", env={"HF_TOKEN": "hf_good"})


def test_names_that_are_not_there(place):
    said = place.pull("org/nothing", env={"HF_TOKEN": "hf_good"}, expect=3)
    assert "there is no model org/nothing" in said
    assert "is no name of a model" in place.pull("a/b/c", expect=2)
    assert not place.cache.exists()


def test_renamed_models(place, files):
    place.hub.add("new/name", files)
    place.hub.add("org/tiny", {}, renamed_to="new/name")
    out, said = place.run("pull", "org/tiny")
    assert "org/tiny is called new/name now" in said
    place.expect_whole(files)


def test_offline(place, files):
    place.hub.add("org/tiny", files)
    said = place.pull("org/tiny", env={"HF_HUB_OFFLINE": "1"}, expect=3)
    assert "HF_HUB_OFFLINE" in said and not place.hub.requests
    assert "TRANSFORMERS_OFFLINE" in place.pull("org/tiny", env={"TRANSFORMERS_OFFLINE": "true"}, expect=3)
    assert "'crossenc pull'" in place.run("rank", "-m", "org/tiny", "q", "d", expect=3)[1]
    assert not place.hub.requests
    place.pull("org/tiny", env={"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"})


@pytest.mark.parametrize("endpoint, part", [
    ("ftp://hub", "HF_ENDPOINT"), ("nothing", "HF_ENDPOINT"), ("http://user@hub", "HF_ENDPOINT"),
    ("http://no-such-host.invalid", "is there a network")])
def test_wrong_endpoints(place, endpoint, part):
    assert part in place.run("pull", "org/tiny", env={"HF_ENDPOINT": endpoint}, expect=None)[1]


# ---- faults that pass

@pytest.mark.parametrize("fault, part, method", [
    (("status", 500), "/api/", "GET"), (("status", 502), "config.json", "HEAD"), (("status", 503), "/api/", "GET"),
    (("status", 504), "model.safetensors", "GET"), (("status", 408), "config.json", "GET"), (("close",), "/api/", "GET"),
    (("status", 429, {"Retry-After": "0"}), "/api/", "GET"), (("close",), "model.safetensors", "HEAD"),
    (("status", 500), "signature", "GET"), (("close",), "signature", "GET"), (("drop", 0), "signature", "GET")])
def test_faults_that_pass(place, files, fault, part, method):
    place.hub.add("org/tiny", files)
    place.hub.fault(part, *fault, times=2, method=method)
    place.pull("org/tiny")
    place.expect_whole(files)


def test_faults_that_stay(place, files):
    place.hub.add("org/tiny", files)
    place.hub.fault("/api/", "status", 503, times=100)
    out, said = place.run("pull", "org/tiny", expect=3)
    assert "status 503; try again later" in said and said.count("once more in") == 5
    assert len(place.hub.requests) == 6
    place.hub.faults.clear()
    place.hub.fault("/api/", "status", 429, {"Retry-After": "3600"}, times=100)
    assert "too much was asked for" in place.pull("org/tiny", expect=3)  # at once: nobody waits for an hour
    assert len(place.hub.requests) == 7


def test_connections_that_break(place):
    """Each break leaves a part, and the rest alone is asked for."""
    files = {"config.json": b"{}", "model.safetensors": LARGE}
    place.hub.add("org/tiny", files)
    for _ in range(3):
        place.hub.fault("signature", "drop", 70000)
    report = place.pull("org/tiny")
    place.expect_whole(files)
    ranges = [request.headers.get("range") for request in place.hub.asked(host="store")]
    assert ranges == [None, "bytes=70000-", "bytes=140000-", "bytes=210000-"]
    assert report["bytes_fetched"] == len(LARGE) + 2


def test_a_store_without_ranges(place):
    files = {"config.json": b"{}", "model.safetensors": LARGE}
    place.hub.add("org/tiny", files)
    place.hub.fault("signature", "drop", 70000)
    place.hub.fault("signature", "change", {"no range": True})
    assert place.pull("org/tiny")["bytes_fetched"] == len(LARGE) + 70002
    place.expect_whole(files)


def test_a_server_that_says_nothing(place, files):
    place.hub.add("org/tiny", files)
    place.hub.fault("/api/", "stall", 20)
    began = time.monotonic()
    _, said = place.run("pull", "org/tiny", env={"HF_HUB_DOWNLOAD_TIMEOUT": "1"})
    assert "no byte came" in said and time.monotonic() - began < 10
    place.expect_whole(files)


def test_a_killed_fetch_is_gone_on_with(place):
    files = {"config.json": b"{}", "model.safetensors": LARGE}
    place.hub.add("org/tiny", files)
    place.hub.fault("signature", "change", {"pace": (20000, 0.05)})
    process = place.start("pull", "org/tiny")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        parts = list(place.cache.rglob("*.incomplete"))
        if parts and parts[0].stat().st_size > 50000:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    part = parts[0].stat().st_size
    assert 50000 < part < len(LARGE) and not (place.repository() / "refs").exists()
    assert "no model" in place.run("rank", "-m", "org/tiny", "q", "d", expect=3)[1]
    assert place.pull("org/tiny")["bytes_fetched"] == len(LARGE) - part
    place.expect_whole(files)


def test_many_at_once(place):
    files = {"config.json": b"{}", "model.safetensors": LARGE, "README.md": b"# r"}
    place.hub.add("org/tiny", files)
    place.hub.fault("signature", "change", {"pace": (60000, 0.02)}, times=10)
    processes = [place.start("pull", "--json", "org/tiny") for _ in range(4)]
    reports = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert sum(report["bytes_fetched"] for report in reports) == sum(map(len, files.values()))
    place.expect_whole(files)


# ---- what is not what was promised

@pytest.mark.parametrize("change, part", [
    ({"data": LARGE[:-1] + b"!"}, "SHA-256"), ({"data": LARGE[:-1]}, "bytes"), ({"data": LARGE + b"!"}, "longer than"),
    ({"data": b""}, "bytes")])
def test_another_file(place, change, part):
    files = {"config.json": b"{}", "model.safetensors": LARGE}
    place.hub.add("org/tiny", files)
    place.hub.fault("signature", "change", change)
    assert part in place.pull("org/tiny", expect=3)
    assert not (place.repository() / "refs").exists() and not list(place.cache.rglob("*.incomplete"))
    place.pull("org/tiny")
    place.expect_whole(files)


def test_another_small_file(place):
    place.hub.add("org/tiny", {"config.json": b"{}", "model.safetensors": LARGE})
    place.hub.fault("config.json", "change", {"data": b"[]"})
    assert "git SHA-1" in place.pull("org/tiny", expect=3)


def test_another_part(place):
    """A range that begins elsewhere is refused, and what came before is given up with it."""
    place.hub.add("org/tiny", {"config.json": b"{}", "model.safetensors": LARGE})
    place.hub.fault("signature", "drop", 70000)
    place.hub.fault("signature", "change", {"shift": 100}, times=2)
    # Nothing is taken of a wrong part.
    assert place.pull("org/tiny")["bytes_fetched"] == 70000 + len(LARGE) + 2
    place.expect_whole({"config.json": b"{}", "model.safetensors": LARGE})


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/../../evil", "a\0b", "..", "a//b", "x\r\ny"])
def test_hostile_names(place, name):
    place.hub.add("org/tiny", {"config.json": b"{}"})
    sha = place.hub.repositories["org/tiny"].revisions["main"]
    place.hub.fault("/api/", "change", {"json": {"sha": sha, "siblings": [{"rfilename": "config.json"},
                                                                          {"rfilename": name}]}})
    place.pull("org/tiny", expect=3)
    assert not place.cache.exists()


@pytest.mark.parametrize("path", ["../evil", "/etc", "a/../../b", 5])
def test_hostile_modules(place, path):
    place.hub.add("org/tiny", {"config.json": b"{}", "modules.json": json.dumps([{"path": path}]).encode()})
    assert "modules.json" in place.pull("org/tiny", expect=3)
    assert {entry.name for entry in place.folder.iterdir()} == {"cache"}


@pytest.mark.parametrize("shard", ["../../../../evil", "/etc/passwd", "sub/model.safetensors", 5, None])
def test_hostile_indexes(place, shard):
    index = json.dumps({"weight_map": {"a": shard}}).encode()
    place.hub.add("org/tiny", {"config.json": b"{}", "model.safetensors.index.json": index})
    assert "no file of weights" in place.pull("org/tiny", expect=3)


@pytest.mark.parametrize("headers, part", [
    ({"ETag": None}, "names no sum"), ({"ETag": '"../../evil"'}, "names no sum"), ({"ETag": '"%s"' % ("A" * 40)}, "no sum"),
    ({"ETag": '"%s"' % ("0" * 41)}, "names no sum"), ({"Content-Length": None, "Transfer-Encoding": "chunked"}, "how long"),
    ({"X-Repo-Commit": "0" * 40}, "another one was asked for")])
def test_hostile_headers(place, headers, part):
    place.hub.add("org/tiny", {"config.json": b"{}"})
    place.hub.fault("config.json", "change", {"headers": headers}, method="HEAD")
    assert part in place.pull("org/tiny", expect=3)


@pytest.mark.parametrize("location, part", [
    ("file:///etc/passwd", "no URL"), ("ftp://127.0.0.1/x", "no URL"), (None, "where"), ("//127.0.0.1/x", "no URL"),
    ("http://user:word@127.0.0.1/", "no URL"), ("LOOP", "redirections")])
def test_hostile_redirections(place, location, part):
    place.hub.add("org/tiny", {"config.json": b"{}"})
    location = "/api/models/org/tiny/revision/main" if location == "LOOP" else location
    place.hub.fault("/api/", "status", 302, {"Location": location} if location else {}, times=100)
    assert part in place.pull("org/tiny", expect=3)
    assert len(place.hub.requests) < 20


def test_the_token_does_not_come_back(place, files):
    """A redirection to another host and back again is one that the other host chose."""
    place.hub.add("org/tiny", files)
    place.hub.fault("/api/", "status", 302, {"Location": f"{place.hub.store_url}/elsewhere"})
    place.hub.fault("/elsewhere", "status", 302, {"Location": f"{place.hub.url}/api/models/org/tiny/revision/main"})
    place.pull("org/tiny", env={"HF_TOKEN": "hf_good"})
    first, second, third = place.hub.requests[:3]
    assert "authorization" in first.headers
    assert "authorization" not in second.headers and "authorization" not in third.headers


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b"[" * 100000, b'{"sha": 1}', b"\xff\xfe", b"null"])
def test_replies_that_are_none(place, body):
    place.hub.add("org/tiny", {"config.json": b"{}"})
    place.hub.fault("/api/", "body", body)
    place.pull("org/tiny", expect=3)


def test_replies_that_are_too_long(place):
    place.hub.add("org/tiny", {"config.json": b"{}"})
    place.hub.fault("/api/", "body", b" " * (5 << 20))
    assert "more than 4194304 bytes" in place.pull("org/tiny", expect=3)
    place.hub.fault("/api/", "headers", 200)
    assert "header" in place.pull("org/tiny", expect=3)


# ---- the disk

def test_a_full_disk(place):
    """No file may be longer than 100 kB here, as if the disk were full then."""
    files = {"config.json": b"{}", "model.safetensors": LARGE}
    place.hub.add("org/tiny", files)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    said = place.pull("org/tiny", expect=3, preexec_fn=limit)
    assert "cannot write" in said and "too large" in said.lower()
    assert [path.stat().st_size for path in place.cache.rglob("*.incomplete")] == [100000]
    assert place.pull("org/tiny")["bytes_fetched"] == len(LARGE) - 100000
    place.expect_whole(files)


def test_a_disk_without_room(place):
    """What is too large is told before a byte of it is fetched."""
    place.hub.add("org/tiny", {"config.json": b"{}", "model.safetensors": LARGE})
    place.hub.fault("model.safetensors", "change", {"headers": {"X-Linked-Size": str(1 << 60)}}, method="HEAD")
    said = place.pull("org/tiny", expect=3)
    assert "MB more" in said and "HF_HUB_CACHE" in said and not place.hub.asked(host="store")


def test_a_cache_that_cannot_be_written(place, files):
    place.hub.add("org/tiny", files)
    place.cache.write_text("a file")
    assert str(place.cache) in place.pull("org/tiny", expect=3)


def test_a_blob_that_was_cut(place):
    files = {"config.json": b"{}", "model.safetensors": LARGE}
    place.hub.add("org/tiny", files)
    snapshot = place.cache / place.pull("org/tiny")["folder"]
    os.truncate(snapshot / "model.safetensors", 1000)
    assert place.pull("org/tiny")["files_fetched"] == 1
    place.expect_whole(files)


# ---- encrypted

def test_certificates(place, files, tmp_path):
    """A hub whose certificate nobody vouches for is not asked; one that SSL_CERT_FILE vouches for is."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed, which makes the certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key,
                    "-out", certificate], check=True, stderr=subprocess.DEVNULL)
    hub = Hub()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    hub.servers[0].socket = context.wrap_socket(hub.servers[0].socket, server_side=True)
    hub.add("org/tiny", {name: data for name, data in files.items() if name != "model.safetensors"})
    hub.add("org/large", files)
    address = hub.url.replace("http://127.0.0.1", "https://localhost")
    try:
        said = place.pull("org/tiny", env={"HF_ENDPOINT": address}, expect=3)
        assert "cannot prove" in said
        environment = {"HF_ENDPOINT": address, "SSL_CERT_FILE": str(certificate), "NO_PROXY": "localhost"}
        place.pull("org/tiny", env=environment)
        # The store of this hub is not encrypted, and so nothing comes from it.
        assert "not encrypted" in place.pull("org/large", env=environment, expect=3)
    finally:
        hub.close()


def test_a_proxy(place, files):
    """libcurl's variables count: the store stands in as a proxy, and gets whole URLs."""
    place.hub.add("org/tiny", files)
    place.pull("org/tiny", expect=3, env={"http_proxy": place.hub.store_url, "NO_PROXY": "", "no_proxy": ""})
    request = place.hub.requests[0]
    assert request.host == "store" and request.path.startswith(place.hub.url)


def test_examples_of_the_help(place, files):
    text = place.run("help", "pull")[0]
    examples = re.findall(r"^  crossenc (pull .*)$", text, flags=re.MULTILINE)
    repository = place.hub.add("cross-encoder/ms-marco-MiniLM-L6-v2", files)
    for example in examples:
        repository.commits[example.partition("@")[2] or "0" * 40] = files
        place.run(*example.split())
    assert len(examples) == 2


def test_without_libcurl(place, files):
    """Where it cannot be loaded, fetching says so, and all else works."""
    place.hub.add("org/tiny", files)
    place.pull("org/tiny")
    for name in ("libcurl.so.4", "libcurl-gnutls.so.4"):
        (place.folder / name).write_bytes(b"")
    environment = {"LD_LIBRARY_PATH": str(place.folder)}
    assert "install it (Debian: libcurl4)" in place.pull("org/tiny", env=environment, expect=3)
    place.run("rank", "-m", "org/tiny", "q", "d", env=environment)


def test_progress_and_quiet(place, files):
    place.hub.add("org/tiny", files)
    assert place.run("pull", "--quiet", "org/tiny")[1] == ""
    said = place.run("pull", "--verbose", "org/tiny")[1]
    assert "config.json: in the cache" in said


def test_a_bar_for_people(place):
    """On a terminal it is shown how far a fetch is; and wiped in the end."""
    try:
        leader, follower = pty.openpty()
    except OSError as why:
        pytest.skip(f"no pseudo-terminal can be had: {why}")
    place.hub.add("org/tiny", {"config.json": b"{}", "model.safetensors": LARGE})
    place.hub.fault("signature", "change", {"pace": (30000, 0.1)})
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([COMMAND, "pull", "org/tiny"], stdout=subprocess.DEVNULL, stderr=follower,
                               env={**place.environment, "TERM": "xterm", "LANG": "C.UTF-8"})
    assert process.wait(timeout=60) == 0
    os.close(follower)
    shown = os.read(leader, 1 << 16).decode()
    os.close(leader)
    assert re.search(r"\rfetching .*\d+ %  [\d.]+ KiB", shown) and shown.endswith("\r\x1b[K")
