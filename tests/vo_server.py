"""A stand-in for the archive's SIA2 and TAP services, which serves the real rows.

It answers what the standards say a service does: parameters it does not know,
or whose values it does not understand, are errors.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, parse_qsl, urlsplit
from xml.sax.saxutils import escape

import numpy as np
from archive_samples import IRIS, M31, caom_table, sia_table
from astropy.coordinates import SkyCoord
from astropy.io.votable import from_table
from astropy.io.votable.tree import Info
from astropy.table import Table, vstack
from http_server import on_loopback

VOTABLE = "application/x-votable+xml"
CSV = "text/csv"
HALF_DIAGONAL = 2.46  # degrees, of a detector

_JOB = """<?xml version="1.0"?>
<uws:job xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1">
<uws:jobId>{number}</uws:jobId><uws:phase>{phase}</uws:phase>{rest}</uws:job>"""
_RESULT = '<uws:results><uws:result id="result" xlink:href="{url}/async/{number}/results/result"/></uws:results>'
_ERROR = '<uws:errorSummary type="fatal" hasDetail="false"><uws:message>{message}</uws:message></uws:errorSummary>'
_REFUSAL = (
    '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
    '<INFO name="QUERY_STATUS" value="ERROR">{message}</INFO></RESOURCE></VOTABLE>'
)


class Refused(Exception):
    """What the service says to a query it does not answer."""


@dataclass
class Services:
    """Where the services are, and what they were asked.

    Parameters
    ----------
    url
        Of both: ``{url}/SIA`` and ``{url}/TAP``.
    limit
        Rows that an answer has at most, whatever MAXREC is.
    silent
        Whether an answer that was cut off does not say so.
    looks
        How many times a job is looked at before it is done.
    answer
        Overrides what a path is answered: status, content type, body.
    """

    url: str = ""
    limit: int = 1_000_000
    silent: bool = False
    looks: int = 0
    answer: Callable[[str], tuple[int, str, bytes] | None] = lambda _: None
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    jobs: dict[int, dict[str, str]] = field(default_factory=dict)
    looked: dict[int, int] = field(default_factory=dict)
    deleted: list[int] = field(default_factory=list)

    def sia(self, query: dict[str, list[str]]) -> tuple[int, str, bytes]:
        """Answer an SIA2 query."""
        self.asked.append(query)
        unknown = set(query) - {"POS", "TIME", "COLLECTION", "MAXREC", "FORMAT"}
        if unknown:
            raise Refused(f"UsageFault: unknown parameters {sorted(unknown)}")
        rows = vstack([sia_table(M31), sia_table(IRIS)])
        rows = rows[np.isin(rows["obs_collection"], query["COLLECTION"])]
        for value in query.get("TIME", []):
            begin, end = map(float, value.split())
            rows = rows[(rows["t_max"] >= begin) & (rows["t_min"] <= end)]
        for value in query.get("POS", []):
            shape, *numbers = value.split()
            if shape != "CIRCLE" or len(numbers) != 3:
                raise Refused(f"UsageFault: POS {value!r}")
            ra, dec, radius = map(float, numbers)
            centres = SkyCoord(rows["s_ra"], rows["s_dec"], unit="deg")
            apart = centres.separation(SkyCoord(ra, dec, unit="deg")).deg
            rows = rows[apart <= radius + HALF_DIAGONAL]
        return self.table(rows, query.get("MAXREC", [str(self.limit)])[0], query.get("FORMAT", [VOTABLE])[0])

    def tap(self, query: dict[str, str]) -> tuple[int, str, bytes]:
        """Answer a query: a job, or one that is waited for."""
        adql = " ".join(query["QUERY"].split())
        if query["LANG"] != "ADQL" or query.get("REQUEST", "doQuery") != "doQuery":
            raise Refused(f"only ADQL is answered, not {query}")
        if not re.match(r"SELECT .* FROM spherex\.", adql):
            raise Refused(f"ADQL syntax: unexpected {adql.partition(' ')[0]!r} <line 1>")
        rows = vstack([caom_table(M31), caom_table(IRIS)])
        if "FROM spherex.obscore" in adql:
            rows = sia_table(M31)
            rows["access_url"] = "https://irsa.ipac.caltech.edu/datalink/sync?ID=ivo://irsa.ipac/spherex_qr2"
        for name, sign, value in re.findall(r"p\.(time_bounds_\w+) (>=|<) ([\d.]+)", adql):
            column = rows[name]
            rows = rows[column >= float(value) if sign == ">=" else column < float(value)]
        for ra, dec in re.findall(r"CONTAINS\(POINT\('ICRS', ([-\d.]+), ([-\d.]+)\), p\.poly\) = 1", adql):
            inside = [covers(poly, float(ra), float(dec)) for poly in rows["poly"]]
            rows = rows[np.array(inside, bool)]
        return self.table(rows, query.get("MAXREC", str(self.limit)), query.get("FORMAT", VOTABLE))

    def table(self, rows: Table, maxrec: str, form: str) -> tuple[int, str, bytes]:
        """Return some rows: status, content type and document."""
        most = min(int(maxrec), self.limit)
        if form.lower() == "csv":
            text = io.StringIO()
            rows[:most].write(text, format="ascii.csv")
            return 200, CSV, text.getvalue().encode()
        return 200, VOTABLE, self.votable(rows, most)

    def votable(self, rows: Table, most: int) -> bytes:
        """Return some rows as a document, and whether these are all."""
        document = from_table(rows[:most])
        (resource,) = document.resources
        resource.type = "results"
        # A service says OVERFLOW where it has more rows than it gives, and after them.
        status = "OVERFLOW" if len(rows) > most and not self.silent else "OK"
        resource.infos.append(Info(name="QUERY_STATUS", value=status))
        stream = io.BytesIO()
        document.to_xml(stream)
        return stream.getvalue()

    def job(self, number: int) -> bytes:
        """Return the state of a job."""
        self.looked[number] += 1
        query, phase, rest = self.jobs[number], "PENDING", ""
        if query.get("PHASE") == "RUN":
            phase = "EXECUTING"
            if self.looked[number] > self.looks:
                phase, rest = "COMPLETED", _RESULT.format(url=f"{self.url}/TAP", number=number)
                try:
                    self.tap(query)
                except Refused as error:
                    phase, rest = "ERROR", _ERROR.format(message=escape(str(error)))
        return _JOB.format(number=number, phase=phase, rest=rest).encode()


def covers(poly: str, ra: float, dec: float) -> bool:
    corners = np.array(poly.split()[2:], float).reshape(-1, 2)[:4]
    vectors = SkyCoord(corners[:, 0], corners[:, 1], unit="deg").cartesian.xyz.value.T
    point = SkyCoord(ra, dec, unit="deg").cartesian.xyz.value
    sides = [np.dot(np.cross(a, b), point) for a, b in zip(vectors, np.roll(vectors, -1, 0), strict=True)]
    return min(sides) > 0 or max(sides) < 0


class _Handler(BaseHTTPRequestHandler):
    services: Services
    protocol_version = "HTTP/1.1"

    def handle_one(self) -> None:
        body = dict(parse_qsl(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()))
        try:
            self.send(*(self.services.answer(self.path) or self.find(body)))
        except Refused as error:
            self.send(400, VOTABLE, _REFUSAL.format(message=escape(str(error))).encode())

    do_GET = do_POST = do_DELETE = handle_one

    def find(self, body: dict[str, str]) -> tuple[int, str, bytes]:
        """Return the answer of the services: status, content type or place to look at, and body."""
        services, parts = self.services, urlsplit(self.path)
        found = re.fullmatch(r"/TAP/async(?:/(\d+)(/results/result|/phase)?)?", parts.path)
        if parts.path == "/SIA":
            return services.sia(parse_qs(parts.query))
        if parts.path == "/TAP/sync":
            return services.tap(body)
        if not found:
            return 404, "text/plain", f"nothing at {parts.path}".encode()
        number = int(found[1] or len(services.jobs) + 1)
        job = services.jobs.setdefault(number, {})
        services.looked.setdefault(number, -2)  # pyvo looks twice before it runs a job
        if self.command == "POST":
            job |= body
            return 303, f"{services.url}/TAP/async/{number}", b""
        if self.command == "DELETE":
            services.deleted.append(number)
            return 200, "text/plain", b""
        return services.tap(job) if found[2] else (200, "text/xml", services.job(number))

    def send(self, status: int, what: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Location" if status == 303 else "Content-Type", what)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def serve_archive(**options: object) -> Iterator[Services]:
    """Run the services on loopback."""
    services = Services(**options)
    with on_loopback(type("Handler", (_Handler,), {"services": services})) as server:
        services.url = f"http://127.0.0.1:{server.server_port}"
        yield services
