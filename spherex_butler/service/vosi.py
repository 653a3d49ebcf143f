"""What a service says of itself: its capabilities, and whether it is available.

VOSI 1.1, https://www.ivoa.net/documents/VOSI/; the capabilities are those of SIA 2.0.
"""

from __future__ import annotations

__all__ = ("availability", "capabilities")

from datetime import UTC, datetime
from xml.sax.saxutils import escape

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_SCHEMA = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def availability(*, since: datetime, problem: str | None = None) -> str:
    """Return the document that says whether the service is available; ``problem`` is why it is not."""
    note = "" if problem is None else f"<note>{escape(problem)}</note>"
    return (
        f'{_XML}<availability xmlns="http://www.ivoa.net/xml/VOSIAvailability/v1.0">'
        f"<available>{'true' if problem is None else 'false'}</available>"
        f"<upSince>{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}</upSince>{note}</availability>\n"
    )


def capabilities(address: str) -> str:
    """Return the document that says what the service at an address does."""
    return (
        f'{_XML}<vosi:capabilities xmlns:vosi="http://www.ivoa.net/xml/VOSICapabilities/v1.0" {_SCHEMA} '
        'xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1">\n'
        f"{_capability('ivo://ivoa.net/std/VOSI#capabilities', f'{address}/capabilities', 'full')}"
        f"{_capability('ivo://ivoa.net/std/VOSI#availability', f'{address}/availability', 'full')}"
        f"{_query(address)}"
        "</vosi:capabilities>\n"
    )


def _capability(standard: str, address: str, use: str) -> str:
    return (
        f'<capability standardID="{standard}"><interface xsi:type="vs:ParamHTTP" version="1.0">'
        f'<accessURL use="{use}">{escape(address)}</accessURL></interface></capability>\n'
    )


def _query(address: str) -> str:
    # Without the type of SIA's own schema, of which pyvo warns that it does not know it.
    return (
        '<capability standardID="ivo://ivoa.net/std/SIA#query-2.0">'
        '<interface xsi:type="vs:ParamHTTP" role="std" version="2.0">'
        f'<accessURL use="base">{escape(address)}</accessURL>'
        "<resultType>application/x-votable+xml</resultType></interface></capability>\n"
    )
