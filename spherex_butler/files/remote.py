"""Remote files: byte ranges of them, and whole downloads, in requests that are repeated where they fail.

Independent ranges are requested at once.  The transport is fsspec's, with the
credentials that lsst-resources gives it, and comes with the extras ``https``
and ``s3``.  Without it, and from servers that know no byte ranges, a file can
only be fetched whole.
"""

from __future__ import annotations

__all__ = ("ChangedFileError", "NoRangesError", "download", "remote_ranges")

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

from lsst.resources import ResourcePath

from ..errors import FormatError, SpherexButlerError
from ..formats.fits.byte_ranges import RangeReader
from .transports import Answer, NoRangesError, request_ranges
from .waiting import PAUSES, limit_waits

_PIECE = 8 << 20  # bytes of one request of a download …
_AT_ONCE = 4  # … and how many of these are under way, and in memory
_PASSING_STATUS = frozenset({408, 425, 429})

_log = logging.getLogger(__name__)


class ChangedFileError(SpherexButlerError, OSError):
    """A remote file was replaced while it was read, or is not the one that it is taken for."""


def remote_ranges(uri: ResourcePath, size: int | None = None, *, pauses: Sequence[float] = PAUSES) -> RangeReader:
    """Return a reader of byte ranges of a remote file, all of one version of it.

    It raises `NoRangesError` where the server knows no ranges (raised here
    already without the extra for the URI's scheme), `ChangedFileError` where
    answers are of different versions or the file has not the ``size`` given,
    and `OSError` where the server goes on failing.  A range that comes back
    shorter, or from another place, is requested again.  ``pauses`` are the
    seconds before each attempt, the first included.
    """
    return _RemoteRanges(uri, *_filesystem(uri), size, pauses)


class _RemoteRanges:
    """Reads byte ranges of one version of a remote file, that of the first answer."""

    def __init__(
        self, uri: ResourcePath, filesystem: Any, path: str, size: int | None, pauses: Sequence[float]
    ) -> None:
        self._uri, self._filesystem, self._path = uri, filesystem, path
        self.size = size
        """Bytes in the file: as given, or else as the first answer says."""
        self._version: str | None = None
        self._pauses = pauses

    def __call__(self, ranges: Sequence[tuple[int, int]]) -> list[Any]:
        """Return the bytes of each range."""
        data: dict[int, bytes] = {}
        problems: dict[int, str] = {}
        answers: list[Answer | BaseException] = []
        for pause in self._pauses:
            time.sleep(pause)
            missing = [number for number in range(len(ranges)) if number not in data]
            answers = self._request([ranges[number] for number in missing])
            problems = {}
            for number, answer in zip(missing, answers, strict=True):
                problem = self._problem(answer, ranges[number])
                if problem is None:
                    data[number] = cast(Answer, answer).data
                else:
                    problems[number] = problem
            if not problems:
                return [data[number] for number in range(len(ranges))]
            _log.info("%s: %s", self._uri, next(iter(problems.values())))
        number, problem = next(iter(problems.items()))
        raised = next((answer for answer in answers if isinstance(answer, BaseException)), None)
        raise OSError(
            f"{self._uri}: bytes {ranges[number]} could not be read in {len(self._pauses)} attempts: {problem}"
        ) from raised

    def _request(self, ranges: Sequence[tuple[int, int]]) -> list[Answer | BaseException]:
        return request_ranges(self._filesystem, self._path, ranges, self._version)

    def _problem(self, answer: Answer | BaseException, wanted: tuple[int, int]) -> str | None:
        """Return what is wrong with an answer but may pass, or `None`; raise an error that will not pass."""
        if isinstance(answer, BaseException):
            if not _may_pass(answer):
                told = _told(answer, self._uri)
                raise told from (None if told is answer else answer)  # an error that is its own cause has no end
            return f"{type(answer).__name__}: {answer}"
        self._require_same_file(answer)
        start, stop = wanted
        if answer.start is not None and answer.start != start:
            return f"bytes from {answer.start} on came instead of those from {start} on"
        if len(answer.data) > stop - start:
            raise NoRangesError(
                f"{self._uri} was asked for {stop - start} bytes and sent {len(answer.data)}; it knows no byte ranges."
            )
        end = stop if self.size is None else min(stop, self.size)
        if len(answer.data) < end - start and (self.size is not None or _is_cut(answer, wanted)):
            return f"{len(answer.data)} bytes came instead of {end - start}"
        return None

    def _require_same_file(self, answer: Answer) -> None:
        """Refuse an answer from another version of the file than that of the first answer."""
        if answer.changed or None is not self._version != answer.version is not None:
            now = f"its version is {answer.version}" if answer.version else "the server no longer has that version"
            raise ChangedFileError(
                f"{self._uri} was replaced while it was read: it began as version {self._version}, and now {now}. "
                "Nothing of it was kept; read it again."
            )
        if answer.total is not None and self.size is not None and answer.total != self.size:
            raise ChangedFileError(
                f"{self._uri} has {answer.total} bytes; expected {self.size}, as on record or in the first answer. It "
                "was replaced or cut off: 'butler spherex verify REPO --remote' lists such files."
            )
        self._version = self._version or answer.version
        self.size = answer.total if self.size is None else self.size


def _is_cut(answer: Answer, wanted: tuple[int, int]) -> bool:
    """Whether an answer is shorter than the server itself says."""
    return answer.total is not None and len(answer.data) < min(wanted[1], answer.total) - wanted[0]


def _filesystem(uri: ResourcePath) -> tuple[Any, str]:
    try:
        import aiohttp  # noqa: F401, PLC0415 - of an extra, and slow to load: both transports need it

        return uri.to_fsspec()
    except (ImportError, NotImplementedError, ValueError) as error:  # the last: fsspec does not know the scheme
        raise NoRangesError(f"{uri} can only be fetched whole: {error}") from error


def _may_pass(error: BaseException) -> bool:
    """Whether an error may go away by itself."""
    import aiohttp  # noqa: PLC0415 - of an extra

    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status >= 500 or status in _PASSING_STATUS
    if isinstance(error, (SpherexButlerError, FileNotFoundError, PermissionError)):
        return False
    return isinstance(error, (OSError, aiohttp.ClientError))


def _told(error: BaseException, uri: ResourcePath) -> BaseException:
    """Return an error that will not pass; what a server answers, in words, as an `OSError`."""
    import aiohttp  # noqa: PLC0415 - of an extra

    if isinstance(error, aiohttp.TooManyRedirects):
        return OSError(f"{uri}: the server redirects in circles; expected a file.")
    if isinstance(error, aiohttp.ClientResponseError):
        kind = PermissionError if error.status in {401, 403, 407, 451} else OSError
        return kind(f"{uri}: the server answers {error.status} {error.message}; expected the bytes of a file.")
    return error


def download(source: ResourcePath, path: Path, *, size: int | None = None, piece: int = _PIECE) -> None:
    """Replace the content of a local file by that of a remote one, requested in pieces of so many bytes.

    A file that is replaced meanwhile is begun once more, unless it then has not the ``size`` that was given.
    """
    limit_waits(source)
    try:
        _download_once(source, path, size, piece)
    except ChangedFileError as error:
        _log.info("%s", error)
        _download_once(source, path, size, piece)


def _download_once(source: ResourcePath, path: Path, size: int | None, piece: int) -> None:
    size = source.size() if size is None else size
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
