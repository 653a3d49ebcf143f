"""From paths to batches of planned files: found, read a few ahead, and gathered by run; nothing is changed."""

from __future__ import annotations

__all__ = ("BATCH_SIZE", "batches", "find_images", "plan_files", "read_plans")

import re
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from itertools import groupby, islice
from typing import Any

from ..arguments import require_number
from ..constants import DATASET_TYPE
from ..files.failures import FailedFile
from ..files.paths import Paths, expand_paths
from ..repository.reports import Report
from .plan import PlannedFile, read_local, read_remote
from .processes import ReadingProcesses

BATCH_SIZE = 500
"""Files that are looked up, and registered, together."""

_IMAGE_FILE = re.compile(rf"{DATASET_TYPE}_.*\.fits", re.DOTALL)
_CHUNK = 32  # local files a reader is given at a time, which take it 25 ms
_AHEAD = 4  # chunks, or remote files, for each reader that are read before they are asked for

_Reader = Callable[[list[str], str | None], list[PlannedFile | FailedFile]]
_Result = Callable[[], list[PlannedFile | FailedFile]]


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
    require_number("processes", processes)
    waiting: deque[_Result] = deque()
    with _readers(processes, release) as read:
        for reader, group in groupby(find_images(paths), key=_reader_of):
            while chunk := list(islice(group, 1 if reader is read_remote else _CHUNK)):
                waiting.append(read(reader, chunk))
                if len(waiting) > (0 if processes == 1 else _AHEAD * processes):
                    yield from waiting.popleft()()
        while waiting:
            yield from waiting.popleft()()


def find_images(paths: Paths) -> Iterator[str | FailedFile]:
    """Yield the URIs of the Level 2 files that paths stand for, and a failure for each path without any."""
    return expand_paths(paths, _is_image, what=f"{DATASET_TYPE}_*.fits")


def _is_image(name: str) -> bool:
    return _IMAGE_FILE.fullmatch(name) is not None


def _reader_of(entry: str | FailedFile) -> _Reader | None:
    if isinstance(entry, FailedFile):
        return None
    return read_local if entry.startswith("file:") else read_remote


@contextmanager
def _readers(processes: int, release: str | None) -> Iterator[Callable[[_Reader | None, list[Any]], _Result]]:
    """Give a function that begins to read a chunk, and returns a function that waits for the result."""

    def read(reader: _Reader | None, chunk: list[Any]) -> _Result:
        if reader is None:
            return lambda: chunk
        if processes == 1:
            return partial(reader, chunk, release)
        if reader is read_remote:  # which takes waiting, not computing
            return threads().submit(reader, chunk, release).result
        return others().submit(reader, chunk, release)

    with ExitStack() as stack:
        threads = cache(lambda: stack.enter_context(ThreadPoolExecutor(processes)))
        others = cache(lambda: stack.enter_context(ReadingProcesses(processes)))
        yield read


def batches(
    planned: Iterable[PlannedFile | FailedFile],
    report: Report[FailedFile],
    *,
    size: int = BATCH_SIZE,
    waiting: int = 20,
    patience: float = 10.0,
) -> Iterator[list[PlannedFile]]:
    """Yield files of one run and release that are to be ingested together; an empty list for one that failed.

    Failures and warnings are noted in the report. At most ``waiting`` batches' worth of files, of several runs, wait
    for their batch to be full; after ``patience`` seconds a batch need not be full, so that slow reading shows and
    survives.
    """
    groups: dict[tuple[str, str], list[PlannedFile]] = defaultdict(list)
    doubts: set[str] = set()  # of runs, each to be told once
    count, last = 0, time.monotonic()
    for file in planned:
        if isinstance(file, FailedFile):
            report.failed.append(file)
            yield []
            continue
        report.warn(file.warnings)
        if file.doubt is not None and file.doubt not in doubts:
            doubts.add(file.doubt)
            report.warn([file.doubt])
        group = groups[file.name.run, file.release]
        group.append(file)
        count += 1
        if count >= waiting * size:
            group = max(groups.values(), key=len)
        elif len(group) < size and time.monotonic() - last <= patience:
            continue
        yield groups.pop((group[0].name.run, group[0].release))
        count, last = count - len(group), time.monotonic()
    yield from groups.values()
