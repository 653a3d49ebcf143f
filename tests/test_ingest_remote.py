"""Ingest from web servers: only headers are read, and the address is kept or the file copied."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from http_server import serve
from lsst.daf.butler import Butler

from spherex_butler.ingest import ingest_files, plan_files
from spherex_butler.testing import write_level2
from spherex_butler.testing.repository import temporary_repo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("server")
    write_level2(folder, detector=3, size=512)
    return folder


@pytest.fixture
def butler() -> Iterator[Butler]:
    with temporary_repo() as butler:
        yield butler


def test_only_the_headers_are_read(folder):
    (path,) = folder.iterdir()
    with serve(folder) as served:
        planned, failed = plan_files(f"{served.url}/{path.name}")
    assert (len(planned), failed) == (1, [])
    assert served.bytes_sent < 0.02 * path.stat().st_size
    assert all(wanted is not None for method, _, wanted, _ in served.requests if method == "GET")


def test_direct_keeps_the_address(butler, folder):
    (path,) = folder.iterdir()
    with serve(folder) as served:
        url = f"{served.url}/{path.name}"
        (ref,) = ingest_files(butler, url, transfer="direct").ingested
        assert str(butler.getURI(ref)) == url
        assert butler.get(ref).shape == (512, 512)


def test_auto_copies_the_file_in(butler, folder):
    (path,) = folder.iterdir()
    with serve(folder) as served:
        (ref,) = ingest_files(butler, f"{served.url}/{path.name}").ingested
    assert Path(butler.getURI(ref).ospath).read_bytes() == path.read_bytes()


def test_server_without_ranges_still_works(folder):
    (path,) = folder.iterdir()
    with serve(folder, ranges=False) as served:
        planned, failed = plan_files(f"{served.url}/{path.name}")
    assert (len(planned), failed) == (1, [])


def test_address_that_is_not_there_is_reported(butler, folder):
    with serve(folder) as served:
        report = ingest_files(butler, f"{served.url}/level2_2025W51_1A_0684_2D1_spx_l2b-v21-2025-354.fits")
    assert report.ingested == []
    assert "FileNotFoundError" in report.failed[0].reason
