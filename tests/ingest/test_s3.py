"""Ingest from and into an S3 bucket: folders, globs, and what is asked of the store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from lsst.daf.butler import Butler
from lsst.resources import ResourcePath
from s3_server import Bucket, serve_bucket

from spherex_butler import SpectralImage, make_repo
from spherex_butler.ingest import ingest_files, plan_files
from spherex_butler.testing import write_exposures, write_level2


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_exposures(folder, exposures=2, detectors=[1, 2, 3], size=16, tree=True)
    return folder


@pytest.fixture(scope="module")
def bucket(archive) -> Iterator[Bucket]:
    """A bucket with the archive's tree, and something else."""
    with serve_bucket("archive") as bucket:
        for path in archive.rglob("*.fits"):
            bucket.client.upload_file(str(path), "archive", str(path.relative_to(archive)))
        bucket.client.put_object(Bucket="archive", Key="qr2/level2/README.txt", Body=b"read me")
        yield bucket


@pytest.fixture(scope="module")
def written(bucket) -> str:
    """A bucket beside, for what tests write."""
    bucket.client.create_bucket(Bucket="written")
    return "s3://written"


@pytest.fixture
def stored(written, tmp_path: Path) -> Iterator[Butler]:
    """A repository whose registry is local and whose files are in the bucket."""
    with contextlib.closing(make_repo(tmp_path / "stored", datastore_root=f"{written}/{tmp_path.name}")) as butler:
        yield butler


@pytest.fixture
def small(level2_paths) -> Path:
    return level2_paths["qr2"]


def keys(archive: Path, pattern: str = "**/*.fits") -> list[str]:
    return [f"s3://archive/{path.relative_to(archive)}" for path in sorted(archive.glob(pattern))]


def planned(*paths: str) -> list[str]:
    files, failed = plan_files(paths)
    assert failed == []
    return sorted(file.uri for file in files)


@pytest.mark.parametrize("folder", ["", "qr2/", "qr2/level2/"])
def test_folder_is_searched(bucket, archive, folder):
    assert planned(f"{bucket.url}/{folder}") == keys(archive)


@pytest.mark.parametrize("pattern", ["**/*D2_*.fits", "qr2/level2/*/*/[13]/*.fits", "qr2/level2/*/*/2", "qr2/*/"])
def test_glob_is_expanded(bucket, archive, pattern):
    expected = {"qr2/level2/*/*/2": "**/2/*.fits", "qr2/*/": "**/*.fits"}.get(pattern, pattern)
    assert planned(f"{bucket.url}/{pattern}") == keys(archive, expected) != []


def test_folder_costs_a_request_for_each_in_it(bucket):
    bucket.seen.clear()
    assert len(planned(f"{bucket.url}/qr2/")) == 6
    listings = [request for request in bucket.seen if not request[1].endswith(".fits")]
    assert len(listings) == 7  # qr2, level2, the planning period, the processing and three detectors
    assert len(bucket.gets) == 6


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("s3://archive/qr9/", "there is no level2_*.fits in this folder"),
        ("s3://archive/qr2/*.fits", "nothing in this folder matches the pattern '*.fits'"),
        ("s3://nowhere/qr2/", "the folder cannot be listed: NoSuchBucket"),
        ("s3://archive/qr2/level2_2025W51_1A_0684_2D1_spx_l2b-v21-2025-354.fits", "FileNotFoundError"),
        ("s3://archive/qr2", "'qr2' is not the name of a SPHEREx product"),
    ],
)
def test_path_that_stands_for_nothing_is_reported(bucket, path, reason):
    assert bucket.url == "s3://archive"
    files, (failure,) = plan_files(path)
    assert files == []
    assert reason in failure.reason


def test_direct_keeps_the_address(bucket, archive, butler):
    report = ingest_files(butler, f"{bucket.url}/**/*D2_*.fits", transfer="direct", processes=2)
    assert sorted(str(butler.getURI(ref)) for ref in report.ingested) == keys(archive, "**/*D2_*.fits")
    assert [butler.get(ref).shape for ref in report.ingested] == [(16, 16)] * 2


def test_auto_copies_from_the_bucket(bucket, archive, butler):
    (ref,) = ingest_files(butler, f"{bucket.url}/**/*_2D2_*.fits").ingested
    (original,) = archive.rglob("*_2D2_*.fits")
    assert Path(butler.getURI(ref).ospath).read_bytes() == original.read_bytes()


def test_file_of_another_size_is_reported_without_a_request(bucket, written, archive, tmp_path):
    first, other = next(archive.rglob("*_2D1_*.fits")), write_level2(tmp_path / "other", detector=1, size=40)
    with contextlib.closing(make_repo(tmp_path / "repo", datastore_root=f"{written}/repo")) as butler:
        assert len(ingest_files(butler, first, transfer="copy").ingested) == 1
        bucket.seen.clear()
        assert len(ingest_files(butler, first, transfer="copy").skipped) == 1
        (failure,) = ingest_files(butler, other, transfer="copy").failed
        assert bucket.seen == []
    assert f"of {first.stat().st_size} bytes instead of {other.stat().st_size}; nothing was changed" in failure.reason


# Into a repository whose files are in the bucket.


def test_second_ingest_skips_what_is_there(stored, small):
    (ref,) = ingest_files(stored, small).ingested
    report = ingest_files(stored, small)
    assert (report.ingested, report.skipped, report.failed) == ([], [ref], [])


def test_move_takes_the_file_away(stored, small, tmp_path):
    source = tmp_path / small.name
    source.write_bytes(small.read_bytes())
    report = ingest_files(stored, source, transfer="move")
    assert (report.failed, report.warnings) == ([], [])
    assert stored.getURI(*report.ingested).read() == small.read_bytes()
    assert not source.exists()


def test_file_in_the_bucket_is_copied_into_the_repository(stored, written, small):
    source = ResourcePath(f"{written}/elsewhere/{small.name}")
    source.write(small.read_bytes())
    (ref,) = ingest_files(stored, str(source)).ingested
    assert stored.getURI(ref) != source
    assert stored.getURI(ref).read() == small.read_bytes()


def test_file_in_the_bucket_may_stay_where_it_is(stored, written, small):
    source = ResourcePath(f"{written}/elsewhere/{small.name}")
    source.write(small.read_bytes())
    (ref,) = ingest_files(stored, str(source), transfer="direct").ingested
    assert stored.getURI(ref) == source
    assert np.array_equal(stored.get(ref).data, SpectralImage.read(small).data)


def test_link_into_the_bucket_is_refused(stored, small):
    report = ingest_files(stored, small, transfer="symlink")
    assert "transfer mode 'symlink' is for local files" in report.failed[0].reason


def test_file_left_by_an_interrupted_ingest_is_taken_over(stored, small):
    target = place_of(stored, small)
    (ref,) = ingest_files(stored, small, transfer="copy").ingested
    assert stored.getURI(ref) == target
    assert target.read() == small.read_bytes()


def test_other_content_of_the_same_size_is_not_taken_over(stored, small):
    content = small.read_bytes()
    target = place_of(stored, small, content[:-1] + bytes([content[-1] ^ 1]))
    report = ingest_files(stored, small, transfer="copy")
    assert "is there already with other content; nothing was overwritten" in report.failed[0].reason
    assert target.read() != content


def place_of(stored: Butler, path: Path, content: bytes | None = None) -> ResourcePath:
    """Return where a file will go, with content there already: by default the file's own."""
    (ref,) = ingest_files(stored, path, transfer="copy").ingested
    target = stored.getURI(ref)
    stored.pruneDatasets([ref], disassociate=True, unstore=True, purge=True)
    assert not target.exists()
    target.write(path.read_bytes() if content is None else content)
    return target
