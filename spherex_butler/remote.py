"""Byte ranges of remote files: independent ones at once, retried with back-off, whole or not at all.

The transport is fsspec's, with the credentials that lsst-resources gives it.
Needs one of the extras ``https`` and ``s3``.
"""

from __future__ import annotations

__all__ = ("NoRangesError", "remote_ranges")

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
from fsspec.exceptions import FSTimeoutError
from lsst.resources import ResourcePath

from .errors import SpherexButlerError
from .fits_io import RangeReader

_ATTEMPTS = 5
_FIRST_PAUSE = 0.25  # seconds; doubled at each further attempt
_TIMEOUT = aiohttp.ClientTimeout(sock_connect=20, sock_read=30)  # of silence, not of the whole transfer
_PASSING_STATUS = frozenset({408, 425, 429})
_BEYOND_END = 416

_log = logging.getLogger(__name__)


class NoRangesError(SpherexButlerError, OSError):
    """The server answers a request for a range with something else; the whole file has to be fetched."""


def remote_ranges(uri: ResourcePath, size: int | None = None) -> RangeReader:
    """Return a reader of byte ranges of a remote file.

    Parameters
    ----------
    uri
        The file, ``https://``, ``http://`` or ``s3://``.
    size
        Its size in bytes, if known: a range within it that comes back shorter
        is then known to be cut off, and asked for again.

    Returns
    -------
    read_ranges
        Raises `NoRangesError` where the server knows no ranges, and `OSError`
        where it goes on failing.
    """
    filesystem, path = uri.to_fsspec()
    options: dict[str, Any] = {"timeout": _TIMEOUT} if uri.scheme in {"http", "https"} else {}

    def fetch(ranges: Sequence[tuple[int, int]]) -> list[Any]:
        starts, stops = zip(*ranges, strict=True)
        return list(filesystem.cat_ranges([path] * len(ranges), starts, stops, on_error="return", **options))

    def read_ranges(ranges: Sequence[tuple[int, int]]) -> list[Any]:
        answers: dict[int, bytes] = {}
        pause = _FIRST_PAUSE
        for attempt in range(_ATTEMPTS):
            missing = [number for number in range(len(ranges)) if number not in answers]
            fetched = zip(missing, fetch([ranges[number] for number in missing]), strict=True)
            problems = {n: p for n, found in fetched if (p := _examine(found, ranges[n], size, uri, n, answers))}
            if not problems:
                return [answers[number] for number in range(len(ranges))]
            if attempt + 1 < _ATTEMPTS:
                _log.info("%s: %s; trying again in %.2f s", uri, next(iter(problems.values())), pause)
                time.sleep(pause)
                pause *= 2
        number, problem = next(iter(problems.items()))
        raise OSError(f"{uri}: bytes {ranges[number]} could not be read in {_ATTEMPTS} attempts: {problem}")

    return read_ranges


def _examine(
    found: Any, wanted: tuple[int, int], size: int | None, uri: ResourcePath, number: int, answers: dict[int, bytes]
) -> str | None:
    """Keep a good answer; return what is wrong with one worth another attempt; raise for the rest."""
    if isinstance(found, BaseException):
        if getattr(found, "status", None) == _BEYOND_END:
            answers[number] = b""
            return None
        if not _is_passing(found):
            raise found
        return f"{type(found).__name__}: {found}"
    start, stop = wanted
    if len(found) > stop - start:
        raise NoRangesError(f"{uri} was asked for {stop - start} bytes and sent {len(found)}; it knows no byte ranges.")
    if len(found) < stop - start and size is not None and stop <= size:
        return f"{len(found)} bytes came instead of {stop - start}"
    answers[number] = bytes(found)
    return None


def _is_passing(error: BaseException) -> bool:
    """Whether an error may go away by itself."""
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status >= 500 or status in _PASSING_STATUS
    if isinstance(error, (FileNotFoundError, PermissionError)):
        return False
    return isinstance(error, (OSError, asyncio.TimeoutError, FSTimeoutError, aiohttp.ClientError))
