"""Asking the archive's own services for its tables, in answers that stay bounded.

An answer that a service cuts off is never taken: its time range is halved
until the parts are whole.  Needs the extra ``archive``.
"""

from __future__ import annotations

__all__ = ("COLLECTIONS", "SIA_SERVICE", "TAP_SERVICE", "query_adql", "query_sia", "query_tap")

import importlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from astropy.table import Table
from astropy.time import Time

from ..errors import ConfigurationError, FormatError, ParameterError

SIA_SERVICE = "https://irsa.ipac.caltech.edu/SIA"
"""The archive's image search (IVOA SIA 2.0)."""

TAP_SERVICE = "https://irsa.ipac.caltech.edu/TAP"
"""The archive's tables (IVOA TAP 1.1)."""

COLLECTIONS = ("spherex_qr2", "spherex_qr2_deep", "spherex_qr3", "spherex_qr3_deep")
"""Collections of Level 2 images: each release's wide and deep survey."""

_FIRST_LIGHT = 60_745.0  # launched on 2025-03-11
_DAYS = 10.0  # of a request without a position: about 30,000 images
_SHORTEST = 1e-3  # days; a single exposure is longer
_ROWS = 1_000_000
_TIMEOUT = 600.0
_ADQL = (
    "SELECT a.uri, p.poly, p.time_bounds_lower, p.time_bounds_upper, p.energy_bandpassname "
    "FROM spherex.plane p JOIN spherex.artifact a ON a.planeid = p.planeid "
    "WHERE a.producttype = 'science' AND p.time_bounds_lower >= {begin!r} AND p.time_bounds_lower < {end!r}"
)

_Answer: TypeAlias = tuple[Table, bool]


def query_sia(
    *,
    position: tuple[float, float, float] | None = None,
    time: tuple[Time, Time] | None = None,
    collections: Sequence[str] = COLLECTIONS,
    service: str = SIA_SERVICE,
    maxrec: int = _ROWS,
    timeout: float = _TIMEOUT,
) -> Iterator[Table]:
    """Yield the answers of an SIA2 service.

    Parameters
    ----------
    position
        Right ascension, declination and radius of a circle that images
        overlap; ICRS, degrees.  By default the whole sky.
    time
        Between which times images were begun; by default from launch to now.
    collections
        Of which collections; each is asked for by itself.
    service
        URL of the service, to which the query's parameters are added.
    maxrec
        Rows of an answer at most; where there are more, the time is divided.
    timeout
        Seconds to wait for the service to say something.

    Raises
    ------
    ConfigurationError
        Raised if pyvo is not installed.
    ConnectionError
        Raised if the service does not answer, or not with a table.
    FormatError
        Raised if even the answer for a single exposure is cut off.
    ParameterError
        Raised if an option has no meaning, or the service refuses the query.
    """
    begin, end = _range_of(time)
    if position is not None:
        _require_circle(*position)
    services = _services(service, maxrec, timeout)

    def asker(collection: str) -> Callable[[float, float], _Answer]:
        def ask(first: float, last: float) -> _Answer:
            table, whole = services.ask_sia(
                service, collection, position=position, span=(first, last), maxrec=maxrec, timeout=timeout
            )
            return _begun(table, first, last), whole

        return ask

    days = _DAYS if position is None else math.inf
    return (table for collection in collections for table in _parts(asker(collection), begin, end, days, service))


def query_tap(
    *,
    position: tuple[float, float] | None = None,
    time: tuple[Time, Time] | None = None,
    service: str = TAP_SERVICE,
    maxrec: int = _ROWS,
    timeout: float = _TIMEOUT,
) -> Iterator[Table]:
    """Yield the answers of a TAP service to queries of ``spherex.plane`` and ``spherex.artifact``.

    They have new images about a day before the image search does.

    Parameters
    ----------
    position
        Right ascension and declination of a point that images cover; ICRS, degrees.
        By default the whole sky.
    time, service, maxrec, timeout
        As for `query_sia`; ``timeout`` is how long a query may take.

    Raises
    ------
    ConfigurationError, ConnectionError, FormatError, ParameterError
        Raised as by `query_sia`.
    """
    begin, end = _range_of(time)
    where = ""
    if position is not None:
        _require_circle(*position)
        where = f" AND CONTAINS(POINT('ICRS', {float(position[0])!r}, {float(position[1])!r}), p.poly) = 1"
    services = _services(service, maxrec, timeout)

    def ask(first: float, last: float) -> _Answer:
        adql = _ADQL.format(begin=first, end=last) + where
        answer: _Answer = services.ask_tap(service, adql, maxrec=maxrec, timeout=timeout)
        return answer

    return _parts(ask, begin, end, _DAYS if position is None else math.inf, service)


def query_adql(
    adql: str, *, service: str = TAP_SERVICE, maxrec: int = _ROWS, timeout: float = _TIMEOUT
) -> Iterator[Table]:
    """Yield the answer of a TAP service to a query of your own, all of it or nothing.

    Parameters
    ----------
    adql
        The query, which selects the columns of one of the layouts of
        `spherex_butler.archive.layouts`.
    service, maxrec, timeout
        As for `query_tap`.

    Raises
    ------
    ConfigurationError, ConnectionError, FormatError, ParameterError
        Raised as by `query_sia`.
    """
    services = _services(service, maxrec, timeout)

    def answer() -> Iterator[Table]:
        table, whole = services.ask_tap(service, adql, maxrec=maxrec, timeout=timeout)
        if not whole:
            raise FormatError(_cut_off(service, len(table), "ask again with a greater MAXREC, or in parts, by time"))
        yield table

    return answer()


def _services(service: str, maxrec: int, timeout: float) -> Any:
    """Return the module that asks, after a look at what it is to ask."""
    if not re.match(r"https?://[^/\s]", service):
        raise ParameterError(f"service={service!r} is no web service; expected an http:// or https:// URL.")
    if maxrec < 1 or not timeout > 0:
        raise ParameterError(f"maxrec={maxrec} and timeout={timeout} get no answer; expected more than nothing.")
    try:
        return importlib.import_module(".services", __package__)
    except ImportError as error:
        raise ConfigurationError("Asking services needs pyvo: pip install 'spherex-butler[archive]'.") from error


def _range_of(time: tuple[Time, Time] | None) -> tuple[float, float]:
    """Return a range of time, as the archive's tables give times: MJD, UTC."""
    begin, end = (Time(_FIRST_LIGHT, format="mjd"), Time.now()) if time is None else time
    first, last = float(begin.utc.mjd), float(end.utc.mjd)
    if not first < last:
        raise ParameterError(f"time=({begin.isot}, {end.isot}) is no range; expected the earlier time first.")
    return first, last


def _require_circle(ra: float, dec: float, radius: float = 1.0) -> None:
    if not (0 <= ra <= 360 and -90 <= dec <= 90 and 0 < radius <= 90):
        raise ParameterError(
            f"Right ascension {ra}, declination {dec} and radius {radius} are no circle; expected degrees within "
            "[0, 360], [-90, 90] and (0, 90]."
        )


def _parts(
    ask: Callable[[float, float], _Answer], begin: float, end: float, days: float, service: str
) -> Iterator[Table]:
    """Yield the answers for a range of time, in parts of some days each."""
    number = max(1, math.ceil((end - begin) / days))
    edges = np.linspace(begin, end, number + 1).tolist()
    for first, last in pairwise(edges):
        yield from _halves(ask, first, last, service)


def _halves(ask: Callable[[float, float], _Answer], first: float, last: float, service: str) -> Iterator[Table]:
    table, whole = ask(first, last)
    if whole:
        yield table
    elif last - first > _SHORTEST:
        middle = (first + last) / 2
        yield from _halves(ask, first, middle, service)
        yield from _halves(ask, middle, last, service)
    else:
        raise FormatError(_cut_off(service, len(table), "ask again with a greater MAXREC"))


def _cut_off(service: str, rows: int, remedy: str) -> str:
    return f"{service} cut its answer off after {rows} rows (overflow); {remedy}."


def _begun(table: Table, first: float, last: float) -> Table:
    """Return the rows of images begun in a range of time: SIA2 also finds those that reach into it."""
    if "t_min" not in table.colnames:
        return table  # which is then refused for it
    begun = np.ma.filled(np.ma.asanyarray(table["t_min"]).astype(float), np.nan)
    return table[~((begun < first) | (begun >= last))]
