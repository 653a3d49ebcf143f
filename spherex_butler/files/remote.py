"""Remote files: byte ranges of them, and whole downloads, in requests that are repeated where they fail.

Independent ranges are requested at once.  The transport is fsspec's, with the
credentials that lsst-resources gives it, and comes with the extras ``https``
and ``s3``.  Without it, and from servers that know no byte ranges, a file can
only be fetched whole.
"""

from __future__ import annotations

__all__ = ("NoRangesError", "download", "remote_ranges")

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from lsst.resources import ResourcePath

from ..errors import FormatError, SpherexButlerError
from ..formats.fits.byte_ranges import RangeReader

_PAUSES = (0.0, 0.25, 0.5, 1.0, 2.0)  # seconds before each attempt
_SILENCE = 30.0  # seconds in which a server has to begin to answer …
_SLOWEST = 200e3  # … and bytes a second that it has to send then
_PIECE = 8 << 20  # bytes of one request of a download …
_AT_ONCE = 4  # … and how many of these are under way, and in memory
_PASSING_STATUS = frozenset({408, 425, 429})
_BEYOND_END = 416

_log = logging.getLogger(__name__)


class NoRangesError(SpherexButlerError, OSError):
    """Byte ranges of a remote file cannot be requested: the whole file has to be fetched."""


def remote_ranges(
    uri: ResourcePath, size: int | None = None, *, pauses: Sequence[float] = _PAUSES, silence: float = _SILENCE
) -> RangeReader:
    """Return a reader of byte ranges of a remote file.

    It raises `NoRangesError` where the server knows no ranges (raised here
    already without the extra for the URI's scheme), and `OSError` where the
    server goes on failing.  A range within a known ``size`` that comes back
    shorter was cut off, and is requested again.  ``pauses`` are the seconds
    before each attempt, the first included; ``silence`` the seconds in which
    the server has to begin to answer.
    """
    filesystem, path = _filesystem(uri)

    def fetch(ranges: Sequence[tuple[int, int]]) -> list[Any]:
        starts, stops = zip(*ranges, strict=True)
        patience = silence + sum(stop - start for start, stop in ranges) / _SLOWEST
        try:
            answers = filesystem.cat_ranges([path] * len(ranges), starts, stops, on_error="return", timeout=patience)
        except TimeoutError as error:
            return [error] * len(ranges)
        return [b"" if getattr(answer, "status", None) == _BEYOND_END else answer for answer in answers]

    def read_ranges(ranges: Sequence[tuple[int, int]]) -> list[Any]:
        answers: dict[int, bytes] = {}
        problems: dict[int, str] = {}
        for pause in pauses:
            time.sleep(pause)
            missing = [number for number in range(len(ranges)) if number not in answers]
            found = dict(zip(missing, fetch([ranges[number] for number in missing]), strict=True))
            problems = {n: p for n, answer in found.items() if (p := _problem(answer, ranges[n], size, uri))}
            answers.update({number: answer for number, answer in found.items() if number not in problems})
            if not problems:
                return [answers[number] for number in range(len(ranges))]
            _log.info("%s: %s", uri, next(iter(problems.values())))
        number, problem = next(iter(problems.items()))
        raise OSError(f"{uri}: bytes {ranges[number]} could not be read in {len(pauses)} attempts: {problem}")

    return read_ranges


def _filesystem(uri: ResourcePath) -> tuple[Any, str]:
    try:
        import aiohttp  # noqa: F401, PLC0415 - of an extra, and slow to load: both transports need it

        return uri.to_fsspec()
    except (ImportError, NotImplementedError, ValueError) as error:  # the last: fsspec does not know the scheme
        raise NoRangesError(f"{uri} can only be fetched whole: {error}") from error


def _problem(answer: Any, wanted: tuple[int, int], size: int | None, uri: ResourcePath) -> str | None:
    """Return what is wrong with an answer but may pass, or `None`; raise an error that will not pass."""
    if isinstance(answer, BaseException):
        if not _may_pass(answer):
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


def _may_pass(error: BaseException) -> bool:
    """Whether an error may go away by itself."""
    import aiohttp  # noqa: PLC0415 - of an extra

    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status >= 500 or status in _PASSING_STATUS
    if isinstance(error, (FileNotFoundError, PermissionError)):
        return False
    return isinstance(error, (OSError, aiohttp.ClientError))


def download(source: ResourcePath, path: Path, *, piece: int = _PIECE) -> None:
    """Replace the content of a local file by that of a remote one, requested in pieces of so many bytes."""
    size = source.size()
    try:
        _download_pieces(remote_ranges(source, size), _pieces(size, piece), path)
    except NoRangesError:
        with source.as_local() as local:
            shutil.copyfile(local.ospath, path)
    if path.stat().st_size != size:
        raise FormatError(f"Of {str(source)!r} {path.stat().st_size} bytes came; expected {size}.")


def _download_pieces(read_ranges: RangeReader, pieces: Iterator[tuple[int, int]], path: Path) -> None:
    with path.open("wb") as stream:
        while some := list(islice(pieces, _AT_ONCE)):
            for data in read_ranges(some):
                stream.write(data)


def _pieces(size: int, piece: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + piece, size)) for start in range(0, size, piece))
