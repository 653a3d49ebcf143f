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

TREE = "s3://archive/tree"
"""Where the bucket holds the archive's tree; each test writes into folders of its own."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_exposures(folder, exposures=2, detectors=[1, 2, 3], size=16, tree=True)
    return folder


@pytest.fixture(scope="module")
def bucket(archive) -> Iterator[Bucket]:
    """A bucket with the archive's tree, and something else in it."""
    with serve_bucket("archive") as bucket:
        for path in archive.rglob("*.fits"):
            bucket.client.upload_file(str(path), "archive", f"tree/{path.relative_to(archive)}")
        bucket.client.put_object(Bucket="archive", Key="tree/qr2/level2/README.txt", Body=b"read me")
        yield bucket


@pytest.fixture
def stored(bucket, tmp_path: Path) -> Iterator[Butler]:
    """A repository whose registry is local and whose files are in the bucket."""
    with contextlib.closing(make_repo(tmp_path / "stored", datastore_root=f"{bucket.url}/{tmp_path.name}")) as butler:
        yield butler


@pytest.fixture
def small(level2_paths) -> Path:
    return level2_paths["qr2"]


@pytest.fixture
def elsewhere(bucket, small, tmp_path) -> ResourcePath:
    """The small file in another folder of the bucket."""
    source = ResourcePath(f"{bucket.url}/elsewhere-{tmp_path.name}/{small.name}")
    source.write(small.read_bytes())
    return source


def keys(archive: Path, pattern: str = "**/*.fits") -> list[str]:
    return [f"{TREE}/{path.relative_to(archive)}" for path in sorted(archive.glob(pattern))]


@pytest.mark.parametrize("path", ["", "qr2/", "**/*D2_*.fits", "qr2/level2/*/*/[13]/*.fits", "qr2/*/*/*/2", "qr2/*/"])
@pytest.mark.usefixtures("bucket")
def test_folder_is_searched_and_glob_expanded(archive, path):
    files, failed = plan_files(f"{TREE}/{path}")
    expected = keys(archive, path if path.endswith(".fits") else f"{path.removesuffix('/') or '**'}/**/*.fits")
    assert failed == []
    assert sorted(file.uri for file in files) == expected != []


def test_folder_costs_a_request_for_each_in_it(bucket):
    bucket.seen.clear()
    files, _ = plan_files(f"{TREE}/qr2/")
    listings = [request for request in bucket.seen if not request[1].endswith(".fits")]
    assert len(listings) == 7  # qr2, level2, the planning period, the processing and three detectors
    assert (len(files), len(bucket.gets)) == (6, 12)  # each one's header and end


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (f"{TREE}/qr9/", "there is no level2_*.fits in this folder"),
        (f"{TREE}/qr2/*.fits", "nothing in this folder matches the pattern '*.fits'"),
        ("s3://nowhere/qr2/", "the folder cannot be listed: NoSuchBucket"),
        (f"{TREE}/qr2/level2_2025W51_1A_0684_2D1_spx_l2b-v21-2025-354.fits", "FileNotFoundError"),
        (f"{TREE}/qr2", "'qr2' is not the name of a SPHEREx product"),
    ],
)
@pytest.mark.usefixtures("bucket")
def test_path_that_stands_for_nothing_is_reported(path, reason):
    files, (failure,) = plan_files(path)
    assert files == []
    assert reason in failure.reason


@pytest.mark.usefixtures("bucket")
def test_direct_keeps_the_address(archive, butler):
    report = ingest_files(butler, f"{TREE}/**/*D2_*.fits", transfer="direct", processes=2)
    assert sorted(str(butler.getURI(ref)) for ref in report.ingested) == keys(archive, "**/*D2_*.fits")
    assert [butler.get(ref).shape for ref in report.ingested] == [(16, 16)] * 2


@pytest.mark.usefixtures("bucket")
def test_auto_copies_from_the_bucket(archive, butler):
    (ref,) = ingest_files(butler, f"{TREE}/**/*_2D2_*.fits").ingested
    (original,) = archive.rglob("*_2D2_*.fits")
    assert Path(butler.getURI(ref).ospath).read_bytes() == original.read_bytes()


def test_file_of_another_size_is_reported_without_a_request(stored, bucket, archive, tmp_path):
    first, other = next(archive.rglob("*_2D1_*.fits")), write_level2(tmp_path / "other", detector=1, size=40)
    assert len(ingest_files(stored, first, transfer="copy").ingested) == 1
    bucket.seen.clear()
    (failure,) = ingest_files(stored, other, transfer="copy").failed
    assert bucket.seen == []
    assert f"of {first.stat().st_size} bytes instead of {other.stat().st_size}; nothing was changed" in failure.reason


# Into a repository whose files are in the bucket.


def test_second_ingest_skips_what_is_there_without_a_request(stored, bucket, small):
    (ref,) = ingest_files(stored, small).ingested
    bucket.seen.clear()
    report = ingest_files(stored, small)
    assert (report.ingested, report.skipped, report.failed, bucket.seen) == ([], [ref], [], [])


def test_move_takes_the_file_away(stored, small, tmp_path):
    source = tmp_path / small.name
    source.write_bytes(small.read_bytes())
    report = ingest_files(stored, source, transfer="move")
    assert (report.failed, report.warnings) == ([], [])
    assert stored.getURI(*report.ingested).read() == small.read_bytes()
    assert not source.exists()


def test_file_in_the_bucket_is_copied_into_the_repository(stored, elsewhere, small):
    (ref,) = ingest_files(stored, str(elsewhere)).ingested
    assert stored.getURI(ref) != elsewhere
    assert stored.getURI(ref).read() == small.read_bytes()


def test_file_in_the_bucket_may_stay_where_it_is(stored, elsewhere, small):
    (ref,) = ingest_files(stored, str(elsewhere), transfer="direct").ingested
    assert stored.getURI(ref) == elsewhere
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
