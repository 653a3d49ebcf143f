"""Pages for people: what is at which address, and the report of the repository, made when somebody asks.

A report of millions of images takes minutes. It is made in a process of its own, so that queries are answered
meanwhile, and by one process for all who ask. It is kept for ten times as long as it took to make, because nothing
tells cheaply whether a repository has changed: however often somebody asks, at most a tenth of a processor is busy with
reports, and that of a small repository is never older than some seconds.
"""

from __future__ import annotations

__all__ = ("ReportPages", "root_page")

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeAlias

from lsst.daf.butler import Butler
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from .. import __version__
from ..errors import hide_secrets, reason_of
from ..ingest.processes import START_METHOD, follow_parent
from ..report import report_page
from ..report.markup import Markup, element
from ..report.page import document, repository_name
from ..report.tables import facts, paragraph

MakePage: TypeAlias = Callable[[Butler, str], str]

_KEPT = 10  # times as long as a report took to make
_PATIENCE = 10.0  # seconds that a browser waits for an answer
_MADE, _FAILED = b"+", b"-"


def _report(butler: Butler, repo: str) -> str:
    return report_page(butler, repo=repo)


@dataclass(frozen=True, slots=True)
class _Kept:
    page: str
    until: float


class ReportPages:
    """The report of a repository, for all who ask.

    Parameters
    ----------
    butler
        The repository.
    repo
        What commands on the page call it.
    make
        Returns the page; called in another process.
    patience
        Seconds after which a page says that the report is being made, or that of before is shown.
    """

    def __init__(self, butler: Butler, repo: str, *, make: MakePage = _report, patience: float = _PATIENCE) -> None:
        self._butler = butler
        self._repo = repo
        self._make_page = make
        self._patience = patience
        self._kept: _Kept | None = None
        self._making: asyncio.Task[str] | None = None

    async def answer(self, _request: Request) -> Response:
        """Return the report, the one of before if the new one takes long, or a page that asks to wait."""
        if self._kept is not None and time.monotonic() < self._kept.until:
            return HTMLResponse(self._kept.page)
        making = self._making or asyncio.create_task(self._make())
        self._making = making
        await asyncio.wait([making], timeout=self._patience)
        if making.done() and (error := making.exception()) is not None:
            return _told(500, "The report cannot be made.", hide_secrets(reason_of(error)))
        if self._kept is not None:
            return HTMLResponse(self._kept.page)
        return _told(503, "The report is being made.", "This page shows it when it is there.", again=self._patience)

    async def _make(self) -> str:
        begin = time.monotonic()
        try:
            page = await _in_process(self._make_page, self._butler, self._repo)
            end = time.monotonic()
            self._kept = _Kept(page, end + _KEPT * (end - begin))
        finally:
            self._making = None
        return page


async def _in_process(make: MakePage, butler: Butler, repo: str) -> str:
    """Return a page that another process makes, which ends with this one."""
    context = get_context(START_METHOD)
    receiving, sending = context.Pipe(duplex=False)
    with receiving:
        with sending:
            process = context.Process(target=_send_page, args=(sending, make, butler, repo), daemon=True)
            process.start()
        try:
            await _readable(receiving)
            content = receiving.recv_bytes()
        except EOFError:
            content = _FAILED + b"The process that made it was ended by the system or by a crash; was the memory full?"
        finally:
            process.kill()  # which has nothing left to do
    if content.startswith(_FAILED):
        raise RuntimeError(content.removeprefix(_FAILED).decode())
    return content.removeprefix(_MADE).decode()


async def _readable(connection: Connection) -> None:
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection.fileno(), event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(connection.fileno())


def _send_page(sending: Connection, make: MakePage, butler: Butler, repo: str) -> None:
    follow_parent()
    try:
        content = _MADE + make(butler, repo).encode()
    except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
        content = _FAILED + reason_of(error).encode()
    sending.send_bytes(content)


def _told(status: int, heading: str, text: str, *, again: float | None = None) -> Response:
    body = element("main", element("h1", heading), paragraph(text))
    after = None if again is None else round(again)
    headers = None if after is None else {"Retry-After": str(after)}
    return HTMLResponse(document(heading, body, reload_after=after), status, headers=headers)


def root_page(root: str, base: str) -> str:
    """Return the page that says what is at which address.

    Parameters
    ----------
    root
        Where the files of the repository are.
    base
        Address of the server, with a slash at its end.
    """
    name = repository_name(root)
    sia = f"{base}sia"
    code = f"from pyvo.dal.sia2 import SIA2Service\nservice = SIA2Service({sia!r})"
    return document(
        f"SPHEREx repository {name}",
        element(
            "header",
            element("p", "SPHEREx repository", class_="kicker"),
            element("h1", name),
            paragraph(
                "This server answers queries for images and hands out their files. Nothing can be changed through it."
            ),
        ),
        element(
            "main",
            facts(
                [
                    (_link("report"), "what the repository holds, as a page"),
                    (_link("sia?MAXREC=100&RESPONSEFORMAT=csv"), "descriptions of a hundred images, as a table"),
                    (_link("sia"), "descriptions of all images, for clients of the Virtual Observatory"),
                    (_link("sia/capabilities"), "what the service does"),
                    (_link("sia/availability"), "whether it can be asked"),
                ]
            ),
            paragraph("Clients such as pyvo, TOPCAT and Aladin want the address ", element("code", sia), ":"),
            element("pre", element("code", code)),
        ),
        element("footer", paragraph(f"spherex-butler {__version__}")),
    )


def _link(address: str) -> Markup:
    return element("a", f"/{address}", href=address)
