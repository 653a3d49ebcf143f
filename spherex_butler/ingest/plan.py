"""From paths to planned files: found, and described by their headers; no repository is needed, and nothing changed."""

from __future__ import annotations

__all__ = ("DATASET_TYPE", "PlannedFile", "plan_files", "read_plans")

import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from typing import Any

from ..constants import DATASET_TYPE, INSTRUMENT
from ..errors import FormatError, ParameterError, reason_of
from ..files.failures import FailedFile
from ..files.paths import Paths, expand_paths
from ..images.description import ImageDescription
from ..names import ProductName
from ..repository.runs import release_of
from .header_reading import Reading, read_local, read_remote
from .processes import process_pool

_IMAGE_FILE = re.compile(rf"{DATASET_TYPE}_.*\.fits", re.DOTALL)
_CHUNK = 32  # local files a reader is given at a time, which take it 25 ms
_AHEAD = 4  # chunks, or remote files, for each reader that are read before they are asked for

_Entry = str | FailedFile
_Reader = Callable[[list[str]], list[Reading | str]]


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that can be ingested.

    Parameters
    ----------
    uri
        Where it is.
    name
        Its name, in fields.
    release
        The release it belongs to.
    description
        What its headers say.
    size
        Its size in bytes, `None` where a server does not give it.
    """

    uri: str
    name: ProductName
    release: str
    description: ImageDescription
    size: int | None

    @property
    def data_id(self) -> dict[str, Any]:
        """Which image it is."""
        exposure = self.description.observation.exposure_id
        return {"instrument": INSTRUMENT, "exposure": exposure, "detector": self.description.detector}

    @property
    def warnings(self) -> list[str]:
        """What is odd about it, but does not keep it out."""
        found, expected = self.description.expidn, self.description.expected_expidn
        if found == expected:
            return []
        return [f"{self.uri}: EXPIDN is {found}; {expected} was expected from OBSID and DETECTOR, and is used."]


def plan_files(
    paths: Paths, *, processes: int = 1, release: str | None = None
) -> tuple[list[PlannedFile], list[FailedFile]]:
    """Read the headers of files.

    Parameters
    ----------
    paths, processes, release
        As for `ingest_files`.

    Returns
    -------
    planned, failed
        Files that can be ingested, by run in order of exposure and detector, and the others.

    Raises
    ------
    ParameterError
        Raised if ``processes`` is less than one, or a path empty.
    """
    results = list(read_plans(paths, processes=processes, release=release))
    planned = [result for result in results if isinstance(result, PlannedFile)]
    planned.sort(key=lambda file: (file.name.run, file.release, file.data_id["exposure"], file.data_id["detector"]))
    return planned, [result for result in results if isinstance(result, FailedFile)]


def read_plans(paths: Paths, *, processes: int = 1, release: str | None = None) -> Generator[PlannedFile | FailedFile]:
    """Yield files one by one as planned or failed; other processes read their headers a little ahead.

    However many files there are, no more than a few hundred are held in memory.
    """
    if processes < 1:
        raise ParameterError(f"processes={processes} cannot read anything; expected at least 1.")
    for entry, reading in _readings(find_images(paths), processes):
        yield entry if isinstance(entry, FailedFile) else _planned(entry, reading, release)


def find_images(paths: Paths) -> Iterator[str | FailedFile]:
    """Yield the URIs of the Level 2 files that paths stand for, and a failure for each path without any."""
    return expand_paths(paths, _is_image, what=f"{DATASET_TYPE}_*.fits")


def _is_image(name: str) -> bool:
    return _IMAGE_FILE.fullmatch(name) is not None


def _planned(uri: str, reading: Reading | str | None, release: str | None) -> PlannedFile | FailedFile:
    if not isinstance(reading, Reading):
        return FailedFile(uri, str(reading))
    try:
        of = release_of(reading.name, uri, release)
    except FormatError as error:
        return FailedFile(uri, reason_of(error))
    return PlannedFile(uri, reading.name, of, reading.description, reading.size)


def _readings(entries: Iterable[_Entry], processes: int) -> Iterator[tuple[_Entry, Reading | str | None]]:
    """Yield each entry with its reading, in order."""
    waiting: deque[tuple[list[_Entry], Callable[[], Any]]] = deque()
    with _readers(processes) as read:
        for kind, chunk in _chunks(entries):
            waiting.append((chunk, read(kind, chunk)))
            if len(waiting) > (0 if processes == 1 else _AHEAD * processes):
                yield from _zipped(*waiting.popleft())
        while waiting:
            yield from _zipped(*waiting.popleft())


def _zipped(chunk: list[_Entry], result: Callable[[], Any]) -> Iterator[tuple[_Entry, Reading | str | None]]:
    return zip(chunk, result(), strict=True)


def _chunks(entries: Iterable[_Entry]) -> Iterator[tuple[_Reader | None, list[_Entry]]]:
    """Yield a few entries at a time that one reader reads, and that reader."""
    for reader, group in groupby(entries, key=_reader_of):
        while chunk := list(islice(group, 1 if reader is read_remote else _CHUNK)):
            yield reader, chunk


def _reader_of(entry: _Entry) -> _Reader | None:
    if isinstance(entry, FailedFile):
        return None
    return read_local if entry.startswith("file:") else read_remote


@contextmanager
def _readers(processes: int) -> Iterator[Callable[[_Reader | None, list[Any]], Callable[[], Any]]]:
    """Give a function that begins to read a chunk, and returns a function that waits for the result."""
    pools: dict[_Reader, Executor] = {}

    def read(reader: _Reader | None, chunk: list[Any]) -> Callable[[], Any]:
        if reader is None:
            return lambda: [None] * len(chunk)
        if processes == 1:
            return partial(reader, chunk)
        if reader not in pools:
            pools[reader] = stack.enter_context(_pool(reader, processes))
        return pools[reader].submit(reader, chunk).result

    with ExitStack() as stack:
        yield read


def _pool(reader: _Reader, processes: int) -> Executor:
    """Return processes for what takes computing, threads for what takes waiting."""
    if reader is read_remote:
        return ThreadPoolExecutor(processes)
    return process_pool(processes)
