"""The check of files: what is missing, changed or left over, at home and on a server."""

from __future__ import annotations

import errno
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from damage import certify, damage, found, hex_of, images, kinds, path_of, put_dark
from http_server import serve
from lsst.daf.butler import Butler, Config
from lsst.resources import ResourcePath
from lsst.resources.http import HttpResourcePath
from made_once import new_repo, open_repo

from spherex_butler.ingest import ingest_files
from spherex_butler.verify import Kind, check_repository

PART = f".{'0' * 31}a.part"


def put_in_place(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.unlink()
        make(path)

    return spoil


def replace_folder(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_text("")


@pytest.mark.parametrize(
    ("spoil", "kind", "reason"),
    [
        (Path.unlink, Kind.FILE_MISSING, r"^ is not there\.$"),
        (replace_folder, Kind.FILE_MISSING, r"^ is not there\.$"),
        (put_in_place(Path.mkdir), Kind.FILE_MISSING, r"^ is a folder; expected a file\.$"),
        (put_in_place(os.mkfifo), Kind.FILE_MISSING, r"^ is something else; expected a file\.$"),
        (lambda path: path.write_bytes(b"x"), Kind.FILE_SIZE, r"^ has 1 bytes; \d+ are on record\.$"),
        (
            put_in_place(lambda path: path.symlink_to("/nowhere/x.fits")),
            Kind.FILE_MISSING,
            r"^ is a link to /nowhere/x\.fits, which is not there\.$",
        ),
        (
            put_in_place(lambda path: path.symlink_to(path)),
            Kind.FILE_MISSING,
            r"^ is a link that leads to itself; expected a file\.$",
        ),
    ],
)
def test_file_that_is_not_as_on_record_is_found(butler, spoil, kind, reason):
    ref = images(butler)[0]
    path = path_of(butler, ref)
    spoil(path)
    report = check_repository(butler)
    message = found(report, kind)[0]
    assert kinds(report) == {kind}
    assert message.startswith(f"level2 detector=1 exposure=20255110106842 in spx/l2b-v21-2025-354 ({ref.id}): {path}")
    assert re.search(reason, message.partition(str(path))[2])


@pytest.fixture
def checksums(empty_repo: Path) -> Iterator[Butler]:
    """Return a repository that records checksums."""
    config = Config(str(empty_repo / "butler.yaml"))
    config["datastore", "checksum"] = True
    config.dumpToUri(ResourcePath(empty_repo / "butler.yaml"))
    with open_repo(empty_repo) as butler:
        put_dark(butler, value=1.0)
        certify(butler, put_dark(butler, detector=4, value=2.0))
        yield butler


def test_file_of_another_content_is_found_where_asked_for(checksums):
    dark = checksums.find_dataset("dark", instrument="SPHEREx", detector=3, collections="spx/cal-drk-v4-2025-161")
    data = bytearray(path_of(checksums, dark).read_bytes())
    data[-2880] ^= 1
    path_of(checksums, dark).write_bytes(data)
    assert check_repository(checksums).ok
    report = check_repository(checksums, checksum=True)
    (message,) = found(report, Kind.FILE_CHECKSUM)
    assert str(dark.id) in message
    assert "is on record" in message
    assert found(report, Kind.NOT_CHECKED) == []


def test_checksum_that_cannot_be_read_is_found(checksums):
    (dark,) = checksums.query_datasets("dark", collections="spx/cal-drk-v4-2025-161", where="detector = 3")
    put_in_place(lambda path: path.symlink_to("/proc/self/mem"))(path_of(checksums, dark))  # is there, and unreadable
    damage(checksums, f"UPDATE file_datastore_records SET file_size = 0 WHERE dataset_id = '{hex_of(dark)}'")
    (message,) = found(check_repository(checksums, checksum=True), Kind.FILE_UNREADABLE)
    assert message.endswith("OSError: [Errno 5] Input/output error")


def test_files_without_checksum_are_counted(butler):
    (message,) = found(check_repository(butler, checksum=True), Kind.NO_CHECKSUM)
    assert message.startswith("checksums: 18 files without a checksum on record, of which only the size was compared.")


def test_names_that_a_uri_would_escape_are_looked_up(archive, tmp_path):
    folder = tmp_path / "a %23 b"
    folder.mkdir()
    with new_repo() as other:
        ingest_files(other, shutil.copy(archive[0], folder), transfer="direct")
        report = check_repository(other)
    assert (report.ok, report.checked["files"]) == (True, 2)  # one is the detector's distortion


def test_dataset_without_file_and_file_without_dataset_are_found(butler):
    (ref, *_) = images(butler)
    damage(butler, f"DELETE FROM dataset_location WHERE dataset_id = '{hex_of(ref)}'")
    report = check_repository(butler)
    (message,) = found(report, Kind.NOT_STORED)
    assert message.endswith(f"({ref.id}): is registered, but no file is on record.")
    (message,) = found(report, Kind.NO_DATASET)
    assert message.endswith(f"is on record for {ref.id}, a dataset that was removed or whose removal was begun.")


def test_file_of_an_interrupted_removal_is_found(butler, monkeypatch):
    (ref, *_) = images(butler)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(butler._datastore), "emptyTrash", die)
    with pytest.raises(KeyboardInterrupt):
        butler.pruneDatasets([ref], purge=True, unstore=True, disassociate=True)
    monkeypatch.undo()
    assert kinds(check_repository(butler)) == {Kind.NO_DATASET}
    butler._datastore.emptyTrash()  # as the report advises
    assert check_repository(butler).ok


# What killed copies left.


def test_part_that_cannot_be_looked_at_is_noted(butler, monkeypatch):
    part = path_of(butler, images(butler)[0]).with_name(PART)
    part.write_text("half")
    now, opened = time.time(), Path.open

    def refuse(path: Path, *arguments: object):
        if path == part:  # permissions do not stop root
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *arguments)

    monkeypatch.setattr(time, "time", lambda: now + 2 * 86400)
    monkeypatch.setattr(Path, "open", refuse)
    report = check_repository(butler)
    (note,) = found(report, Kind.FILE_UNREADABLE)
    assert note.startswith(f"{part}: it cannot be said whether an interrupted copy left it: PermissionError: ")
    assert report.ok


# Remote files.


@pytest.fixture
def remote(archive) -> Iterator[tuple[Butler, object, list[int]]]:
    """Return a repository of images on a web server, that server, and how many requests it had at once."""
    most, active, lock = [0], [0], threading.Lock()

    def watch(_: int) -> None:
        with lock:
            active[0] += 1
            most[0] = max(most[0], active[0])
        time.sleep(0.02)
        with lock:
            active[0] -= 1

    with new_repo() as butler, serve(archive[0].parent, fault=watch) as served:
        urls = [f"{served.url}/{path.name}" for path in archive]
        assert len(ingest_files(butler, urls, transfer="direct").ingested) == 12
        served.requests.clear()
        most[0] = 0
        yield butler, served, most


def test_remote_files_are_asked_for_a_few_at_a_time_if_at_all(remote):
    butler, served, most = remote
    report = check_repository(butler)
    assert (report.ok, served.requests) == (True, [])
    assert found(report, Kind.NOT_CHECKED) == [f"{served.url}: 12 files there were not checked; --remote does that."]
    assert report.checked == {"images": 12, "datasets": 18, "files": 6}  # the detectors' distortions are local
    report = check_repository(butler, remote=3)
    assert report.checked["files"] == 18
    assert (report.ok, found(report, Kind.NOT_CHECKED)) == (True, [])
    assert len({path for _, path, *_ in served.requests}) == 12
    assert {method for method, *_ in served.requests} <= {"HEAD", "OPTIONS"}
    assert 1 < most[0] <= 3


def test_remote_file_that_is_gone_or_cannot_be_asked_for_is_found(remote):
    butler, *_ = remote
    first, second = images(butler, detector=3)
    table = "UPDATE file_datastore_records SET path ="
    damage(butler, f"{table} path || 'x' WHERE dataset_id = '{hex_of(first)}'")
    damage(butler, f"{table} 'gopher://host/x' WHERE dataset_id = '{hex_of(second)}'")
    report = check_repository(butler, remote=2)
    assert found(report, Kind.FILE_MISSING)[0].endswith("l2b-v21-2025-354.fitsx is not there.")
    assert "gopher://host/x: NotImplementedError: " in found(report, Kind.FILE_UNREADABLE)[0]


def test_server_that_does_not_answer_is_not_asked_for_all_files(remote, monkeypatch):
    butler, served, _ = remote
    asked = []

    def unanswered(uri: HttpResourcePath) -> int:  # as it says after half a minute
        asked.append(uri)
        raise requests.ConnectionError(f"HTTPConnectionPool(host='{uri.root_uri()}', port=9): Max retries exceeded")

    monkeypatch.setattr(HttpResourcePath, "size", unanswered)
    *few, rest = found(check_repository(butler, remote=3), Kind.FILE_UNREADABLE)
    assert len(few) == len(asked)
    assert 3 <= len(asked) < 6  # three at once, and those that had begun
    assert all("ConnectionError: the server" in one for one in [*few, rest])
    assert rest.startswith(f"{served.url}: {12 - len(few)} files there were not asked for any more")
