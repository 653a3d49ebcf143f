"""Ingest from web servers: only headers are read, and the address is kept or the file copied."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from http_server import exchange, serve

from spherex_butler.ingest import ingest_files, plan_files
from spherex_butler.testing import write_exposures, write_level2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("server")
    write_level2(folder, detector=3, size=512)
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six files."""
    folder = tmp_path_factory.mktemp("archive")
    write_exposures(folder, exposures=1, size=64)
    return folder


def gets(served) -> list[tuple[str, str | None]]:
    return sorted((path, wanted) for method, path, wanted, _ in served.requests if method == "GET")


@pytest.mark.parametrize("processes", [1, 3])
def test_each_file_takes_a_request_for_its_header_and_one_for_its_end(archive, processes):
    with serve(archive) as served:
        urls = [f"{served.url}/{path.name}" for path in sorted(archive.iterdir())]
        planned, failed = plan_files(urls, processes=processes)
    assert (len(planned), failed) == (6, [])
    sizes = {f"/{path.name}": path.stat().st_size for path in archive.iterdir()}
    ends = [(name, f"bytes={size - 23040}-{size - 1}") for name, size in sizes.items()]
    assert gets(served) == sorted([*((name, "bytes=0-46079") for name in sizes), *ends])
    assert len(served.requests) == 12
    assert {file.size for file in planned} == {path.stat().st_size for path in archive.iterdir()}


def test_folder_of_a_web_server_is_refused():
    planned, (failure,) = plan_files("https://host/qr2/level2/")
    assert planned == []
    assert "a folder of 'https' cannot be searched; expected the URLs of files" in failure.reason


def test_direct_url_that_is_there_takes_no_more_requests(butler, archive):
    with serve(archive) as served:
        urls = [f"{served.url}/{path.name}" for path in archive.iterdir()]
        ingest_files(butler, urls, transfer="direct")
        served.requests.clear()
        assert len(ingest_files(butler, urls, transfer="direct").skipped) == 6
        assert len(served.requests) == 12


def test_headers_are_read_without_the_extra_too(archive, monkeypatch):
    monkeypatch.setitem(sys.modules, "spherex_butler.files.remote", None)
    with serve(archive) as served:
        planned, failed = plan_files([f"{served.url}/{path.name}" for path in archive.iterdir()])
    assert (len(planned), failed) == (6, [])


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


def test_address_that_is_not_there_is_reported(butler, folder):
    with serve(folder) as served:
        report = ingest_files(butler, f"{served.url}/level2_2025W51_1A_0684_2D1_spx_l2b-v21-2025-354.fits")
    assert report.ingested == []
    assert "FileNotFoundError" in report.failed[0].reason


@pytest.mark.parametrize("transfer", ["direct", "copy"])
def test_file_that_the_server_has_in_part_is_refused(butler, archive, tmp_path, transfer):
    paths = sorted(archive.iterdir())
    for path in paths:
        shutil.copy(path, tmp_path)
    os.truncate(tmp_path / paths[2].name, paths[2].stat().st_size * 3 // 5)
    with serve(tmp_path) as served:
        urls = [f"{served.url}/{path.name}" for path in paths]
        report = ingest_files(butler, urls, transfer=transfer)
    assert len(report.ingested) == 5
    assert report.failed[0].uri.endswith(paths[2].name)
    assert "is truncated" in report.failed[0].reason


def test_file_that_is_replaced_between_header_and_copy_is_refused(butler, archive, tmp_path):
    path = shutil.copy(next(archive.iterdir()), tmp_path)
    longer = Path(path).read_bytes() + bytes(2880)

    def replace(number: int) -> None:
        if number == 1:
            exchange(Path(path), longer)

    with serve(tmp_path, fault=replace) as served:
        report = ingest_files(butler, f"{served.url}/{Path(path).name}", transfer="copy")
    assert report.ingested == []
    assert f"has {len(longer)} bytes; expected {len(longer) - 2880}" in report.failed[0].reason
    assert not list(Path(butler._datastore.root.ospath).rglob("*.fits*"))
