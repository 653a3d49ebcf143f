"""Requests for byte ranges, over HTTP or to S3: what came, and which version and part of which file it is."""

from __future__ import annotations

__all__ = ("Answer", "NoRangesError", "connections_at_once", "request_ranges")

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from ..errors import SpherexButlerError
from .waiting import patience

_AT_ONCE = 16  # requests under way
_PIECE = 1 << 20  # bytes of an answer of S3 that are waited for at a time
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_WHOLE_FILE, _PART, _CHANGED, _BEYOND_END = 200, 206, 412, 416
_S3_CHANGED = "PreconditionFailed"
_S3_BEYOND_END = "InvalidRange"


class NoRangesError(SpherexButlerError, OSError):
    """Byte ranges of a remote file cannot be requested: the whole file has to be fetched."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A part of a file, and what the server says of it.

    Parameters
    ----------
    data
        The bytes; none for a range beyond the end.
    start
        Where in the file they begin; `None` if the server does not say.
    total
        How many bytes the file has; `None` if the server does not say.
    version
        What tells versions of the file apart: an ETag, or else a Last-Modified; `None` if there is neither.
    changed
        Whether the server refused because the file is of another version than asked for.
    """

    data: bytes
    start: int | None = None
    total: int | None = None
    version: str | None = None
    changed: bool = False


Range: TypeAlias = tuple[int, int]


class _Connections:
    """How many requests may be under way to each server, whichever thread sent them; all run in fsspec's loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free: dict[str, asyncio.Semaphore] = {}

    def of(self, path: str) -> asyncio.Semaphore:
        return self._free.setdefault(urlsplit(path).netloc, asyncio.Semaphore(self._most))


_limit: ContextVar[_Connections | None] = ContextVar("limit", default=None)


@contextmanager
def connections_at_once(most: int) -> Iterator[None]:
    """Let at most so many requests for byte ranges be under way to one server, from all that runs in this context.

    Outside of such a block the limit holds for each file that is read. Threads take part that run in a copy of the
    context.
    """
    token = _limit.set(_Connections(most))
    try:
        yield
    finally:
        _limit.reset(token)


def request_ranges(
    filesystem: Any, path: str, ranges: Sequence[Range], version: str | None
) -> list[Answer | BaseException]:
    """Request ranges of a file at once, of a version if one is given; return the answer to each, or what it raised."""
    protocols = {filesystem.protocol} if isinstance(filesystem.protocol, str) else set(filesystem.protocol)
    request = _http_range if "http" in protocols else _s3_range if "s3" in protocols else None
    if request is None:
        starts, stops = zip(*ranges, strict=True)
        found = filesystem.cat_ranges([path] * len(ranges), starts, stops, on_error="return")
        return [answer if isinstance(answer, BaseException) else Answer(answer) for answer in found]
    from fsspec.asyn import sync  # noqa: PLC0415 - of an extra

    ask = partial(request, filesystem, path)
    free = (_limit.get() or _Connections(_AT_ONCE)).of(path)
    answers: list[Answer | BaseException] = sync(filesystem.loop, _gathered, ask, ranges, version, free)
    return answers


async def _gathered(
    ask: Callable[[Range, str | None], Awaitable[Answer]],
    ranges: Sequence[Range],
    version: str | None,
    free: asyncio.Semaphore,
) -> list[Answer | BaseException]:
    async def one(wanted: Range) -> Answer:
        async with free:
            return await ask(wanted, version)

    return list(await asyncio.gather(*map(one, ranges), return_exceptions=True))


async def _http_range(filesystem: Any, path: str, wanted: Range, version: str | None) -> Answer:
    import aiohttp  # noqa: PLC0415 - of an extra, and slow to load

    start, stop = wanted
    headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity", **_condition(version)}
    wait = patience()
    timeout = aiohttp.ClientTimeout(wait.whole(stop - start), sock_connect=wait.connect, sock_read=wait.silence)
    options = filesystem.kwargs | {"headers": filesystem.kwargs.get("headers", {}) | headers, "timeout": timeout}
    session = await filesystem.set_session()
    async with session.get(filesystem.encode_url(path), **options) as response:
        if response.status == _WHOLE_FILE:
            raise NoRangesError(f"{path} was asked for {stop - start} bytes and sends all; it knows no byte ranges.")
        found = response.headers.get("ETag") or response.headers.get("Last-Modified")
        place, total = _place(response.headers.get("Content-Range"))
        if response.status == _CHANGED:
            return Answer(b"", None, None, found, changed=True)
        if response.status == _BEYOND_END:
            return Answer(b"", None, total, found)
        if response.status == 404:
            raise FileNotFoundError(path)
        response.raise_for_status()
        return Answer(await response.read(), place, total, found)


def _condition(version: str | None) -> dict[str, str]:
    """Return the header that asks for a version; a weak ETag is compared in the answer alone (RFC 9110, 13.1.1)."""
    if version is None or version.startswith("W/"):
        return {}
    return {"If-Match": version} if version.startswith('"') else {"If-Unmodified-Since": version}


def _place(content_range: str | None) -> tuple[int | None, int | None]:
    """Return the first byte and the size of the file that a Content-Range header tells."""
    match = _CONTENT_RANGE.fullmatch((content_range or "").strip())
    if not match:
        return None, None
    first, _, total = match.groups()
    return None if first is None else int(first), None if total == "*" else int(total)


async def _s3_range(filesystem: Any, path: str, wanted: Range, version: str | None) -> Answer:
    start, stop = wanted
    bucket, key, version_id = filesystem.split_path(path)
    options = {"Range": f"bytes={start}-{stop - 1}", **({} if version is None else {"IfMatch": version})}
    options |= {} if version_id is None else {"VersionId": version_id}
    wait = patience()
    try:
        response = await asyncio.wait_for(
            filesystem._call_s3("get_object", Bucket=bucket, Key=key, **options),  # noqa: SLF001  (a method for this)
            wait.connect + wait.silence,
        )
    except OSError as error:
        code = getattr(error.__cause__, "response", {}).get("Error", {}).get("Code")
        if code in {"PreconditionFailed", str(_CHANGED)}:
            return Answer(b"", changed=True)
        if code in {"InvalidRange", str(_BEYOND_END)}:
            return Answer(b"")
        raise
    place, total = _place(response.get("ContentRange"))
    pieces = []
    async with response["Body"] as body:
        while piece := await asyncio.wait_for(body.read(_PIECE), wait.whole(_PIECE)):
            pieces.append(piece)
    return Answer(b"".join(pieces), place, total, response.get("ETag"))
