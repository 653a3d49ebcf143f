"""What exports go from, a copy of a module's repository, and to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import Butler, DimensionConfig
from made_once import new_repo, open_repo

from spherex_butler import extend_universe


@pytest.fixture
def source(filled: Path, tmp_path: Path) -> Iterator[Butler]:
    """Return a copy of the repository that the module's fixture ``filled`` makes, opened."""
    with open_repo(shutil.copytree(filled, tmp_path / "source")) as butler:
        yield butler


@pytest.fixture
def target() -> Iterator[Butler]:
    """Return an empty repository."""
    with new_repo() as butler:
        yield butler


@pytest.fixture(scope="session")
def with_mosaics() -> DimensionConfig:
    """Return our dimensions and one more."""
    mosaic = {"mosaic": {"requires": ["instrument"], "keys": [{"name": "id", "type": "int"}]}}
    return extend_universe(mosaic, namespace="export_test", version=1)
