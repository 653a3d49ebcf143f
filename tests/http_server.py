"""A local web server that serves a folder, with byte ranges, and remembers what it was asked."""

from __future__ import annotations

import math
import mmap
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Served:
    """Where the folder is served, and the requests so far: method, path, range, bytes sent."""

    url: str
    requests: list[tuple[str, str, str | None, int]] = field(default_factory=list)

    @property
    def bytes_sent(self) -> int:
        return sum(size for *_, size in self.requests)


def _content(path: Path) -> bytes | mmap.mmap:
    """Return the bytes of a file, of which only those that are sent are read."""
    if not path.is_file() or not path.stat().st_size:
        return b""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _span(wanted: str | None, size: int) -> tuple[int, int]:
    """Return the bytes that a Range header asks for."""
    match = _RANGE.fullmatch(wanted or "")
    return (int(match[1]), min(int(match[2] or size) + 1, size)) if match else (0, size)


def _fits(version: Mapping[str, str], asked: Mapping[str, str]) -> bool:
    """Return whether a file is of the version that a request is for."""
    conditions = {"ETag": asked.get("If-Match"), "Last-Modified": asked.get("If-Unmodified-Since")}
    return all(wanted in {None, version.get(name)} for name, wanted in conditions.items())


def exchange(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that it never is there in part."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.replace(path)


@contextmanager
def on_loopback(
    handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
) -> Iterator[ThreadingHTTPServer]:
    """Let a server answer on a free port until the end of the block, with a context over TLS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if context is not None:
        # The handshake is left to the thread of a connection: one that never comes must not stop the others.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serve(
    folder: Path,
    *,
    ranges: bool = True,
    fault: Callable[[int], str | None] = lambda _: None,
    status: Callable[[str], int | None] = lambda _: None,
    version: Callable[[bytes], Mapping[str, str]] = lambda _: {},
    shift: int = 0,
    latency: float = 0.0,
    bytes_a_second: float = math.inf,
) -> Iterator[Served]:
    """Serve a folder on loopback.

    Parameters
    ----------
    folder
        What is served.
    ranges
        Whether the server knows byte ranges.
    fault
        Says what goes wrong with the request of a number, from 0: ``"503"``,
        ``"reset"`` (the connection), ``"cut"`` (half the body, though more was
        announced), ``"short"`` (half the body, announced as such), ``"stall"``,
        ``"dry"`` (half the body, and then nothing).
    status
        Says by which status a path is refused; 302 leads to itself.
    version
        Gives the headers that tell versions of a file apart, from its content;
        a request for another one is refused by 412.
    shift
        Bytes by which all ranges are sent from another place than asked for.
    latency
        Seconds before each answer.
    bytes_a_second
        How fast bodies are sent, all together.
    """
    served = Served("")
    over, line, counting = threading.Event(), threading.Lock(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(send=False)

        def do_GET(self) -> None:
            self._answer(send=True)

        def _answer(self, *, send: bool) -> None:
            path = folder / self.path.lstrip("/").partition("?")[0]
            wanted = self.headers.get("Range") if ranges else None
            data = _content(path)
            start, stop = _span(wanted, len(data))
            start, stop = (start + shift, stop + shift) if wanted else (start, stop)
            with counting:  # so that no two requests have one number
                number = len(served.requests)
                served.requests.append((self.command, self.path, wanted, stop - start if send else 0))
            problem = fault(number)
            time.sleep(latency)
            if refused := status(self.path):
                self._refuse(refused)
            elif not _fits(version(data), self.headers):
                self._refuse(412)
            elif problem in {"reset", "stall"}:
                self._hang_up(after=60 if problem == "stall" else 0)
            elif problem == "503" or start >= stop:
                self.send_error(503 if problem == "503" else 416 if data else 404)
            else:
                body = data[start : start + (stop - start) // 2] if problem == "short" else data[start:stop]
                headers = dict(version(data))
                if wanted:
                    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
                self._send(body, headers, send, problem)

        def _refuse(self, code: int) -> None:
            self.send_response(code)
            if code == 302:
                self.send_header("Location", self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _hang_up(self, after: float) -> None:
            over.wait(after)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def _send(self, body: bytes, headers: Mapping[str, str], send: bool, problem: str | None) -> None:
            self.send_response(206 if "Content-Range" in headers else 200)
            if ranges:
                self.send_header("Accept-Ranges", "bytes")
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if send:
                with line:
                    time.sleep(len(body) / bytes_a_second)
                half = problem in {"cut", "dry"}
                self.wfile.write(body[: len(body) // 2] if half else body)
                if problem == "dry":
                    over.wait(60)
                self.close_connection = half

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with on_loopback(Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield served
        finally:
            over.set()
