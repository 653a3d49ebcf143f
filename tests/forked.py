"""Scripts in processes of their own that begin with Butler imported, and with nothing done with it.

A new interpreter takes more than a second to import Butler; these are forked
from a server, one for each process that runs tests, which has done that. What
is about imports or the interpreter itself needs a new one all the same.
"""

from __future__ import annotations

import os
import signal
import sys
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

PRELOADED = [
    "astropy.nddata",
    "lsst.daf.butler",
    "spherex_butler.archive",
    "spherex_butler.export",
    "spherex_butler.ingest",
]
"""For `multiprocessing.set_forkserver_preload`, before the first process is started."""

_TIMEOUT = 300.0
_SUFFIXES = {1: ".output", 2: ".errors"}
"""Of the files to which what the descriptors get is written."""


@dataclass
class Script:
    """A script that runs, or has run."""

    process: Any
    writes: Path

    @property
    def runs(self) -> bool:
        return self.process.is_alive()

    def kill(self) -> int:
        """Kill it, if it still runs, and return how it ended."""
        self.process.kill()
        return self.wait()

    def wait(self) -> int:
        """Return how it ended: its exit status, or the negative number of a signal."""
        self.process.join(_TIMEOUT)
        assert self.process.exitcode is not None, f"It still runs after {_TIMEOUT} s, having said: {self.said}"
        return self.process.exitcode

    @property
    def output(self) -> str:
        return self.writes.with_suffix(_SUFFIXES[1]).read_text()

    @property
    def said(self) -> str:
        """All that it wrote, its errors last."""
        return self.output + self.writes.with_suffix(_SUFFIXES[2]).read_text()


def start_script(
    script: str,
    *arguments: object,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    killed_at: str | None = None,
) -> Script:
    """Start a script, with warnings as errors.

    Parameters
    ----------
    script, arguments
        As of ``python -c``.
    folder
        Where it runs; made if it is not there. What it writes goes to files beside.
    environment
        Its environment variables, by default those of this process.
    killed_at
        Name of a function: the process is killed where that is called first.
    """
    folder.mkdir(exist_ok=True)
    writes = folder.with_name(f"{folder.name}-{uuid.uuid4()}")
    for suffix in _SUFFIXES.values():
        writes.with_suffix(suffix).touch()
    inherited = dict(os.environ if environment is None else environment)
    given = {"folder": folder, "environment": inherited, "writes": writes, "killed_at": killed_at}
    process = get_context("forkserver").Process(target=_run, args=(script, [*map(str, arguments)]), kwargs=given)
    process.start()
    return Script(process, writes)


def _run(
    script: str,
    arguments: list[str],
    *,
    folder: Path,
    environment: dict[str, str],
    writes: Path,
    killed_at: str | None,
) -> None:
    for number, suffix in _SUFFIXES.items():
        os.dup2(os.open(writes.with_suffix(suffix), os.O_WRONLY), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    warnings.simplefilter("error")
    if killed_at is not None:
        sys.setprofile(lambda frame, *_: frame.f_code.co_name == killed_at and os.kill(os.getpid(), signal.SIGKILL))
    exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})
