"""Scripts in processes of their own that begin with Butler imported, and with nothing done with it.

A new interpreter takes more than a second to import Butler; these are forked
from a server, one for each process that runs tests, which has done that. What
is about imports or the interpreter itself needs a new one all the same.
"""

from __future__ import annotations

import os
import sys
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

PRELOADED = ["astropy.nddata", "lsst.daf.butler", "spherex_butler.ingest", "spherex_butler.testing"]
"""For `multiprocessing.set_forkserver_preload`, before the first process is started."""

_TIMEOUT = 300.0


@dataclass
class Script:
    """A script that runs, or has run."""

    process: Any
    writes: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait(self) -> int:
        """Return how it ended: its exit status, or the negative number of a signal."""
        self.process.join(_TIMEOUT)
        assert self.process.exitcode is not None, f"It still runs after {_TIMEOUT} s, having said: {self.said}"
        return self.process.exitcode

    @property
    def output(self) -> str:
        return self.writes.with_suffix(".output").read_text()

    @property
    def said(self) -> str:
        """All that it wrote, its errors last."""
        return self.output + self.writes.with_suffix(".errors").read_text()


def start_script(script: str, *arguments: object, folder: Path, environment: Mapping[str, str] | None = None) -> Script:
    """Start a script, with warnings as errors.

    Parameters
    ----------
    script, arguments
        As of ``python -c``.
    folder
        Where it runs; made if it is not there. What it writes goes to files beside.
    environment
        Its environment variables, by default those of this process.
    """
    folder.mkdir(exist_ok=True)
    writes = folder.with_name(f"{folder.name}-{uuid.uuid4()}")
    inherited = dict(os.environ if environment is None else environment)
    given = (script, [*map(str, arguments)], folder, inherited, writes)
    process = get_context("forkserver").Process(target=_run, args=given)
    process.start()
    return Script(process, writes)


def _run(script: str, arguments: list[str], folder: Path, environment: dict[str, str], writes: Path) -> None:
    for number, suffix in ((1, ".output"), (2, ".errors")):
        os.dup2(os.open(writes.with_suffix(suffix), os.O_WRONLY | os.O_CREAT), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    warnings.simplefilter("error")
    exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})
