"""daf_butler's own server of repositories in a process of its own, as a site starts it, and a guard in front of it.

The server needs Python 3.13: daf_butler says so in ``lsst.daf.butler.tests.server_available``, and safir, which it is
built on, does not install on 3.11. Tests that start it are marked `needs_server`, and this is the one place that
decides: on an older Python they are skipped and say why; from 3.13 on they run, and fail without the extra ``server``.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from http_server import on_loopback

needs_server = pytest.mark.skipif(
    sys.version_info < (3, 13),
    reason=f"daf_butler's server needs Python 3.13, and this is {sys.version.split()[0]}: make test PYTHON=python3.13",
)

TOKEN = "a-token-of-a-reader"


def server_environment(repositories: Mapping[str, object]) -> dict[str, str]:
    """Return the variables that tell the server which repositories it serves, by name, to whoever comes."""
    return {
        "DAF_BUTLER_SERVER_REPOSITORIES": json.dumps(
            {name: {"config_uri": str(uri), "authorized_groups": ["*"]} for name, uri in repositories.items()}
        ),
        "DAF_BUTLER_SERVER_GAFAELFAWR_URL": "DISABLED",
        "DAF_BUTLER_SERVER_AUTHENTICATION": "rubin_science_platform",
    }


@contextlib.contextmanager
def serve_repositories(log: Path, **repositories: object) -> Iterator[str]:
    """Run the server; yield its address, below which a repository is ``/api/butler/repo/NAME``."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", "lsst.daf.butler.remote_butler.server:create_app"]
    environment = os.environ | server_environment(repositories)
    with (
        log.open("w") as output,
        subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--timeout-graceful-shutdown", "5"],
            env=environment,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            _wait_for(port, process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@dataclass
class Guard:
    """Where the guard is, and the path and the Authorization header of each request."""

    url: str = ""
    seen: list[tuple[str, str | None]] = field(default_factory=list)


@contextlib.contextmanager
def guarded(server: str) -> Iterator[Guard]:
    """Pass on to a server only who brings the token, and the client's configuration to everybody.

    That is what the reverse proxy of the how-to page does.
    """
    guard = Guard()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            given = self.headers.get("Authorization")
            guard.seen.append((self.path, given))
            if not self.path.endswith(("/butler.yaml", "/butler.json")) and given != f"Bearer {TOKEN}":
                self.send(401, b'{"detail": "no token"}', "application/json")
                return
            kept = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
            request = urllib.request.Request(server + self.path, body or None, kept, method=self.command)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    self.send(answer.status, answer.read(), answer.headers["Content-Type"])
            except urllib.error.HTTPError as error:
                self.send(error.code, error.read(), error.headers["Content-Type"])

        do_GET = do_POST = do_HEAD = do_OPTIONS = answer

        def send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with on_loopback(Handler) as listening:
        guard.url = f"http://127.0.0.1:{listening.server_port}"
        yield guard
