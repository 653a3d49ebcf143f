"""Progress bars for commands, with rate and time left, through Butler's own progress reporting."""

from __future__ import annotations

__all__ = ("progress_bar",)

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from lsst.daf.butler.progress import Progress, ProgressBar, ProgressHandler
from tqdm import tqdm


class _Bars(ProgressHandler):
    """Bars on the standard error; without a total they show count and rate."""

    @contextmanager
    def get_progress_bar(
        self, iterable: Iterable[Any] | None, desc: str, total: int | None, level: int
    ) -> Iterator[ProgressBar[Any]]:
        with tqdm(iterable, desc=desc, total=total, file=sys.stderr, unit="", dynamic_ncols=True) as bar:
            yield bar
        sys.stderr.flush()  # the end of its line, before anything else is said


@contextmanager
def progress_bar(*, show: bool | None) -> Iterator[None]:
    """Show progress on the standard error; by default only where that is a terminal."""
    if not (sys.stderr.isatty() if show is None else show):
        yield
        return
    logger = logging.getLogger(__name__.partition(".")[0])
    level = logger.level
    logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))  # Butler shows progress from this level on
    Progress.set_handler(_Bars())
    try:
        yield
    finally:
        Progress.set_handler(None)
        logger.setLevel(level)
