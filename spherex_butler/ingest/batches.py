"""Batches of planned files that are ingested together: files of one run and release, as they come."""

from __future__ import annotations

__all__ = ("BATCH_SIZE", "batches")

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator

from ..files.failures import FailedFile
from ..repository.reports import Report
from .plan import PlannedFile

BATCH_SIZE = 500
"""Files that are looked up, and registered, together."""


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
    count, last = 0, time.monotonic()
    for file in planned:
        if isinstance(file, FailedFile):
            report.failed.append(file)
            yield []
            continue
        report.warn(file.warnings)
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
