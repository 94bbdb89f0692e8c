"""A Hugging Face hub of models that tests make, on two ports of this machine: the hub, and the host of large files that
it redirects to. It speaks the protocol as the hub's documentation and its Python package have it, and can be told to
fail in every way that a network has.

    hub = Hub(); hub.add("org/name", {"config.json": b"{}", "model.safetensors": b"..."}); ... ; hub.close()

A fault is (part of the path, what to do); it is used once, or as often as `times` says."""
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse

LARGE = (".safetensors", ".bin")


def git_sum(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sum_of(name, data):
    return hashlib.sha256(data).hexdigest() if name.endswith(LARGE) else git_sum(data)


class Repository:
    """Files by commit, commits by revision."""

    def __init__(self, name):
        self.name, self.revisions, self.commits = name, {}, {}
        self.private = self.gated = False
        self.renamed_to = None

    def commit(self, files, revision="main"):
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.revisions[revision] = commit
        return commit


class Request:
    def __init__(self, handler):
        self.host, self.method, self.path = handler.server.role, handler.command, handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "TestHub"
    disable_nagle_algorithm = True  # header and body are written apart, and neither waits for the other

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        hub = self.server.hub
        self.wrong = {}
        with hub.lock:
            hub.requests.append(Request(self))
            fault = hub.take_fault(self.command, self.path)
        if fault and self.fail(*fault):
            return
        if self.server.role == "store":
            self.store()
        elif self.path.startswith("/api/models/"):
            self.api()
        elif self.path.startswith("/api/resolve-cache/models/"):
            self.resolve_cached()
        else:
            self.resolve()

    # ---- faults

    def fail(self, kind, *details):
        """True: the request is done with."""
        if kind == "status":
            self.reply(details[0], b"a page for people", *details[1:])
        elif kind == "drop":
            self.wrong["drop"] = details[0]
            return False
        elif kind == "change":  # name of what is changed, and how
            self.wrong.update(details[0])
            return False
        elif kind == "stall":
            self.server.hub.closing.wait(details[0])
            self.close_connection = True
        elif kind == "close":
            self.close_connection = True
        elif kind == "headers":
            self.reply(200, b"", {f"X-Filler-{i}": "x" * 1000 for i in range(details[0])})
        elif kind == "body":
            self.reply(200, details[0])
        return True

    # ---- replies

    def reply(self, status, body=b"", headers=None):
        headers = {"Content-Length": str(len(body)), **(headers or {}), **self.wrong.get("headers", {})}
        drop = self.wrong.get("drop")
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        pace = self.wrong.get("pace")
        try:
            if drop is not None:
                self.wfile.write(body[:drop])
                self.close_connection = True
            elif pace:
                for i in range(0, len(body), pace[0]):
                    self.wfile.write(body[i:i + pace[0]])
                    time.sleep(pace[1])
            else:
                self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def error(self, status, code):
        self.reply(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def token(self):
        return self.headers.get("Authorization", "").partition("Bearer ")[2]

    def find(self, name, revision):
        """(repository, commit), or None after the reply that says why not."""
        repository = self.server.hub.repositories.get(name)
        known = self.token() == self.server.hub.good_token
        if repository is None or (repository.private and not known):
            return self.error(404 if known else 401, "RepoNotFound")
        if repository.renamed_to:
            path = self.path.replace(name, repository.renamed_to, 1)
            return self.reply(307, b"", {"Location": path})
        if repository.gated and not (known and "resolve" in self.path) and "resolve" in self.path:
            return self.error(403 if self.token() else 401, "GatedRepo")
        commit = repository.revisions.get(revision, revision)
        if commit not in repository.commits:
            return self.error(404, "RevisionNotFound")
        return repository, commit

    def api(self):
        path, _, query = self.path[len("/api/models/"):].partition("?")
        match = re.fullmatch(r"(.+?)/(revision|tree)/([^/]+)", path)
        name, kind, revision = match.groups() if match else (path, "revision", "main")
        found = self.find(name, urllib.parse.unquote(revision))
        if not found:
            return
        repository, commit = found
        files = repository.commits[commit]
        if kind == "tree":
            body = [{"type": "file", "path": name, "size": len(data), "oid": git_sum(data),
                     **({"lfs": {"oid": sum_of(name, data), "size": len(data), "pointerSize": 134}}
                        if name.endswith(LARGE) else {})} for name, data in files.items()]
        else:
            body = {"_id": "0", "id": repository.name, "modelId": repository.name, "sha": commit, "private": False,
                    "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": [],
                    "siblings": [{"rfilename": name} for name in files], "createdAt": "2024-01-01T00:00:00.000Z"}
        body = self.wrong.get("json", body)
        self.reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def resolve(self):
        match = re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", self.path)
        if not match:
            return self.error(404, "RepoNotFound")
        name, revision, file = match[1], urllib.parse.unquote(match[2]), urllib.parse.unquote(match[3])
        found = self.find(name, revision)
        if not found:
            return
        repository, commit = found
        headers = {"X-Repo-Commit": commit}
        data = repository.commits[commit].get(file)
        if data is None:
            return self.reply(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
        if file.endswith(LARGE):
            hub = self.server.hub
            large = sum_of(file, data)
            hub.blobs[large] = data
            self.reply(302, b"", {**headers, "Location": f"{hub.store_url}/{large}?signature=secret",
                                  "X-Linked-Etag": f'"{large}"', "X-Linked-Size": str(len(data)), "ETag": '"pointer"'})
        elif self.server.hub.is_caching:
            self.reply(307, b"elsewhere", {**headers, "X-Linked-Etag": f'"{git_sum(data)}"',
                                           "Location": f"/api/resolve-cache/models/{name}/{commit}/{match[3]}?x=y"})
        else:
            self.content(data, {**headers, "ETag": f'"{git_sum(data)}"'})

    def resolve_cached(self):
        """Where the hub itself redirects to for small files."""
        name, commit, file = re.fullmatch(r"/api/resolve-cache/models/(.+?)/([0-9a-f]{40})/(.+)\?x=y", self.path).groups()
        data = self.server.hub.repositories[name].commits[commit][urllib.parse.unquote(file)]
        self.content(data, {"X-Repo-Commit": commit, "ETag": f'"{git_sum(data)}"'})

    def store(self):
        data = self.server.hub.blobs.get(urllib.parse.urlsplit(self.path).path[1:])
        if data is None:
            return self.reply(403)
        self.content(data, {"ETag": '"of the store"'})

    def content(self, data, headers):
        """A file, or the range of it that is asked for."""
        data = self.wrong.get("data", data)
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match or self.wrong.get("no range"):
            return self.reply(200, data, headers)
        begin = int(match[1]) + self.wrong.get("shift", 0)
        if begin >= len(data):
            return self.reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        self.reply(206, data[begin:], {**headers, "Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"})


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that went away, which tests do on purpose


class Hub:
    good_token = "hf_good"
    is_caching = False  # small files are behind a redirection on the same host

    def __init__(self):
        self.repositories, self.blobs, self.requests, self.faults = {}, {}, [], []
        self.lock, self.closing = threading.Lock(), threading.Event()
        self.servers = []
        for role in ("hub", "store"):
            server = Server(("127.0.0.1", 0), Handler)
            server.hub, server.role = self, role
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            self.servers.append(server)
        self.url, self.store_url = (f"http://127.0.0.1:{server.server_address[1]}" for server in self.servers)

    def add(self, name, files, **settings):
        repository = self.repositories[name] = Repository(name)
        for setting, value in settings.items():
            setattr(repository, setting, value)
        repository.commit(files)
        return repository

    def fault(self, part, *what, times=1, method="GET"):
        self.faults.append([part, method, what, times])

    def take_fault(self, method, path):
        for fault in self.faults:
            if fault[0] in path and fault[1] == method and fault[3] > 0:
                fault[3] -= 1
                return fault[2]
        return None

    def asked(self, method="GET", host=None):
        return [request for request in self.requests
                if request.method == method and (host is None or request.host == host)]

    def close(self):
        self.closing.set()
        for server in self.servers:
            server.shutdown()
            server.server_close()
