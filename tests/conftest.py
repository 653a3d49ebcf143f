"""What tests of several modules share."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from forked import PRELOADED, start_script
from lsst.daf.butler import Butler
from made_once import SHARED_FOLDER, copy_repo, open_repo
from postgres import new_database, running_postgres
from sqlite_sync import sqlite_without_sync

import spherex_butler
from spherex_butler.testing import write_level2

SOURCE = Path(spherex_butler.__file__).parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that all processes of this run share; workers find it in their environment."""
    multiprocessing.set_forkserver_preload(PRELOADED)
    if SHARED_FOLDER not in os.environ:
        folder = TemporaryDirectory(prefix="spherex-butler-tests-")
        os.environ[SHARED_FOLDER] = folder.name
        config.add_cleanup(folder.cleanup)
        config.add_cleanup(lambda: os.environ.pop(SHARED_FOLDER))


@pytest.fixture(scope="session", autouse=True)
def _sqlite_without_sync() -> Iterator[None]:
    with sqlite_without_sync():
        yield


@pytest.fixture
def empty_repo(tmp_path: Path) -> Path:
    """Return the folder of an empty SPHEREx repository."""
    return copy_repo(tmp_path / "repo")


@pytest.fixture
def butler(empty_repo: Path) -> Iterator[Butler]:
    """Return that repository, opened for writing as `make_repo` returns it."""
    with open_repo(empty_repo) as butler:
        yield butler


def clean_environment(**variables: str) -> dict[str, str]:
    """Return the environment without Butler's variables, and with some others."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DAF_BUTLER")} | variables


@pytest.fixture
def run_clean(tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a command in a process that knows nothing but this package.

    It runs in a folder of its own, without any of Butler's variables but
    those given, and returns what the command prints.
    """
    folder = tmp_path / "elsewhere"
    folder.mkdir()

    def run(*command: str, source: Path = SOURCE, code: int = 0, **variables: str) -> str:
        environment = clean_environment(PYTHONPATH=str(source)) | variables
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr

    return run


@pytest.fixture
def run_python(run_clean: Callable[..., str]) -> Callable[..., str]:
    """Return a function that runs a script in such a process, with warnings as errors."""

    def run(script: str, *arguments: object, **options: object) -> str:
        command = (sys.executable, "-W", "error", "-c", script, *map(str, arguments))
        return run_clean(*command, **options)

    return run


@pytest.fixture
def run_forked(tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a script likewise, but with Butler imported before: that is six times as fast.

    For scripts that need a process of their own, and that no import can disturb.
    """

    def run(script: str, *arguments: object, code: int = 0, **variables: str) -> str:
        environment = clean_environment(PYTHONPATH=str(SOURCE), **variables)
        forked = start_script(script, *arguments, folder=tmp_path / "elsewhere", environment=environment)
        assert forked.wait() == code, forked.said
        return forked.output if code == 0 else forked.said

    return run


@pytest.fixture(scope="session")
def level2_paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a small Level 2 file of each release; not to be changed."""
    folder = tmp_path_factory.mktemp("level2")
    return {release: write_level2(folder, release=release, detector=3, size=48) for release in ("qr2", "qr3")}


@pytest.fixture(params=["qr2", "qr3"])
def level2_path(request: pytest.FixtureRequest, level2_paths: dict[str, Path]) -> Path:
    """Return one of these files."""
    return level2_paths[request.param]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Run a PostgreSQL server; return the URL of a database in it."""
    with running_postgres() as url:
        yield url


@pytest.fixture
def postgres_database(postgres_server: str) -> str:
    """Return the URL of an empty PostgreSQL database that Butler accepts."""
    return new_database(postgres_server)
