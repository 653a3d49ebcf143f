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

from ..errors import SpherexButlerError
from ..formats.fits.file import RangeReader

_PAUSES = (0.0, 0.25, 0.5, 1.0, 2.0)  # seconds before each attempt
_SILENCE = 30.0  # seconds in which a server has to begin to answer …
_SLOWEST = 200e3  # … and bytes a second that it has to send then
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

    def fetch(ranges: Sequence[tuple[int, int]]) -> list[Any]:
        starts, stops = zip(*ranges, strict=True)
        patience = _SILENCE + sum(stop - start for start, stop in ranges) / _SLOWEST
        try:
            answers = filesystem.cat_ranges([path] * len(ranges), starts, stops, on_error="return", timeout=patience)
        except FSTimeoutError as error:
            return [error] * len(ranges)
        return [b"" if getattr(answer, "status", None) == _BEYOND_END else answer for answer in answers]

    def read_ranges(ranges: Sequence[tuple[int, int]]) -> list[Any]:
        answers: dict[int, bytes] = {}
        problems: dict[int, str] = {}
        for pause in _PAUSES:
            time.sleep(pause)
            missing = [number for number in range(len(ranges)) if number not in answers]
            found = dict(zip(missing, fetch([ranges[number] for number in missing]), strict=True))
            problems = {n: p for n, answer in found.items() if (p := _problem(answer, ranges[n], size, uri))}
            answers.update({number: answer for number, answer in found.items() if number not in problems})
            if not problems:
                return [answers[number] for number in range(len(ranges))]
            _log.info("%s: %s", uri, next(iter(problems.values())))
        number, problem = next(iter(problems.items()))
        raise OSError(f"{uri}: bytes {ranges[number]} could not be read in {len(_PAUSES)} attempts: {problem}")

    return read_ranges


def _problem(answer: Any, wanted: tuple[int, int], size: int | None, uri: ResourcePath) -> str | None:
    """Return what is wrong with an answer and may pass, `None` if nothing is; raise what will not pass."""
    if isinstance(answer, BaseException):
        if not _is_passing(answer):
            raise answer
        return f"{type(answer).__name__}: {answer}"
    start, stop = wanted
    if len(answer) > stop - start:
        raise NoRangesError(
            f"{uri} was asked for {stop - start} bytes and sent {len(answer)}; it knows no byte ranges."
        )
    if len(answer) < stop - start and size is not None and stop <= size:
        return f"{len(answer)} bytes came instead of {stop - start}"
    return None


def _is_passing(error: BaseException) -> bool:
    """Whether an error may go away by itself."""
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status >= 500 or status in _PASSING_STATUS
    if isinstance(error, (FileNotFoundError, PermissionError)):
        return False
    return isinstance(error, (OSError, asyncio.TimeoutError, FSTimeoutError, aiohttp.ClientError))
