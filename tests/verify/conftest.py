"""A repository of two exposures with six detectors each, made once and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import Butler
from made_once import copy_exposures, copy_repo, open_repo

from spherex_butler.ingest import ingest_files


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the files; not to be changed."""
    return copy_exposures(tmp_path_factory.mktemp("archive"), exposures=2)


@pytest.fixture(scope="session")
def image_repo(archive: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_repo(tmp_path_factory.mktemp("images") / "repo")
    with open_repo(folder) as butler:
        assert len(ingest_files(butler, archive, transfer="copy").ingested) == 12
    return folder


@pytest.fixture
def butler(image_repo: Path, tmp_path: Path) -> Iterator[Butler]:
    """Return a copy of the repository, opened for writing."""
    with open_repo(shutil.copytree(image_repo, tmp_path / "images")) as butler:
        yield butler
