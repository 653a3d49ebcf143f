"""Eight processes that ingest the same images into one PostgreSQL repository, in all transfer modes: nothing is lost.

``make test`` has some hundred images, ``make test-servers`` ten thousand.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from damage import images
from ingest_rounds import ingest_at_once
from lsst.daf.butler import Butler

from spherex_butler import make_repo
from spherex_butler.testing import write_exposures
from spherex_butler.verify import check_repository

EXPOSURES = int(os.environ.get("SPHEREX_BUTLER_TEST_EXPOSURES", "24"))
"""Of six images each."""

MODES = ("copy", "hardlink", "copy", "symlink", "move", "relsymlink", "copy", "hardlink")
"""Of the writers. What one has placed, another finds there, whatever its mode."""

TOGETHER = 3
"""How many writers have each image."""


@pytest.fixture
def repo(postgres_database, tmp_path) -> Path:
    make_repo(tmp_path / "repo", database=postgres_database).close()
    return tmp_path / "repo"


def shares(paths: list[Path], moved: Path) -> list[list[Path]]:
    """Return what each writer ingests: every image is for three of them, who come to it at different times."""
    writers = len(MODES)
    given = [[path for n, path in enumerate(paths) if (n - writer) % writers < TOGETHER] for writer in range(writers)]
    for writer, mode in enumerate(MODES):
        if mode == "move":  # its files are its own: no other is to read them
            moved.mkdir()
            given[writer] = [Path(shutil.copy(path, moved)) for path in given[writer]]
        if writer % 2:
            given[writer].reverse()
    return given


def test_eight_writers_lose_nothing(repo, tmp_path):
    paths = write_exposures(tmp_path / "archive", exposures=EXPOSURES, size=16)
    given = shares(paths, tmp_path / "moved")
    reports = [report for (report,) in ingest_at_once(repo, [given], MODES)]
    assert [report["failed"] for report in reports] == [[]] * len(MODES)
    assert sum(report["ingested"] for report in reports) == len(paths) == 6 * EXPOSURES
    done = [report["ingested"] + report["skipped"] for report in reports]
    assert done == [len(share) for share in given]
    with Butler.from_config(repo) as butler:
        found = images(butler)
        assert Counter(butler.getURI(ref).basename() for ref in found) == Counter(path.name for path in paths)
        assert check_repository(butler).ok
        assert butler.get(found[0]).shape == butler.get(found[-1]).shape == (16, 16)
    assert not list((tmp_path / "moved").iterdir())
