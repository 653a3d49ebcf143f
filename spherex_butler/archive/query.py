"""Queries of the archive's services, in answers of bounded size.

An answer that a service cuts off is never used: its range of time is halved
until each half is answered in full.  Needs the extra ``archive``.
"""

from __future__ import annotations

__all__ = ("COLLECTIONS", "SIA_SERVICE", "TAP_SERVICE", "query_adql", "query_sia", "query_tap")

import importlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table
from astropy.time import Time

from ..errors import ConfigurationError, FormatError, ParameterError

if TYPE_CHECKING:
    from .services import Answer

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


def query_sia(
    *,
    position: tuple[float, float, float] | None = None,
    time: tuple[Time, Time] | None = None,
    collections: Sequence[str] = COLLECTIONS,
    service: str = SIA_SERVICE,
    maxrec: int = _ROWS,
    timeout: float = _TIMEOUT,
) -> Iterator[Table]:
    """Yield tables of images, the answers of an SIA2 service.

    Parameters
    ----------
    position
        Right ascension, declination and radius of a circle that the images
        overlap; ICRS, degrees.  By default the whole sky.
    time
        The times between which the images began; by default launch and now.
    collections
        Collections of the images; each takes queries of its own.
    service
        URL of the service, to which the query's parameters are added.
    maxrec
        Greatest number of rows in an answer; where there are more, the time is divided.
    timeout
        Seconds to wait for the service to send something.

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
    edges = _edges(time, position)
    services = _services(service, maxrec, timeout)

    def ask(collection: str, first: float, last: float) -> Answer:
        options = {"position": position, "span": (first, last), "maxrec": maxrec, "timeout": timeout}
        table, whole = services.ask_sia(service, collection, **options)
        return _begun(table, first, last), whole

    return chain.from_iterable(_whole_answers(partial(ask, name), edges, service) for name in collections)


def query_tap(
    *,
    position: tuple[float, float] | None = None,
    time: tuple[Time, Time] | None = None,
    service: str = TAP_SERVICE,
    maxrec: int = _ROWS,
    timeout: float = _TIMEOUT,
) -> Iterator[Table]:
    """Yield tables of images, the answers of a TAP service from ``spherex.plane`` and ``spherex.artifact``.

    These have new images about a day before the image search.

    Parameters
    ----------
    position
        Right ascension and declination of a point that the images cover; ICRS,
        degrees.  By default the whole sky.
    time, service, maxrec
        As for `query_sia`.
    timeout
        Seconds that a query may take.

    Raises
    ------
    ConfigurationError, ConnectionError, FormatError, ParameterError
        Raised as by `query_sia`.
    """
    edges = _edges(time, position)
    services = _services(service, maxrec, timeout)
    where = ""
    if position is not None:
        where = f" AND CONTAINS(POINT('ICRS', {float(position[0])!r}, {float(position[1])!r}), p.poly) = 1"

    def ask(first: float, last: float) -> Answer:
        adql = _ADQL.format(begin=first, end=last) + where
        answer: Answer = services.ask_tap(service, adql, maxrec=maxrec, timeout=timeout)
        return answer

    return _whole_answers(ask, edges, service)


def query_adql(
    adql: str, *, service: str = TAP_SERVICE, maxrec: int = _ROWS, timeout: float = _TIMEOUT
) -> Iterator[Table]:
    """Yield the table that answers a query of your own, if the TAP service does not cut it off.

    Parameters
    ----------
    adql
        The query; `spherex_butler.archive.rows` says which columns it must select.
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
    """Return the module that asks services, if these options are valid."""
    if not re.match(r"https?://[^/\s]", service):
        raise ParameterError(f"service={service!r} is not a web service; expected an http:// or https:// URL.")
    if maxrec < 1 or not timeout > 0:
        raise ParameterError(f"maxrec={maxrec} and timeout={timeout} allow no answer; expected more than 0.")
    try:
        return importlib.import_module(".services", __package__)
    except ImportError as error:
        raise ConfigurationError("Asking services needs pyvo: pip install 'spherex-butler[archive]'.") from error


def _edges(time: tuple[Time, Time] | None, position: tuple[float, ...] | None) -> list[float]:
    """Return the edges of the ranges of time to ask for, one range if there is a position: MJD, UTC, as tables have."""
    begin, end = (Time(_FIRST_LIGHT, format="mjd"), Time.now()) if time is None else time
    first, last = float(begin.utc.mjd), float(end.utc.mjd)
    if not first < last:
        raise ParameterError(f"time=({begin.isot}, {end.isot}) is not a range; expected the earlier time first.")
    if position is not None:
        _require_circle(*position)
        return [first, last]
    return list(np.linspace(first, last, math.ceil((last - first) / _DAYS) + 1).tolist())


def _require_circle(ra: float, dec: float, radius: float = 1.0) -> None:
    if not (0 <= ra <= 360 and -90 <= dec <= 90 and 0 < radius <= 90):
        raise ParameterError(
            f"Right ascension {ra}, declination {dec} and radius {radius} are not a circle; expected degrees within "
            "[0, 360], [-90, 90] and (0, 90]."
        )


def _whole_answers(ask: Callable[[float, float], Answer], edges: Sequence[float], service: str) -> Iterator[Table]:
    """Yield the answers for ranges of time, and for their halves where an answer is cut off."""
    for first, last in pairwise(edges):
        table, whole = ask(first, last)
        if whole:
            yield table
        elif last - first > _SHORTEST:
            yield from _whole_answers(ask, (first, (first + last) / 2, last), service)
        else:
            raise FormatError(_cut_off(service, len(table), "ask again with a greater MAXREC"))


def _cut_off(service: str, rows: int, remedy: str) -> str:
    return f"{service} cut its answer off after {rows} rows (overflow); {remedy}."


def _begun(table: Table, first: float, last: float) -> Table:
    """Return the rows of images that began in a range of time: SIA2 also finds those that reach into it."""
    if "t_min" not in table.colnames:
        return table  # the reader refuses it
    begun = np.ma.filled(np.ma.asanyarray(table["t_min"]).astype(float), np.nan)
    return table[~((begun < first) | (begun >= last))]
