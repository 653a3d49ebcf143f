"""One question to a virtual observatory service and its answer, through pyvo; needs the extra ``archive``.

A service that does not answer, or not with a table, is a `ConnectionError`;
one that refuses the question a `ParameterError`.
"""

from __future__ import annotations

__all__ = ("Answer", "ask_sia", "ask_tap")

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import requests
from astropy.io.votable.exceptions import VOTableSpecError, VOWarning
from astropy.table import Table
from astropy.time import Time
from pyvo.dal import SIA2Service, TAPService
from pyvo.dal.exceptions import DALAccessError, DALOverflowWarning, DALQueryError
from urllib3.exceptions import HTTPError

from ..errors import ParameterError

_FAILURES = (DALAccessError, requests.RequestException, HTTPError, VOTableSpecError, ValueError)  # the last: no XML
_DONE = {"COMPLETED", "ERROR", "ABORTED"}
_UNDER_WAY = {"PENDING", "QUEUED", "EXECUTING", "HELD", "SUSPENDED", "UNKNOWN"}  # IVOA UWS 1.1
_FIRST_LOOK, _GROWTH, _LONGEST = 0.2, 1.5, 10.0  # seconds between looks at a job

Answer: TypeAlias = tuple[Table, bool]
"""Rows, and whether these are all."""


def ask_sia(
    service: str,
    collection: str,
    *,
    position: tuple[float, float, float] | None,
    span: tuple[float, float],
    maxrec: int,
    timeout: float,
) -> Answer:
    """Return the images of a collection in a range of time (MJD, UTC) and, if it is given, a circle (degrees)."""
    with _translated(service), _session(timeout) as session:
        # The query's endpoint is given, not looked up: that would take another request each time.
        sia = SIA2Service(service, session=session, check_baseurl=False)
        times = tuple(Time(mjd, format="mjd", scale="utc") for mjd in span)
        return _answer(sia.search(pos=position, time=times, collection=collection, maxrec=maxrec), maxrec)


def ask_tap(service: str, adql: str, *, maxrec: int, timeout: float) -> Answer:
    """Return the rows of a query, run as a job of its own, within a number of seconds."""
    with (
        _translated(service),
        _session(timeout) as session,
        TAPService(service, session=session).submit_job(adql, maxrec=maxrec) as job,  # deleted at the end
    ):
        job.run()
        _wait(job, timeout)
        job.raise_if_error()
        return _answer(job.fetch_result(), maxrec)


def _wait(job: Any, timeout: float) -> None:
    """Wait for a job; pyvo's own waiting has no end and begins with a second."""
    end, pause = time.monotonic() + timeout, _FIRST_LOOK
    while (phase := job.phase) not in _DONE:
        if phase not in _UNDER_WAY:
            raise DALAccessError(f"it answers with a job that is {phase!r}")
        if time.monotonic() > end:
            raise DALAccessError(f"the job {job.url} is still {phase} after {timeout:g} s")
        time.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST)


def _answer(results: Any, maxrec: int) -> Answer:
    table = results.to_table()
    overflow = results.status[0].upper() == "OVERFLOW"
    return table, not overflow and len(table) < maxrec  # not every service says that it stopped


class _TidySession(requests.Session):
    """A session with a timeout, which closes each response before the next request; pyvo does neither."""

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout
        self._response: requests.Response | None = None

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request."""
        self._close_response()
        kwargs["timeout"] = self._timeout
        self._response = super().request(*args, **kwargs)
        return self._response

    def close(self) -> None:
        """Close all connections."""
        self._close_response()
        super().close()

    def _close_response(self) -> None:
        if self._response is not None:
            self._response.close()


@contextmanager
def _session(timeout: float) -> Iterator[requests.Session]:
    with _TidySession(timeout) as session, warnings.catch_warnings():
        warnings.simplefilter("ignore", VOWarning)  # services are not strict, and rows are checked later
        warnings.simplefilter("ignore", DALOverflowWarning)  # the answer says so, too
        yield session


@contextmanager
def _translated(service: str) -> Iterator[None]:
    """Raise errors of pyvo as our own, with what the service said."""
    try:
        yield
    except DALQueryError as error:
        raise ParameterError(f"{service} refused the query: {_words(error)}") from error
    except _FAILURES as error:
        raise ConnectionError(
            f"{service} gave no table: {_words(error)}. Look whether the URL is right, or try again later."
        ) from error


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or repr(error)
