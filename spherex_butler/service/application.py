"""What is at which address: SIA 2.0 at ``/sia``, the files of images under ``/files``, the report at ``/report``.

Nothing can be changed.
"""

from __future__ import annotations

__all__ = ("MOST_ROWS", "application")

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any
from urllib.parse import parse_qsl

from lsst.daf.butler import Butler
from lsst.resources import ResourcePath
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from ..constants import DATASET_TYPE
from ..errors import SpherexButlerError, hide_secrets, reason_of
from ..obscore.sia_parameters import parse_query
from ..obscore.sia_search import sia_rows
from ..repository.opened import check_opened
from ..repository.registration import stored_uri
from ..search.registered import searched_collections
from .pages import ReportPages, root_page
from .sia import MEDIA_TYPES, answer, error_document, format_of_answer
from .vosi import availability, capabilities

MOST_ROWS = 50_000
"""Rows of an answer, unless more are asked for; the densest point of the sky has 24,000 images."""

_LARGEST_BODY = 100_000
_FITS = "image/fits"
_FORM = "application/x-www-form-urlencoded"
_XML = "text/xml"
_PIECE = 1 << 20
_WEB = ("http://", "https://")
_SIA = "/sia"


def application(
    butler: Butler, *, collections: str | list[str] | None = None, most: int = MOST_ROWS, repo: str = "REPO"
) -> Starlette:
    """Return the ASGI application that answers for a repository.

    Parameters
    ----------
    butler
        A SPHEREx repository. It is never written to, and has to stay open; each request works with a clone.
    collections
        Where to search; by default `SPHEREx/defaults`.
    most
        How many rows an answer has at most, unless ``MAXREC`` says.
    repo
        What commands on the report's page call the repository.

    Raises
    ------
    ConfigurationError
        Raised if it is no SPHEREx repository.
    ParameterError
        Raised if there is no such collection.
    """
    root = check_opened(butler, writeable=False).root
    searched_collections(butler, collections)
    place = root.ospath if root.isLocal else hide_secrets(root.geturl())
    service = _Service(butler, collections, most, place, datetime.now(UTC))
    return Starlette(
        routes=[
            Route("/", service.root),
            Route("/report", ReportPages(butler, repo).answer),
            Route(_SIA, service.query, methods=["GET", "POST"]),
            Route(f"{_SIA}/capabilities", service.capabilities),
            Route(f"{_SIA}/availability", service.availability),
            Route("/files/{dataset}/{name}", service.file),
        ]
    )


@dataclass(frozen=True, slots=True)
class _Service:
    butler: Butler
    collections: str | list[str] | None
    most: int
    place: str
    since: datetime

    async def root(self, request: Request) -> Response:
        """Say what is at which address."""
        return HTMLResponse(root_page(self.place, str(request.base_url)))

    async def query(self, request: Request) -> Response:
        """Answer a query."""
        parameters = [*request.query_params.multi_items(), *await _body(request)]
        return await run_in_threadpool(self._answer, parameters, str(request.base_url))

    def _answer(self, parameters: list[tuple[str, str]], base: str) -> Response:
        try:
            query = parse_query(parameters)
            name = format_of_answer(query.format)
            found = sia_rows(self.butler.clone(), query, self.collections)
            first = list(islice(found, 1))  # what is wrong with a query shows before its first row
        except SpherexButlerError as error:
            return Response(error_document(str(error)), 400, media_type=MEDIA_TYPES["votable"])
        rows = (_reachable(row, base) for row in chain(first, found))
        most = self.most if query.most is None else query.most
        return StreamingResponse(answer(rows, name, most=most), media_type=MEDIA_TYPES[name])

    async def capabilities(self, request: Request) -> Response:
        """Say what the service does."""
        return Response(capabilities(f"{request.base_url}{_SIA[1:]}"), media_type=_XML)

    async def availability(self, _request: Request) -> Response:
        """Say whether the repository can be read."""
        return Response(await run_in_threadpool(self._available), media_type=_XML)

    def _available(self) -> str:
        try:
            check_opened(self.butler.clone(), writeable=False)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
            return availability(since=self.since, problem=hide_secrets(reason_of(error)))
        return availability(since=self.since)

    async def file(self, request: Request) -> Response:
        """Return the file of an image, or a part of it."""
        return await run_in_threadpool(self._file, request.path_params["dataset"], request.path_params["name"])

    def _file(self, dataset: str, name: str) -> Response:
        uri = self._uri(dataset)
        if uri is None or uri.basename() != name:
            raise HTTPException(404, f"There is no image {name!r} of the dataset {dataset!r} here.")
        if uri.geturl().startswith(_WEB):
            return RedirectResponse(uri.geturl())
        if not uri.exists():
            raise HTTPException(404, f"The file {name!r} is on record, but not in its place.")
        if uri.isLocal:
            return FileResponse(uri.ospath, media_type=_FITS)
        return StreamingResponse(_pieces(uri), media_type=_FITS)

    def _uri(self, dataset: str) -> ResourcePath | None:
        try:
            identifier = uuid.UUID(dataset)
        except ValueError:
            return None
        butler = self.butler.clone()
        ref = butler.get_dataset(identifier)
        return None if ref is None or ref.datasetType.name != DATASET_TYPE else stored_uri(butler, ref)


async def _body(request: Request) -> list[tuple[str, str]]:
    """Return the parameters in the body of a request."""
    content = b""
    kind = request.headers.get("Content-Type", _FORM).partition(";")[0].strip().lower()
    if request.method == "POST":
        if kind != _FORM:
            raise HTTPException(415, f"The body is {kind!r}; expected {_FORM!r}.")
        async for piece in request.stream():
            content += piece
            if len(content) > _LARGEST_BODY:
                raise HTTPException(413, f"The body has more than {_LARGEST_BODY} bytes; expected parameters only.")
    return parse_qsl(content.decode("utf-8", "replace"))


def _reachable(row: Mapping[str, Any], base: str) -> Mapping[str, Any]:
    """Return a row with an address that the client can read: this server's, of files that are not on the web."""
    address = row.get("access_url") or ""
    if not address or address.startswith(_WEB):
        return row
    return {**row, "access_url": f"{base}files/{row['dataset_id']}/{address.rpartition('/')[2]}"}


def _pieces(uri: ResourcePath) -> Iterator[bytes]:
    with uri.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece
