"""What many tests need and none of them changes: made once in a run of the tests, and copied."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lsst.daf.butler import Butler, Config

from spherex_butler.repository import opening
from spherex_butler.repository.creation import make_repo
from spherex_butler.testing import write_exposures

SHARED_FOLDER = "SPHEREX_BUTLER_SHARED_BY_TESTS"
"""Environment variable with the folder that all processes of a run share."""


def copy_repo(folder: Path, *, datastore_root: str | None = None) -> Path:
    """Return a folder that did not exist, now with an empty SPHEREx repository in it."""
    shutil.copytree(_made_once("repository", lambda new: make_repo(new).close()), folder)
    if datastore_root is not None:
        _configure(folder, {"datastore": {"root": datastore_root}})
    return folder


def copy_plain_repo(folder: Path, config: Mapping[str, Any]) -> Path:
    """Return a folder with an empty repository of daf_butler's own universe, as `Butler.makeRepo` makes it."""
    shutil.copytree(_made_once("plain-repository", Butler.makeRepo), folder, dirs_exist_ok=True)
    _configure(folder, config)
    return folder


def open_repo(folder: Path) -> Butler:
    """Return a repository as `make_repo` would have returned it."""
    return opening.open_repo(folder, writeable=True)


@contextlib.contextmanager
def new_repo() -> Iterator[Butler]:
    """Open an empty SPHEREx repository in a temporary folder, removed at the end."""
    with TemporaryDirectory(prefix="repository-") as name, open_repo(copy_repo(Path(name, "repository"))) as butler:
        yield butler


def copy_exposures(folder: Path, *, exposures: int = 1, size: int = 16) -> list[Path]:
    """Return simulated Level 2 files in a folder, copies of what `write_exposures` wrote."""
    pristine = _made_once(
        f"exposures-{exposures}-{size}", lambda new: write_exposures(new, exposures=exposures, size=size)
    )
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copy(path, folder)) for path in sorted(pristine.iterdir())]


def copy_configuration(repo: Path, folder: Path, changes: Mapping[str, Any]) -> Path:
    """Return a new folder that opens a repository by another configuration, in which some values are changed."""
    folder.mkdir()
    shutil.copy(repo / "butler.yaml", folder)
    _configure(folder, changes)
    return folder


def _configure(folder: Path, changes: Mapping[str, Any]) -> None:
    config = Config(str(folder / "butler.yaml"))
    config.update(changes)
    config.dumpToUri(str(folder / "butler.yaml"))


def _made_once(name: str, make: Callable[[Path], Any]) -> Path:
    """Return a folder that the first process of the run that asks for it makes."""
    shared = Path(os.environ[SHARED_FOLDER])
    made = shared / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            begun = shared / f"begun-{name}"
            make(begun)
            begun.rename(made)
    return made
