"""An S3 bucket on loopback, to which Butler is pointed, and what its server was asked."""

from __future__ import annotations

import contextlib
import os
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
from lsst.resources.s3utils import clean_test_environment_for_s3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


@dataclass
class Bucket:
    """Where the bucket is, and what its server was asked: method, key, range and bytes sent.

    ``authorized`` are the Authorization headers that came along, which requests to signed addresses have not.
    """

    url: str
    client: Any = None
    seen: list[tuple[str, str, str | None, int]] = field(default_factory=list)
    authorized: list[str] = field(default_factory=list)

    @property
    def gets(self) -> list[tuple[str, str, str | None, int]]:
        return [request for request in self.seen if request[0] == "GET" and request[1].endswith(".fits")]

    @property
    def bytes_sent(self) -> int:
        return sum(size for *_, size in self.seen)

    def recorded(self, application: Any) -> Any:
        """Return a WSGI application that answers as the given one, and remembers."""

        def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            body = list(application(environ, start_response))
            wanted = environ.get("HTTP_RANGE")
            self.authorized += [given] if (given := environ.get("HTTP_AUTHORIZATION")) else []
            self.seen.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], wanted, sum(map(len, body))))
            return body

        return answer


@contextlib.contextmanager
def serve_bucket(name: str) -> Iterator[Bucket]:
    """Serve an empty bucket, the only one there is; moto's server is a WSGI application."""
    bucket = Bucket(f"s3://{name}")
    application = bucket.recorded(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    with clean_test_environment_for_s3():
        os.environ["S3_ENDPOINT_URL"] = url = f"http://127.0.0.1:{server.server_port}"
        _forget_buckets(url)
        with contextlib.closing(boto3.client("s3", endpoint_url=url)) as bucket.client:
            bucket.client.create_bucket(Bucket=name)
            yield bucket
    server.shutdown()
    server.server_close()
    thread.join()


def _forget_buckets(url: str) -> None:
    """Remove all that is stored: moto keeps it in this process, whichever of its servers was asked."""
    with urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"), timeout=60) as answer:
        assert answer.status == 200
