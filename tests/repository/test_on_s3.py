"""Repositories whose files are in an S3 bucket: exported to, and checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from botocore.exceptions import EndpointConnectionError
from damage import certify, certify_others, images, lose_regions, put_dark
from lsst.daf.butler import Butler
from lsst.resources.s3 import S3ResourcePath
from made_once import copy_exposures, copy_repo, new_repo, open_repo
from s3_server import serve_bucket

from spherex_butler.errors import RepositoryError
from spherex_butler.export import export_images
from spherex_butler.ingest import ingest_files
from spherex_butler.verify import Kind, check_repository, repair


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Serve an empty bucket on loopback, to which Butler is pointed."""
    with serve_bucket("files") as bucket:
        yield bucket.client


@pytest.fixture
def target(client, tmp_path) -> Iterator[Butler]:
    """Return a repository with files in the bucket: one exposure, and a dark."""
    assert "files" in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    archive = copy_exposures(tmp_path / "archive", exposures=1)
    with (
        new_repo() as source,
        open_repo(copy_repo(tmp_path / "repository", datastore_root=f"s3://files/{tmp_path.name}")) as target,
    ):
        ingest_files(source, archive, transfer="copy")
        certify(source, put_dark(source))
        certify_others(source)
        report = export_images(source, target)
        assert (report.images, report.calibrations, report.failed) == (6, 6, [])
        yield target


def test_exported_images_are_read_from_the_bucket(target):
    assert [target.getURI(ref).scheme for ref in images(target)] == ["s3"] * 6
    assert target.get(images(target)[0]).shape == (16, 16)
    assert target.get("dark", dataId=images(target, detector=3)[0].dataId).shape == (4, 4)


def test_objects_are_asked_for_where_wanted(target, client):
    report = check_repository(target)
    (note,) = [finding for finding in report.findings if finding.kind is Kind.NOT_CHECKED]
    assert (report.ok, note.subject, note.count) == (True, "s3://files", 12)
    assert check_repository(target, remote=4).ok
    uri = target.getURI(images(target)[0])
    client.delete_object(Bucket="files", Key=uri.relativeToPathRoot)
    (finding,) = check_repository(target, remote=4).problems
    assert (finding.kind, f"{uri} is not there." in finding.message) == (Kind.FILE_MISSING, True)


def test_objects_that_no_record_names_are_listed_where_objects_are_asked_for(target):
    (ref, *_) = images(target)
    uri = target.getURI(ref)
    data = uri.read()
    target.pruneDatasets([ref], purge=True, unstore=True, disassociate=True)
    uri.write(data)
    assert check_repository(target).ok
    (finding,) = check_repository(target, remote=4).problems
    assert (finding.kind, finding.subject) == (Kind.FILE_UNREFERRED, str(uri))
    assert ingest_files(target, finding.subject).ingested == [ref]
    assert (target.getURI(ref), check_repository(target, remote=4).ok) == (uri, True)


def test_region_rows_of_objects_are_left_alone(target):
    lose_regions(target)
    (left,) = repair(target, check_repository(target).problems)
    assert "6 could not be made from headers" in left.message


def test_objects_cannot_be_linked(target):
    with new_repo() as back:
        report = export_images(target, back, transfer="hardlink", calibrations=False)
        assert (report.images, len(report.failed)) == (0, 6)
        assert "'hardlink' is for local files" in report.failed[0].reason


def test_bucket_can_be_exported_to_disk(target):
    with new_repo() as back:
        assert export_images(target, back).failed == []
        assert all(Path(back.getURI(ref).ospath).is_file() for ref in images(back))
        assert check_repository(back).ok


@pytest.fixture
def silent(monkeypatch) -> list[str]:
    """Let the store answer no more, as lsst.resources says after a minute for each object; return what was asked."""
    asked = []

    def unanswered(uri: S3ResourcePath, *_: object, **__: object) -> NoReturn:
        asked.append(str(uri))
        raise EndpointConnectionError(endpoint_url=str(uri))

    for name in ("size", "transfer_from", "exists", "mkdir"):
        monkeypatch.setattr(S3ResourcePath, name, unanswered)
    return asked


def test_ingest_ends_at_the_first_object_that_a_silent_store_does_not_take(target, silent, tmp_path):
    late = copy_exposures(tmp_path / "late", exposures=2)
    with pytest.raises(
        RepositoryError, match=r"does not answer: EndpointConn.* at the address in S3_ENDPOINT_URL"
    ) as told:
        ingest_files(target, late, transfer="copy")
    assert "What was registered before stays" in str(told.value)
    assert len(silent) == 1


def test_check_of_a_silent_store_asks_a_few_times(target, silent):
    report = check_repository(target, remote=2)
    problems = report.problems
    assert report.checked["files"] == len(silent)
    assert {problem.kind for problem in problems} == {Kind.FILE_UNREADABLE}
    assert "s3://files" in {problem.subject for problem in problems}
    assert sum(problem.count for problem in problems) == 12
    assert 3 <= len(silent) < 5


def test_folders_of_a_store_that_cannot_be_listed_are_a_finding(target, monkeypatch):
    def unanswered(uri: S3ResourcePath, *_: object, **__: object) -> NoReturn:
        raise EndpointConnectionError(endpoint_url=str(uri))

    monkeypatch.setattr(S3ResourcePath, "walk", unanswered)
    (problem,) = check_repository(target, remote=2).problems
    assert problem.kind is Kind.FILE_UNREADABLE
    assert problem.message.startswith("its folders cannot be listed: EndpointConnectionError")
