"""Small Level 2 files for tests of ingest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from spherex_butler.ingest import ingest_files
from spherex_butler.testing import write_exposures


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return two exposures of six detectors; not to be changed."""
    return write_exposures(tmp_path_factory.mktemp("archive"), exposures=2, size=32)


@pytest.fixture
def files(archive: list[Path], tmp_path: Path) -> list[Path]:
    """Return copies of the first exposure's files, which a test may change."""
    folder = tmp_path / "files"
    folder.mkdir()
    return [Path(shutil.copy(path, folder)) for path in archive[:6]]


@pytest.fixture
def unregistered_target(butler: Butler) -> Callable[[Path], Path]:
    """Return a function that returns where a file would go, with nothing there and nothing registered."""

    def find(path: Path) -> Path:
        (ref,) = ingest_files(butler, path, transfer="copy").ingested
        target = Path(butler.getURI(ref).ospath)
        butler.pruneDatasets([ref], purge=True, unstore=True, disassociate=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    return find
