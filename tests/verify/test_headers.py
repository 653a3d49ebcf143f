"""The check of headers: a file of another image or detector is found where it is asked for, and nothing else is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from astropy.io import fits
from damage import found, images, kinds, path_of
from http_server import serve
from made_once import new_repo

from spherex_butler.calibrations import ingest_calibrations
from spherex_butler.ingest import ingest_files
from spherex_butler.testing import write_calibration
from spherex_butler.verify import Kind, check_repository


def exchange(first: Path, second: Path) -> None:
    first_bytes = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(first_bytes)


def test_headers_of_a_repository_that_is_well_are_those_of_its_datasets(butler, tmp_path):
    for name in ("dark", "epsf", "spectral_channels", "gain_factors"):
        token = {"dark": "cal-drk-v4-2025-161"}.get(name, "base-2025-158")
        detector = {} if name in {"spectral_channels", "gain_factors"} else {"detector": 3}
        write_calibration(tmp_path, name, token, **detector)
    assert len(ingest_calibrations(butler, tmp_path, transfer="copy").ingested) == 4
    assert found(check_repository(butler, headers=True), Kind.HEADER) == []


def test_file_of_another_detector_and_equal_size_is_found(butler):
    first, second = images(butler)[:2]
    exchange(path_of(butler, first), path_of(butler, second))
    assert check_repository(butler).ok
    report = check_repository(butler, headers=True)
    assert kinds(report) == {Kind.HEADER}
    messages = found(report, Kind.HEADER)
    assert [str(ref.id) in message for ref, message in zip((first, second), messages, strict=True)] == [True, True]
    assert messages[0].endswith(
        "the header is of exposure and detector (20255110106842, 2); expected (20255110106842, 1)."
    )
    assert "--unstore" in str(report)


def test_file_that_is_no_image_is_found(butler):
    path = path_of(butler, images(butler)[0])
    path.write_bytes(b"\0" * path.stat().st_size)
    (message,) = found(check_repository(butler, headers=True), Kind.HEADER)
    assert path.name in message


def test_calibration_of_another_detector_is_found(butler, tmp_path):
    for detector in (3, 4):
        write_calibration(tmp_path, "dark", "cal-drk-v4-2025-161", detector=detector)
    one, other = ingest_calibrations(butler, tmp_path, transfer="copy").ingested
    exchange(path_of(butler, one), path_of(butler, other))
    messages = found(check_repository(butler, headers=True), Kind.HEADER)
    assert [message.rpartition("; ")[2] for message in messages] == ["expected detector 3.", "expected detector 4."]


def rewrite(path: Path, **cards: object) -> None:
    """Change cards of an IMAGE header, as a reprocessing behind Butler's back would."""
    with fits.open(path, mode="update") as hdus:
        hdus["IMAGE"].header.update(cards)


def test_header_of_another_time_or_place_is_found_and_ingest_can_mend_it(butler):
    first, second, third, fourth = images(butler)[:4]
    with fits.open(path_of(butler, first)) as hdus:
        begin, end, longitude = (hdus["IMAGE"].header[name] for name in ("MJD-BEG", "MJD-END", "CRVAL1"))
    rewrite(path_of(butler, first), **{"MJD-BEG": begin + 10 / 86400, "MJD-END": end + 10 / 86400})
    rewrite(path_of(butler, second), **{"MJD-BEG": begin + 0.3 / 86400, "MJD-END": end + 0.3 / 86400})
    rewrite(path_of(butler, third), CRVAL1=(longitude + 90) % 360)
    rewrite(path_of(butler, fourth), CRPIX1=fits.getval(path_of(butler, fourth), "CRPIX1", "IMAGE") + 0.01)
    report = check_repository(butler, headers=True)
    assert [finding.dataset for finding in report.problems] == [first, third]
    time, place = found(report, Kind.HEADER_RECORDS)
    assert "the exposure is known to be from 2025-" in time
    assert "the image is known to be at RA" in place
    assert "--update-records" in str(report)
    wrong = path_of(butler, third)
    assert ingest_files(butler, wrong, update_records=True).updated
    assert [finding.dataset for finding in check_repository(butler, headers=True).problems] == [first]


@pytest.fixture
def served(archive, tmp_path):
    files = [Path(shutil.copy(path, tmp_path)) for path in archive[:2]]
    with new_repo() as butler, serve(tmp_path) as server:
        ingest_files(butler, [f"{server.url}/{path.name}" for path in files], transfer="direct")
        exchange(*files)
        server.requests.clear()
        yield butler, server


def test_headers_of_remote_files_are_read_where_remote_files_are_asked_for(served):
    butler, server = served
    assert check_repository(butler, headers=True).ok
    assert server.requests == []
    assert check_repository(butler, remote=2).ok
    assert len(found(check_repository(butler, headers=True, remote=2), Kind.HEADER)) == 2
