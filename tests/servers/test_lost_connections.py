"""PostgreSQL ends a connection, or lets nobody in: whatever was asked ends with one readable error, or is done.

``make test`` loses the connection at the first, the middle and the last statement of each call, ``make test-servers``
at a dozen.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy
from archive_samples import sia_table
from astropy.table import QTable
from lsst.daf.butler import Butler, DatasetRef
from made_once import copy_repo
from postgres import execute, new_database

from spherex_butler import make_repo, observations, open_repo, register, summary
from spherex_butler.archive import ingest_archive_table
from spherex_butler.calibrations import calibration_for, certifications, certify, explain, ingest_calibrations
from spherex_butler.errors import RepositoryError
from spherex_butler.export import copy_repository, export_images
from spherex_butler.ingest import ingest_files, preview_ingest
from spherex_butler.obscore import export_obscore
from spherex_butler.report import report_page
from spherex_butler.search import coverage, find_images, get_cutouts
from spherex_butler.spectra import extract_spectra
from spherex_butler.testing import write_calibrations, write_exposures
from spherex_butler.verify import check_repository

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*psycopg.ServerCursor.*was deleted:ResourceWarning"),  # of SQLAlchemy
    pytest.mark.filterwarnings("ignore::spherex_butler.errors.SpherexButlerWarning"),  # of images as small as these
]

PLACES = 12 if "SPHEREX_BUTLER_TEST_EXPOSURES" in os.environ else 3

END_CONNECTIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()"
)


@dataclass
class Mission:
    """A repository in a database, with an image of it and a search for that, and a repository to export to."""

    butler: Butler
    target: Butler
    url: str
    folder: Path
    paths: list[Path]
    calibrations: list[Path]
    ref: DatasetRef
    table: QTable

    def ask(self, statement: str) -> None:
        """Tell the server something about the database, from another one."""
        database = sqlalchemy.make_url(self.url)
        other = database.set(database="template1").render_as_string(hide_password=False)
        execute(other, statement.format(database.database))

    @contextlib.contextmanager
    def losing_its_connection(self, at: int = 0) -> Iterator[list[str]]:
        """End the connection of the butler before a statement, counted from 1; yield the statements so far."""
        seen: list[str] = []
        engine = self.butler._registry._db._engine

        def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            seen.append(statement)
            if len(seen) == at:
                self.ask(END_CONNECTIONS)

        sqlalchemy.event.listen(engine, "before_cursor_execute", count)
        try:
            yield seen
        finally:
            sqlalchemy.event.remove(engine, "before_cursor_execute", count)


@pytest.fixture(autouse=True)
def _cursors_go_here() -> Iterator[None]:
    """Let what a lost connection leaves behind go in the test that lost it, not in one that comes later."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def mission(postgres_server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mission]:
    folder = tmp_path_factory.mktemp("mission")
    url = new_database(postgres_server)
    paths = write_exposures(folder / "files", exposures=1, detectors=[3], size=16)
    calibrations = write_calibrations(folder / "calibrations", detectors=[3])
    with (
        open_repo(copy_repo(folder / "target"), writeable=True) as target,
        make_repo(folder / "repo", database=url) as butler,
    ):
        (ref,) = ingest_files(butler, paths, transfer="copy").ingested
        assert ingest_calibrations(butler, calibrations, transfer="copy").failed == []
        table = find_images(butler, butler.get(ref.makeComponentRef("wcs")).pixel_to_world(8, 8))
        yield Mission(butler, target, url, folder, paths, calibrations, ref, table)


CALLS: dict[str, Callable[[Mission], Any]] = {
    "register": lambda it: register(it.butler),
    "ingest": lambda it: ingest_files(it.butler, it.paths, transfer="copy", update_records=True),
    "preview": lambda it: preview_ingest(it.butler, it.paths),
    "archive": lambda it: ingest_archive_table(it.butler, sia_table()[:2], processes=1),
    "calibrations": lambda it: ingest_calibrations(it.butler, it.calibrations[:2], transfer="copy"),
    "certify": lambda it: certify(it.butler, "dark"),
    "certifications": lambda it: certifications(it.butler, "dark"),
    "calibration": lambda it: calibration_for(it.butler, "dark", it.ref),
    "explain": lambda it: explain(it.butler, "dark", it.ref),
    "summary": lambda it: summary(it.butler),
    "observations": lambda it: observations(it.butler),
    "search": lambda it: find_images(it.butler, "10.09 40.9"),
    "coverage": lambda it: coverage(it.butler, order=2),
    "cutouts": lambda it: get_cutouts(it.butler, it.table, 4),
    "spectrum": lambda it: extract_spectra(it.butler, table=it.table),
    "verify": lambda it: check_repository(it.butler),
    "export": lambda it: export_images(it.butler, it.target),
    "copy": lambda it: copy_repository(it.butler, it.target),
    "obscore": lambda it: export_obscore(it.butler, it.folder / "images.vot", overwrite=True),
    "report": lambda it: report_page(it.butler),
}
"""The public functions that ask the database, which have done before what they are to do."""


@pytest.mark.parametrize("name", CALLS)
def test_connection_lost_at_a_statement_is_told(mission, name):
    call = CALLS[name]
    call(mission)
    with mission.losing_its_connection() as seen:
        call(mission)
    number = len(seen)
    assert number
    for at in np.unique(np.linspace(1, number, PLACES).astype(int)).tolist():
        with mission.losing_its_connection(at), pytest.raises(RepositoryError) as caught:
            call(mission)
        said = str(caught.value)
        assert said.startswith("The database server was shut down. Try again when it runs. It said: "), (at, said)
        assert not re.search(r"SELECT|INSERT|SQL:|psycopg|sqlalche", said), (at, said)
        call(mission)  # as before


@pytest.mark.parametrize("name", CALLS)
def test_server_that_lets_nobody_in_is_told(mission, name):
    CALLS[name](mission)
    mission.ask("ALTER DATABASE {} ALLOW_CONNECTIONS false")
    try:
        mission.ask(END_CONNECTIONS)
        for _ in range(2):  # the first has a connection that was ended, the other gets none
            with pytest.raises(RepositoryError, match=r"server (was shut down|cannot be reached)") as caught:
                CALLS[name](mission)
            assert not re.search(r"SELECT|INSERT|SQL:|psycopg|sqlalche", str(caught.value))
    finally:
        mission.ask("ALTER DATABASE {} ALLOW_CONNECTIONS true")
    CALLS[name](mission)
