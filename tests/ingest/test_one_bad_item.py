"""Whatever one file raises is that file's failure, at every step; the others go in."""

from __future__ import annotations

import errno
import logging
import os
from http import HTTPStatus

import pytest
from astropy.io import fits
from http_server import serve
from one_bad_item import ERRORS, in_comparison, in_header, in_placing, in_registration, raise_for

from spherex_butler.errors import RepositoryError
from spherex_butler.ingest import ingest_files, preview_ingest
from spherex_butler.repository.reports import IngestReport


def require_failure_of(report, path, error):
    """Check that one file failed, and that its reason says what kind of error that was, and what it said."""
    (failure,) = report.failed
    assert failure.uri == path.as_uri()
    assert failure.reason == f"{type(error).__name__}: {error}".removesuffix(": ")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("spoil", [in_header, in_placing, in_registration])
def test_file_that_raises_anything_fails_alone(butler, files, monkeypatch, spoil, error):
    spoil(monkeypatch, files[2], error)
    report = ingest_files(butler, files, transfer="hardlink")
    require_failure_of(report, files[2], error)
    assert len(report.ingested) == 5
    monkeypatch.undo()
    assert ingest_files(butler, files, transfer="hardlink").summary == "1 ingested, 5 already there, 0 failed"


def test_fifo_by_the_name_of_an_image_fails_alone(butler, files):
    files[2].unlink()
    os.mkfifo(files[2])
    report = ingest_files(butler, files[2].parent)
    (failure,) = report.failed
    assert "is a FIFO; expected a regular file" in failure.reason
    assert len(report.ingested) == 5


def test_traceback_of_what_nobody_foresaw_is_logged(butler, files, monkeypatch, caplog):
    error = ERRORS[0]
    in_registration(monkeypatch, files[2], error)
    with caplog.at_level(logging.DEBUG, "spherex_butler"):
        ingest_files(butler, files)
    (record,) = [record for record in caplog.records if "Traceback" in record.getMessage()]
    assert record.levelno == logging.DEBUG
    assert record.getMessage().startswith(f"{files[2].as_uri()}\n")
    assert record.getMessage().rstrip().endswith(str(error))


@pytest.mark.parametrize("error", ERRORS[:2], ids=lambda error: type(error).__name__)
def test_file_whose_comparison_raises_fails_alone(butler, files, monkeypatch, error):
    ingest_files(butler, files)
    in_comparison(monkeypatch, files[2], error)
    for function in (preview_ingest, ingest_files):
        report = function(butler, files)
        require_failure_of(report, files[2], error)
    assert len(report.skipped) == 5


@pytest.mark.parametrize("error", ERRORS[:2], ids=lambda error: type(error).__name__)
def test_file_whose_records_cannot_be_updated_fails_alone(butler, files, monkeypatch, error):
    ingest_files(butler, files, transfer="direct")
    for path in files:
        with fits.open(path, mode="update") as hdus:
            hdus["IMAGE"].header["CRVAL2"] += 0.001
    region = "exposure_detector_region"
    class_of_records = butler.dimensions[region].RecordClass
    raise_for(monkeypatch, class_of_records, "toDict", lambda record, *_: record.detector == 3, error)
    report = ingest_files(butler, files, transfer="direct", update_records=True)
    require_failure_of(report, files[2], error)
    assert (len(report.skipped), len(report.updated)) == (5, 5)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=lambda error: type(error).__name__)
def test_an_interrupt_is_no_files_failure(butler, files, monkeypatch, error):
    report = IngestReport.of_images()
    in_placing(monkeypatch, files[2], error)
    with pytest.raises(type(error)):
        ingest_files(butler, files, transfer="hardlink", report=report)
    assert report.failed == []


@pytest.mark.parametrize(
    ("card", "value"),
    [("RADESYS", "ITRS"), ("RADESYS", "GAPPT"), ("CTYPE1", 3.5), ("CTYPE1", True), ("OBSID", 7)],
)
def test_header_card_that_astropy_does_not_expect_keeps_no_other_file_out(butler, files, card, value):
    with fits.open(files[2], mode="update") as hdus:
        hdus["IMAGE"].header.set(card, value, "")
    report = ingest_files(butler, files)
    assert (len(report.ingested), [failure.uri for failure in report.failed]) == (5, [files[2].as_uri()])
    assert report.failed[0].reason


@pytest.mark.parametrize("status", [400, 401, 403, 405, 410, 418, 451])
def test_url_that_is_refused_keeps_no_other_out(butler, files, status):
    bad = files[2].name

    def refuse(path: str) -> int | None:
        return status if bad in path else None

    with serve(files[0].parent, status=refuse) as served:
        report = ingest_files(butler, [f"{served.url}/{path.name}" for path in files], transfer="direct")
    (failure,) = report.failed
    assert (len(report.ingested), failure.uri) == (5, f"{served.url}/{bad}")
    assert str(status) in failure.reason or HTTPStatus(status).phrase in failure.reason


def test_redirects_in_circles_keep_no_other_out(butler, files):
    bad = files[2].name
    with serve(files[0].parent, status=lambda path: 302 if bad in path else None) as served:
        report = ingest_files(butler, [f"{served.url}/{path.name}" for path in files], transfer="direct")
    (failure,) = report.failed
    assert (len(report.ingested), failure.uri) == (5, f"{served.url}/{bad}")


@pytest.mark.parametrize(
    "url",
    [
        "gs://bucket/level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits",
        "gs://bucket/folder/",
        "resource://spherex_butler/level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits",
        "mailto://somebody",
        "http://[half/level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits",
        "http://host:port/level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits",
        "/nul\0byte/level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits",
        f"level2_2025W51_1A_0684_2D3_spx_l2b-v{'9' * 5000}-2025-354.fits",
        f"/data/{'x' * 5000}/",
    ],
    ids=lambda url: url[:12].replace("\0", "0"),
)
def test_path_that_cannot_be_read_keeps_no_other_out(butler, files, url):
    report = ingest_files(butler, [files[0], url, files[1]])
    assert len(report.ingested) == 2
    assert len(report.failed) == 1


def test_s3_without_credentials_keeps_no_other_out(butler, files, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "S3_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    url = f"s3://bucket/{files[2].name}"
    for wanted in (url, "s3://bucket/folder/"):
        report = ingest_files(butler, [files[0], wanted])
        (failure,) = report.failed
        assert failure.uri == wanted.rstrip("/")
        assert "redential" in failure.reason


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_full_disk_ends_the_call_and_the_report_tells_what_is_done(butler, files, monkeypatch, code):
    in_placing(monkeypatch, files[3], OSError(code, os.strerror(code)))
    report = IngestReport.of_images()
    with pytest.raises(RepositoryError, match=r"^The repository's files cannot be written: OSError: \[Errno") as caught:
        ingest_files(butler, files, transfer="hardlink", batch_size=2, report=report)
    assert "the same call goes on with the rest" in str(caught.value)
    assert (report.failed, len(report.ingested)) == ([], 2)
    monkeypatch.undo()
    assert ingest_files(butler, files, transfer="hardlink").summary == "4 ingested, 2 already there, 0 failed"


def test_folder_that_may_not_be_written_to_ends_the_call(butler, files, monkeypatch):
    in_placing(monkeypatch, files[3], PermissionError(errno.EACCES, "Permission denied"))
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.X_OK)  # as a folder is asked for, and no file
    with pytest.raises(RepositoryError, match="the permission to write"):
        ingest_files(butler, files, transfer="hardlink")


def test_file_that_may_not_be_read_is_that_files_failure(butler, files, monkeypatch):
    error = PermissionError(errno.EACCES, "Permission denied")
    in_placing(monkeypatch, files[3], error)
    report = ingest_files(butler, files, transfer="hardlink")
    require_failure_of(report, files[3], error)
    assert len(report.ingested) == 5


def test_full_database_ends_the_call(butler, files):
    report = IngestReport.of_images()
    ingest_files(butler, files[:2], report=report)
    processings = [files[2].with_name(files[2].name.replace("2025-354", f"2026-{n:03}")) for n in range(1, 60)]
    for path in processings:
        os.link(files[2], path)
    with butler._registry._db._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(RepositoryError, match=r"^The disk with the database is full"):
        ingest_files(butler, processings, report=report)
    assert report.failed == []
    assert len(report.ingested) >= 2
