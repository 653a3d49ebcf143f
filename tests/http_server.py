"""A local web server that serves a folder, with byte ranges, and remembers what it was asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
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


def _span(wanted: str | None, size: int) -> tuple[int, int]:
    """Return the bytes that a Range header asks for."""
    match = _RANGE.fullmatch(wanted or "")
    return (int(match[1]), min(int(match[2] or size) + 1, size)) if match else (0, size)


@contextmanager
def serve(folder: Path, *, ranges: bool = True) -> Iterator[Served]:
    """Serve a folder on loopback; with ``ranges=False`` as a server that knows no byte ranges."""
    served = Served("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(send=False)

        def do_GET(self) -> None:
            self._answer(send=True)

        def _answer(self, *, send: bool) -> None:
            path = folder / self.path.lstrip("/").partition("?")[0]
            wanted = self.headers.get("Range") if ranges else None
            data = path.read_bytes() if path.is_file() else None
            start, stop = _span(wanted, len(data or b""))
            body = b"" if data is None else data[start:stop]
            served.requests.append((self.command, self.path, wanted, len(body) if send else 0))
            if data is None or not body:
                self.send_error(404 if data is None else 416)
                return
            self.send_response(206 if wanted else 200)
            if ranges:
                self.send_header("Accept-Ranges", "bytes")
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if send:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
