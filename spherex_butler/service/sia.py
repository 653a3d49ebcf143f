"""Answers to queries of the Simple Image Access protocol, as VOTable or CSV.

What went wrong is told in a VOTable, too (DALI 1.1, https://www.ivoa.net/documents/DALI/): an INFO element of the name
QUERY_STATUS has the value ERROR. Where there are more rows than may be returned, one after the table says OVERFLOW.
"""

from __future__ import annotations

__all__ = ("MEDIA_TYPES", "answer", "error_document", "format_of_answer")

import io
import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from .. import __version__
from ..errors import ParameterError, hide_secrets, reason_of
from ..obscore.sia_parameters import shorten
from ..obscore.writing import CSVRows, VOTableRows, info_element

MEDIA_TYPES: Mapping[str, str] = {"votable": "application/x-votable+xml", "csv": "text/csv"}
"""The type of an answer, by format."""

_NAMES = {
    "votable": ("votable", "application/x-votable+xml", "text/xml", "application/xml"),
    "csv": ("csv", "text/csv"),
}
_STATUS = "QUERY_STATUS"
_ROWS = 500  # that are sent together

_log = logging.getLogger(__name__)


def format_of_answer(asked: str | None) -> str:
    """Return the format that is asked for, by its name or media type; by default it is VOTable.

    Raises
    ------
    ParameterError
        Raised if there is none.
    """
    wanted = (asked or "votable").partition(";")[0].strip().lower()
    found = next((name for name, names in _NAMES.items() if wanted in names), None)
    if found is None:
        known = ", ".join(names[0] for names in _NAMES.values())
        raise ParameterError(f"RESPONSEFORMAT={shorten(asked or '')!r} is not known here; expected one of {known}.")
    return found


def answer(rows: Iterable[Mapping[str, Any]], name: str, *, most: int) -> Iterator[bytes]:
    """Yield the answer in a format, some rows at a time, and at most so many all in all.

    A failure on the way is told at the end of a VOTable, and raised in CSV.
    """
    stream = io.BytesIO()
    writer = CSVRows(stream) if name == "csv" else VOTableRows(stream, _about())
    found, left = iter(rows), most
    status: list[tuple[str, str, str]] = []
    try:
        while left and (some := list(islice(found, min(left, _ROWS)))):
            writer.write(some)
            left -= len(some)
            yield _taken(stream)
        if not left and next(found, None) is not None:
            status.append((_STATUS, "OVERFLOW", f"There are more than {most} rows."))
    except Exception as error:  # whatever it is, it is told: the answer has begun
        if not isinstance(writer, VOTableRows):
            raise  # CSV has no place for it: the connection breaks, so that nobody takes a part for the whole
        _log.exception("a query failed")
        status.append((_STATUS, "ERROR", hide_secrets(reason_of(error))))
    if isinstance(writer, VOTableRows):
        writer.end(status)
    yield _taken(stream)


def _taken(stream: io.BytesIO) -> bytes:
    content = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    return content


def _about() -> list[tuple[str, str, str]]:
    return [
        (_STATUS, "OK", ""),
        ("service_protocol", "ivo://ivoa.net/std/SIA#query-2.0", ""),
        ("server_software", f"spherex-butler {__version__}", ""),
    ]


def error_document(message: str) -> str:
    """Return the document that tells what is wrong with a query."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
        f'<RESOURCE type="results">\n{info_element((_STATUS, "ERROR", message))}</RESOURCE>\n</VOTABLE>\n'
    )
