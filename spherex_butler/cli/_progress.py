"""Progress bars for commands, through Butler's own progress reporting."""

from __future__ import annotations

__all__ = ("progress_bar",)

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lsst.daf.butler.cli.progress import ClickProgressHandler
from lsst.daf.butler.progress import Progress


@contextmanager
def progress_bar(*, show: bool | None) -> Iterator[None]:
    """Show progress on the standard error; by default only where that is a terminal."""
    if not (sys.stderr.isatty() if show is None else show):
        yield
        return
    logger = logging.getLogger(__name__.partition(".")[0])
    level = logger.level
    logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))  # Butler shows progress from this level on
    Progress.set_handler(ClickProgressHandler(file=sys.stderr, show_pos=True))
    try:
        yield
    finally:
        Progress.set_handler(None)
        logger.setLevel(level)
