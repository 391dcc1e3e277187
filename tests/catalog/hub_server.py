"""A Hub on this computer: the same endpoints, headers and redirects, and whatever can go wrong with them."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

ID, COMMIT, TOKEN = "owner/name", "c" * 40, "hf_ThisIsTheSecretOfTheTests"
OLD_ID = "owner/before-it-was-renamed"
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 32,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 64,
    "torch_dtype": "bfloat16",
}
SMALL = {
    "config.json": json.dumps(LLAMA).encode(),
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b'{"chat_template": "{{ messages }}"}',
}
UNWANTED = ("pytorch_model.bin", "consolidated.safetensors", "model.onnx", "original/params.json", "README.md")


def weights(size: int = 300_000) -> bytes:
    return hashlib.shake_128(b"weights").digest(size)


def model_files(size: int = 300_000) -> dict[str, bytes]:
    return SMALL | {"model.safetensors": weights(size)} | dict.fromkeys(UNWANTED, b"unwanted")


def etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Hub:
    """`files` of one model by revision; the others are what it does wrong."""

    files: dict[str, bytes] = field(default_factory=model_files)
    branches: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    info: dict[str, Any] = field(default_factory=dict)
    refuses: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)  # by file, or "api"
    cuts: list[int] = field(default_factory=list)  # after how many bytes of weights the line is dropped, each once
    stands_still: threading.Event | None = None  # half of the weights come, the rest once it is set
    says_nothing: bool = False  # a line is taken and no question answered
    listed: dict[str, dict[str, Any]] = field(default_factory=dict)  # what the listing says else of a file
    redirect: str = ""  # to another host, for weights
    ignores_range: bool = False
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> "Hub":
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def gets(self, name: str) -> list[Asked]:
        return [one for one in self.asked if one.path.endswith(f"/{name}")]

    def describe(self, revision: str) -> dict[str, Any]:
        siblings = [self._sibling(name, content) for name, content in self.files.items()]
        return {"id": ID, "sha": self.branches[revision], "siblings": siblings, "tags": []} | self.info

    def _sibling(self, name: str, content: bytes) -> dict[str, Any]:
        said: dict[str, Any] = {"rfilename": name, "size": len(content)}
        if name.endswith((".json", ".md")):
            said["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        else:
            said |= {"blobId": "b" * 40, "lfs": {"sha256": etag(content), "size": len(content), "pointerSize": 134}}
        if name in self.listed:
            said["size"] = self.listed[name].get("size", len(content))
            said["lfs"] |= self.listed[name]
        return said


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(Asked(self.command, path, {key.lower(): value for key, value in self.headers.items()}))
        if path.lower().startswith((f"/{OLD_ID}/", f"/api/models/{OLD_ID}")):
            self._answer(307, {"Location": self.path.replace(OLD_ID, ID, 1)})
        elif self.hub.says_nothing:
            self.rfile.read(1)  # until who asked has gone
        elif match := re.fullmatch(rf"/api/models/{ID}(?:/revision/(.+))?", path, re.IGNORECASE):
            self._describe(match[1] or "main")
        elif match := re.fullmatch(rf"/{ID}/resolve/([^/]+)/(.+)", path, re.IGNORECASE):
            self._resolve(match[2])
        elif path.startswith("/elsewhere/"):
            self._send_file(path.removeprefix("/elsewhere/"))
        else:
            self._answer(404, {"X-Error-Code": "RepoNotFound"})

    def _describe(self, revision: str) -> None:
        if "api" in self.hub.refuses:
            self._answer(*self.hub.refuses["api"])
        elif revision not in self.hub.branches:
            self._answer(404, {"X-Error-Code": "RevisionNotFound"})
        else:
            body = json.dumps(self.hub.describe(revision)).encode()
            self._answer(200, {"Content-Type": "application/json"}, body)

    def _resolve(self, name: str) -> None:
        if name in self.hub.refuses:
            self._answer(*self.hub.refuses[name])
        elif name not in self.hub.files:
            self._answer(404, {"X-Error-Code": "EntryNotFound"})
        elif self.hub.redirect and name.endswith(".safetensors"):
            linked = {"X-Linked-Etag": etag(self.hub.files[name]), "X-Linked-Size": str(len(self.hub.files[name]))}
            self._answer(302, {"Location": f"{self.hub.redirect}/elsewhere/{name}?Signature=secret"} | linked)
        else:
            self._send_file(name)

    def _send_file(self, name: str) -> None:
        content, asked = self.hub.files[name], self.headers.get("Range", "")
        start = 0 if self.hub.ignores_range or not asked else int(asked.removeprefix("bytes=").rstrip("-"))
        if start and start >= len(content):
            self._answer(416, {})
            return
        headers = {"ETag": f'"{etag(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = self.hub.cuts.pop(0) if self.hub.cuts and name.endswith(".safetensors") else None
        self._answer(206 if start else 200, headers, content[start:], cut)

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"", cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self._write(body[:cut])
        self.close_connection = cut is not None

    def _write(self, body: bytes) -> None:
        half = len(body) // 2 if self.hub.stands_still and self.path.endswith(".safetensors") else len(body)
        self.wfile.write(body[:half])
        if half < len(body):
            assert self.hub.stands_still is not None
            self.hub.stands_still.wait(60)
            with suppress(ConnectionError):  # who asked may have gone meanwhile
                self.wfile.write(body[half:])

    def log_message(self, *what: object) -> None: ...


def environment(home: Path, address: str, **more: str) -> dict[str, str]:
    """Of a process that knows this Hub and no other; the Hub's address is read once, when its library is imported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    hub = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    return kept | hub | more


def loralab(home: Path, address: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loralab_core.cli.main", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment(home, address, **more), timeout=60, check=False
    )
