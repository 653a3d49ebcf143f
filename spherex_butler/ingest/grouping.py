"""Which planned files go in together: those of one run and release, as they come."""

from __future__ import annotations

__all__ = ("batches",)

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Protocol

from ..files.failures import FailedFile
from .plan import PlannedFile

_PATIENCE = 10.0  # seconds after which a batch need not be full, so that slow reading shows and survives
_WAITING = 20  # batches' worth of files, of several runs, that wait for their batch to be full

_log = logging.getLogger(__name__)


class _Report(Protocol):
    """What notes failures and warnings."""

    failed: list[FailedFile]
    warnings: list[str]


def batches(
    planned: Iterable[PlannedFile | FailedFile], size: int, report: _Report
) -> Iterator[tuple[int, list[PlannedFile]]]:
    """Yield files of one run and release that are to be ingested together, or none, and how many were done with.

    Parameters
    ----------
    planned
        What `~.ingest.plan.read_plans` yields.
    size
        How many files a batch has at most.
    report
        Where failures and warnings are noted.
    """
    waiting: dict[tuple[str, str], list[PlannedFile]] = defaultdict(list)
    count, last = 0, time.monotonic()
    for file in planned:
        if isinstance(file, FailedFile):
            report.failed.append(file)
            yield 1, []
            continue
        _note_warnings(file, report)
        waiting[file.name.run, file.release].append(file)
        count += 1
        fullest = max(waiting.values(), key=len) if count >= _WAITING * size else waiting[file.name.run, file.release]
        if count >= _WAITING * size or len(fullest) >= size or time.monotonic() - last > _PATIENCE:
            yield len(fullest), waiting.pop((fullest[0].name.run, fullest[0].release))
            count, last = count - len(fullest), time.monotonic()
    for batch in waiting.values():
        yield len(batch), batch


def _note_warnings(file: PlannedFile, report: _Report) -> None:
    for warning in file.warnings:
        report.warnings.append(warning)
        _log.warning("%s", warning)
