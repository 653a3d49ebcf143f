"""Stand-ins for the hosts that the pages name: the archive, its bucket on the web, and S3.

The blocks of the pages keep the archive's own addresses. `network/sitecustomize.py`
leads Python there, and a ``.curlrc`` leads curl; both trust a certificate made
here. The archive's image search and tables are those of `vo_server`, its files
simulated ones, 64 pixels wide, with the names that are asked for. S3 is
`s3_server`, to which ``S3_ENDPOINT_URL`` points, as for any other S3 server;
it has the bucket ``my-bucket``, empty.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ssl
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

from archive_samples import BUCKET, ROOT
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from http_server import on_loopback, serve
from vo_server import serve_archive

from spherex_butler.names import parse_product_name
from spherex_butler.testing import write_level2

NETWORK = Path(__file__).with_name("network")
_HOSTS = [str(urlsplit(root).hostname) for root in (ROOT, BUCKET)]
_SERVICES = ("/SIA", "/TAP")


@contextlib.contextmanager
def stand_ins(folder: Path) -> Iterator[dict[str, str]]:
    """Run the archive and its bucket; return the environment variables by which clients find them."""
    files, certificate = folder / "files", folder / "certificate.pem"
    files.mkdir(parents=True)
    _write_certificate(certificate)
    with serve(files) as web, serve_archive() as services:
        backends = {"web": urlsplit(web.url).netloc, "services": urlsplit(services.url).netloc}
        services.url = f"https://{_HOSTS[0]}"
        with _front(files, certificate, backends) as address:
            lines = [f'connect-to = "{host}:443:{address}"' for host in _HOSTS]
            (folder / ".curlrc").write_text("\n".join([*lines, f'cacert = "{certificate}"', "silent", "show-error\n"]))
            yield {
                "CURL_HOME": str(folder),
                "REQUESTS_CA_BUNDLE": str(certificate),
                "SSL_CERT_FILE": str(certificate),
                "SPHEREX_BUTLER_STAND_INS": ",".join(f"{host}={address}" for host in _HOSTS),
            }


@contextlib.contextmanager
def _front(files: Path, certificate: Path, backends: dict[str, str]) -> Iterator[str]:
    """Answer for all hosts over TLS with what other servers say; return host and port."""
    writing = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            path = urlsplit(self.path).path.removeprefix(urlsplit(ROOT).path.rstrip("/"))
            if path.startswith(_SERVICES):
                self.forward(backends["services"], self.path)
                return
            with writing:
                _make_file(files / path.lstrip("/"))
            self.forward(backends["web"], path)

        do_GET = do_HEAD = do_POST = do_DELETE = answer

        def forward(self, server: str, path: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with contextlib.closing(HTTPConnection(server, timeout=60)) as connection:
                connection.request(self.command, path, body, dict(self.headers))
                response = connection.getresponse()
                data = response.read()
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name not in {"Server", "Date"}:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with on_loopback(Handler, context) as server:
        yield f"127.0.0.1:{server.server_port}"


def _make_file(path: Path) -> None:
    """Write the Level 2 file that a path of the archive's tree names, unless it is there."""
    if path.name.startswith("level2_") and not path.exists():
        name = parse_product_name(path.name)
        release = path.parents[4].name  # release/level2/period/token/detector/name
        write_level2(
            path, obs_id=str(name.observation), detector=name.detector, token=str(name.token), release=release, size=64
        )


def _write_certificate(path: Path) -> None:
    """Write a key and a certificate of all hosts, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-ins of the archive")])
    today = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in _HOSTS]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
