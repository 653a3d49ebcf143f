"""The check of a repository: what is found, what is only noted, and at what cost."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import astropy.units as u
import pytest
import sqlalchemy
from damage import ALWAYS, certify, certify_others, damage, hex_of, images, lose_regions, path_of, put_dark, timespans
from http_server import serve
from lsst.daf.butler import Butler, CalibrationLookupError, CollectionType, Config, DatasetType, Timespan
from lsst.resources import ResourcePath
from made_once import copy_repo, new_repo, open_repo

from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.files.temporary import is_stale
from spherex_butler.ingest import ingest_files
from spherex_butler.names import parse_product_name
from spherex_butler.repository.registration import stored_files
from spherex_butler.repository.runs import ensure_run
from spherex_butler.testing import write_exposures
from spherex_butler.verify import Kind, RepositoryReport, check_repository
from spherex_butler.verify import files as repository_files

RUN = "spx/l2b-v21-2025-354"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two exposures of six detectors."""
    return write_exposures(tmp_path_factory.mktemp("archive"), exposures=2, size=16)


@pytest.fixture(scope="module")
def filled(archive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with both of them."""
    root = copy_repo(tmp_path_factory.mktemp("filled") / "repo")
    with open_repo(root) as butler:
        assert len(ingest_files(butler, archive, transfer="copy").ingested) == 12
    return root


@pytest.fixture
def butler(filled, tmp_path) -> Iterator[Butler]:
    """Return a copy of that repository, opened."""
    with open_repo(shutil.copytree(filled, tmp_path / "filled")) as butler:
        yield butler


def found(report: RepositoryReport, kind: Kind) -> list[str]:
    return [f"{finding.subject}: {finding.message}" for finding in report.findings if finding.kind is kind]


def kinds(report: RepositoryReport) -> set[Kind]:
    return {finding.kind for finding in report.problems}


# Repositories that are well.


def test_new_repository_is_well(butler):
    report = check_repository(butler)
    assert report.ok
    assert report.checked == {"images": 12, "datasets": 12, "files": 12}
    assert report.lines()[-1].endswith("checked; no problems")


def test_empty_repository_is_well():
    with new_repo() as empty:
        report = check_repository(empty)
    assert (report.ok, report.findings, report.checked) == (True, (), {"images": 0, "datasets": 0, "files": 0})


def test_types_without_calibrations_are_noted_once(butler):
    certify(butler, put_dark(butler))
    (note,) = found(check_repository(butler), Kind.TYPE_ABSENT)
    assert "nonfunc" in note
    assert "dark" not in note


def test_read_only_repository_can_be_checked(butler):
    with Butler.from_config(butler._datastore.root) as reader:
        assert check_repository(reader).ok


# Calibrations.


def test_image_without_calibration_is_found_by_type_detector_and_time(butler):
    put_dark(butler, detector=3)
    certify_others(butler)
    report = check_repository(butler)
    (message,) = found(report, Kind.NO_CALIBRATION)
    assert message.startswith("dark D3: 2 images from 2025-12-18T05:09:34")
    assert "the first of exposure 20255110106842: no validity range is certified" in message
    assert [finding.count for finding in report.problems] == [2]


def test_image_with_calibration_is_well(butler):
    certify(butler, put_dark(butler))
    certify_others(butler)
    assert check_repository(butler).ok


def test_detectors_that_a_type_has_no_dataset_of_are_found(butler):
    certify(butler, put_dark(butler, 3))
    certify(butler, put_dark(butler, 4))
    report = check_repository(butler)
    messages = found(report, Kind.NO_CALIBRATION)
    assert [message.partition(":")[0] for message in messages] == ["dark D1", "dark D2", "dark D5", "dark D6"]
    assert messages[0].startswith("dark D1: 2 images from 2025-12-18")
    assert messages[0].endswith("there is no dataset for it, only for D3, D4.")
    assert kinds(report) == {Kind.NO_CALIBRATION}


def test_dichroic_is_of_two_detectors_only(butler):
    run = "spx/base-2025-158"
    butler.collections.register(run)
    dark = butler.get(put_dark(butler, 3, "u/me/dark"))
    certify(butler, butler.put(dark, "dichroic", instrument="SPHEREx", detector=3, run=run))
    (message,) = found(check_repository(butler), Kind.NO_CALIBRATION)
    assert message.startswith("dichroic D4: 2 images")


def test_images_outside_the_ranges_are_told_apart(butler):
    first, second = timespans(butler)
    certify(butler, put_dark(butler), Timespan(first.end, second.begin))
    certify_others(butler)
    messages = found(check_repository(butler), Kind.NO_CALIBRATION)
    assert "1 image from" in messages[0]
    assert "of exposure 20255110106842: the first validity range begins 2025-12-18T05:11:29" in messages[0]
    assert "of exposure 20255110106843: the last validity range ends 2025-12-18T05:11:43" in messages[1]


def test_image_in_a_gap_is_a_problem(butler):
    first, second = timespans(butler)
    certify(butler, put_dark(butler), Timespan(None, first.begin))
    certify(butler, put_dark(butler, run="spx/cal-drk-v5-2026-001"), Timespan(second.begin, None))
    certify_others(butler)
    report = check_repository(butler)
    assert found(report, Kind.NO_CALIBRATION)[0].count("nothing is valid from 2025-12-18T05:09:34") == 1
    assert "dark D3: nothing is valid from" in found(report, Kind.RANGE_GAP)[0]


def test_gap_without_images_is_a_note(butler):
    first, _ = timespans(butler)
    dark = put_dark(butler)
    certify(butler, dark, Timespan(None, first.begin - 10 * u.day))
    certify(butler, dark, Timespan(first.begin - 5 * u.day, None))
    certify_others(butler)
    report = check_repository(butler)
    assert report.ok
    assert "nothing is valid from 2025-12-08" in found(report, Kind.RANGE_GAP)[0]


def test_ranges_that_meet_leave_no_gap(butler):
    first, _ = timespans(butler)
    certify(butler, put_dark(butler), Timespan(None, first.end))
    certify(butler, put_dark(butler, run="spx/cal-drk-v5-2026-001"), Timespan(first.end, None))
    certify_others(butler)
    report = check_repository(butler)
    assert (report.ok, found(report, Kind.RANGE_GAP)) == (True, [])


def test_bound_inside_an_exposure_is_found(butler):
    _, second = timespans(butler)
    bound = second.begin + (second.end - second.begin) / 2
    certify(butler, put_dark(butler), Timespan(None, bound))
    certify(butler, put_dark(butler, run="spx/cal-drk-v5-2026-001"), Timespan(bound, None))
    (message,) = found(check_repository(butler), Kind.RANGE_BOUND)
    assert message.startswith("dark D3: two calibrations in SPHEREx/calib, cal-drk-v4-2025-161 (until 2025-12-18T05:12")
    assert "cal-drk-v5-2026-001 (from 2025-12-18T05:12:41" in message
    assert "are valid in the exposure of 1 image from" in message
    assert "exposure 20255110106843" in message
    with pytest.raises(CalibrationLookupError, match="Ambiguous calibration"):
        look_up(butler, second)


def look_up(butler: Butler, timespan: Timespan):
    return butler.find_dataset(
        "dark", instrument="SPHEREx", detector=3, collections="SPHEREx/defaults", timespan=timespan
    )


def test_two_ranges_of_one_calibration_in_an_exposure_are_found(butler):
    _, second = timespans(butler)
    bound, dark = second.begin + (second.end - second.begin) / 2, put_dark(butler)
    certify(butler, dark, Timespan(None, bound))
    certify(butler, dark, Timespan(bound, None))
    (message,) = found(check_repository(butler), Kind.RANGE_BOUND)
    assert message.startswith("dark D3: two ranges of one calibration in SPHEREx/calib, cal-drk-v4-2025-161 (until ")
    with pytest.raises(CalibrationLookupError, match="Ambiguous calibration"):
        look_up(butler, second)


def test_exposure_over_the_end_of_the_last_range_has_its_calibration(butler):
    _, second = timespans(butler)
    dark = put_dark(butler)
    certify(butler, dark, Timespan(None, second.begin + (second.end - second.begin) / 2))
    certify_others(butler)
    assert check_repository(butler).ok
    assert look_up(butler, second).id == dark.id


def test_bound_in_a_collection_that_another_hides_is_none(butler):
    _, second = timespans(butler)
    bound, dark = second.begin + (second.end - second.begin) / 2, put_dark(butler, run="u/me/dark")
    butler.collections.register("u/me/calib", CollectionType.CALIBRATION)
    butler.collections.prepend_chain("SPHEREx/defaults", "u/me/calib")
    certify(butler, dark, second, collection="u/me/calib")
    certify(butler, put_dark(butler), Timespan(None, bound))
    certify(butler, put_dark(butler, run="spx/cal-drk-v5-2026-001"), Timespan(bound, None))
    certify_others(butler)
    assert found(check_repository(butler), Kind.RANGE_BOUND) == []
    assert look_up(butler, second).id == dark.id


def test_calibration_for_all_detectors_is_looked_up_for_all(butler):
    run = "spx/base-2025-158"
    butler.collections.register(run)
    butler.put({"D1": [1.0]}, "gain_factors", instrument="SPHEREx", run=run)
    assert found(check_repository(butler), Kind.NO_CALIBRATION)[0].startswith("gain_factors: 12 images from")


def test_calibrations_of_another_release_are_only_noted(butler):
    run = "spx/cal-epsf-v1-2026-191"  # of qr3, which these images are not
    butler.collections.register(run)
    butler.put(_hdus(), "epsf", instrument="SPHEREx", detector=3, run=run)
    report = check_repository(butler)
    assert report.ok
    messages = found(report, Kind.NO_CALIBRATION)
    assert messages[0].endswith("there is no dataset for it, only for D3; there are some of qr3 only.")
    assert messages[2].endswith("certified; there are some of qr3 only.")


def _hdus():
    from astropy.io import fits

    return fits.HDUList([fits.PrimaryHDU()])


def test_overlap_in_one_collection_is_a_problem(butler):
    first, second = timespans(butler)
    certify(butler, put_dark(butler), Timespan(None, first.end))
    certify(butler, put_dark(butler, run="spx/cal-drk-v5-2026-001"), Timespan(first.end, None))
    table = butler._registry._managers.datasets._find_storage("dark").dynamic_tables.calibs_name
    begin, _ = second.nsec
    damage(butler, f"UPDATE {table} SET timespan_end = {begin} WHERE timespan_begin = {ALWAYS.nsec[0]}")
    (message,) = found(check_repository(butler), Kind.RANGE_OVERLAP)
    assert message.startswith("dark D3: cal-drk-v4-2025-161 (until ")
    assert message.endswith("overlap in SPHEREx/calib.")


def test_calibration_hidden_by_another_collection_is_noted(butler):
    butler.collections.register("u/me/calib", CollectionType.CALIBRATION)
    butler.collections.prepend_chain("SPHEREx/defaults", "u/me/calib")
    certify(butler, put_dark(butler))
    certify(butler, put_dark(butler, run="u/me/dark"), collection="u/me/calib")
    certify_others(butler)
    report = check_repository(butler)
    (message,) = found(report, Kind.RANGE_OVERLAP)
    assert message == ("dark D3: u/me/dark (always) in u/me/calib hides cal-drk-v4-2025-161 (always) in SPHEREx/calib.")
    assert kinds(report) == set()


def test_calibration_type_of_other_dimensions_is_noted(butler):
    kind = DatasetType("skyflat", ["instrument", "channel"], "CCDData", universe=butler.dimensions, isCalibration=True)
    butler.registry.registerDatasetType(kind)
    (message,) = found(check_repository(butler), Kind.NOT_CHECKED)
    assert message.startswith("skyflat: have other dimensions than instrument and detector")


# Regions and exposures.


def test_image_without_region_row_is_found(butler):
    lose_regions(butler, "detector = 3")
    report = check_repository(butler)
    assert found(report, Kind.REGION_MISSING) == [
        "2025W51_1A: 2 images without region row, the first exposure 20255110106842 detector 3."
    ]
    assert report.checked["images"] == 12


def test_image_off_the_sky_is_noted(butler):
    damage(butler, "UPDATE exposure_detector_region SET region = NULL WHERE detector = 4")
    report = check_repository(butler)
    assert report.ok
    assert found(report, Kind.REGION_NULL)[0].startswith("2025W51_1A: 2 images without region")


def test_exposure_without_time_is_found(butler):
    damage(butler, "UPDATE exposure SET timespan_begin = NULL, timespan_end = NULL WHERE id = 20255110106843")
    certify(butler, put_dark(butler))
    certify_others(butler)
    report = check_repository(butler)
    assert found(report, Kind.TIMESPAN_MISSING) == [
        "2025W51_1A: 1 exposure without timespan, the first 20255110106843: their images find no calibrations."
    ]
    assert kinds(report) == {Kind.TIMESPAN_MISSING}


# Files.


def test_missing_file_is_found(butler):
    (ref, *_) = images(butler)
    path_of(butler, ref).unlink()
    report = check_repository(butler)
    assert found(report, Kind.FILE_MISSING) == [
        f"level2 detector=1 exposure=20255110106842 in {RUN} ({ref.id}): {path_of(butler, ref)} is not there."
    ]


def test_file_whose_folder_became_a_file_is_missing(butler):
    folder = path_of(butler, images(butler)[0]).parent
    shutil.rmtree(folder)
    folder.write_text("")
    assert len(found(check_repository(butler), Kind.FILE_MISSING)) == 2


def test_folder_in_the_place_of_a_file_is_found(butler):
    path = path_of(butler, images(butler)[0])
    path.unlink()
    path.mkdir()
    (message,) = found(check_repository(butler), Kind.FILE_MISSING)
    assert message.endswith(f"{path} is a folder; expected a file.")


def test_what_is_no_file_in_the_place_of_one_is_found(butler):
    path = path_of(butler, images(butler)[0])
    path.unlink()
    os.mkfifo(path)
    (message,) = found(check_repository(butler), Kind.FILE_MISSING)
    assert message.endswith(f"{path} is something else; expected a file.")


def test_file_of_another_size_is_found(butler):
    path = path_of(butler, images(butler)[0])
    size = path.stat().st_size
    path.write_bytes(b"x")
    (message,) = found(check_repository(butler), Kind.FILE_SIZE)
    assert f"has 1 bytes; {size} are on record" in message


def test_file_that_cannot_be_looked_at_is_found(butler):
    path = path_of(butler, images(butler)[0])
    path.unlink()
    path.symlink_to(path)
    (message,) = found(check_repository(butler), Kind.FILE_UNREADABLE)
    assert "OSError: " in message
    assert "Too many levels of symbolic links" in message


@pytest.fixture
def checksums(archive, tmp_path) -> Iterator[Butler]:
    """Return a repository that records checksums."""
    copy_repo(tmp_path / "repo")
    config = Config(str(tmp_path / "repo" / "butler.yaml"))
    config["datastore", "checksum"] = True
    config.dumpToUri(ResourcePath(tmp_path / "repo" / "butler.yaml"))
    with Butler.from_config(tmp_path / "repo", writeable=True, collections="SPHEREx/defaults") as butler:
        butler.collections.register(RUN)
        ensure_run(butler, parse_product_name(archive[0].name), "qr2")
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


def test_checksum_that_cannot_be_read_is_found(checksums, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError("Not allowed to read this")  # permissions do not stop root

    monkeypatch.setattr(repository_files, "file_checksum", refuse)
    messages = found(check_repository(checksums, checksum=True), Kind.FILE_UNREADABLE)
    assert len(messages) == 2
    assert messages[0].endswith("PermissionError: Not allowed to read this")


def test_files_without_checksum_are_counted(butler):
    (message,) = found(check_repository(butler, checksum=True), Kind.NOT_CHECKED)
    assert message == "checksums: 12 files have no checksum on record; their sizes were compared."


def test_names_that_a_uri_would_escape_are_looked_up(archive, tmp_path):
    folder = tmp_path / "a %23 b"
    folder.mkdir()
    with new_repo() as other:
        ingest_files(other, shutil.copy(archive[0], folder), transfer="direct")
        report = check_repository(other)
    assert (report.ok, report.checked["files"]) == (True, 1)


def test_dataset_without_file_and_file_without_dataset_are_found(butler):
    (ref, *_) = images(butler)
    damage(butler, f"DELETE FROM dataset_location WHERE dataset_id = '{hex_of(ref)}'")
    report = check_repository(butler)
    assert found(report, Kind.NOT_STORED) == [
        f"level2 detector=1 exposure=20255110106842 in {RUN} ({ref.id}): is registered, but no file is on record."
    ]
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
    report = check_repository(butler)
    assert kinds(report) == {Kind.NO_DATASET}
    butler._datastore.emptyTrash()  # as the report advises
    assert check_repository(butler).ok


def test_part_of_a_killed_copy_is_found_a_day_later(butler, monkeypatch):
    part = path_of(butler, images(butler)[0]).with_name(f".{'0' * 31}a.part")
    part.write_text("half")
    assert check_repository(butler).ok
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * 86400)
    assert [message.partition(": ")[0] for message in found(check_repository(butler), Kind.STALE_PART)] == [str(part)]


def test_part_that_is_being_written_is_none(butler, monkeypatch):
    part = path_of(butler, images(butler)[0]).with_name(f".{'0' * 32}.part")
    part.write_text("half")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * 86400)
    with part.open("ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert check_repository(butler).ok
    assert not check_repository(butler).ok


def test_age_decides_where_there_are_no_locks(butler, monkeypatch):
    part = path_of(butler, images(butler)[0]).with_name(f".{'0' * 32}.part")
    part.write_text("half")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert not is_stale(part)
    assert is_stale(part, age=-1)


def test_part_that_cannot_be_looked_at_is_noted(butler, monkeypatch):
    part = path_of(butler, images(butler)[0]).with_name(f".{'0' * 32}.part")
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


def test_what_is_no_file_is_no_part(butler, monkeypatch):
    os.mkfifo(path_of(butler, images(butler)[0]).with_name(f".{'0' * 32}.part"))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * 86400)
    assert check_repository(butler).ok  # without waiting for a writer


def test_other_hidden_files_are_no_parts(butler, monkeypatch):
    path_of(butler, images(butler)[0]).with_name(".mine.part").write_text("")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * 86400)
    assert check_repository(butler).ok


# Remote files.


@pytest.fixture
def remote(archive) -> Iterator[tuple[Butler, object]]:
    """Return a repository of images on a web server, and that server."""
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


def test_remote_files_are_not_asked_for_but_counted(remote):
    butler, served, _ = remote
    report = check_repository(butler)
    assert (report.ok, served.requests) == (True, [])
    assert found(report, Kind.NOT_CHECKED) == [f"{served.url}: 12 files there were not checked; --remote does that."]


def test_remote_files_are_asked_for_a_few_at_a_time(remote):
    butler, served, most = remote
    report = check_repository(butler, remote=3)
    assert report.ok
    assert found(report, Kind.NOT_CHECKED) == []
    assert len({path for _, path, *_ in served.requests}) == 12
    assert {method for method, *_ in served.requests} <= {"HEAD", "OPTIONS"}
    assert 1 < most[0] <= 3


def test_remote_file_that_is_gone_is_found(remote):
    butler, *_ = remote
    (ref,) = images(butler, detector=3, exposure=20255110106842)
    damage(butler, f"UPDATE file_datastore_records SET path = path || 'x' WHERE dataset_id = '{hex_of(ref)}'")
    (message,) = found(check_repository(butler, remote=2), Kind.FILE_MISSING)
    assert message.endswith("l2b-v21-2025-354.fitsx is not there.")


def test_remote_file_that_cannot_be_asked_for_is_found(remote):
    butler, *_ = remote
    (ref,) = images(butler, detector=3, exposure=20255110106842)
    damage(butler, f"UPDATE file_datastore_records SET path = 'gopher://host/x' WHERE dataset_id = '{hex_of(ref)}'")
    (message,) = found(check_repository(butler, remote=2), Kind.FILE_UNREADABLE)
    assert "gopher://host/x: NotImplementedError: " in message


# Chains.


def test_run_in_no_chain_is_found(butler):
    butler.collections.register("spx/l2b_retry-v27-2026-223")
    butler.collections.register("spx/mine")
    butler.collections.register("spx/cal-drk-v4-2025-161")
    assert found(check_repository(butler), Kind.RUN_UNCHAINED) == [
        "spx/l2b_retry-v27-2026-223: is in no release's chain, so that searches do not find its images."
    ]


def test_chain_out_of_order_is_found(butler):
    for token in ("l2b-v20-2025-240", "l2b-v21-2025-360"):
        ensure_run(butler, parse_product_name(f"level2_2025W51_1A_0684_2D3_spx_{token}.fits"), "qr2")
    butler.collections.prepend_chain("SPHEREx/qr2", "spx/l2b-v20-2025-240")
    assert found(check_repository(butler), Kind.CHAIN_ORDER) == [
        "SPHEREx/qr2: has spx/l2b-v20-2025-240 where spx/l2b-v21-2025-360 is expected, newest first."
    ]


def test_defaults_without_a_release_are_found(butler):
    butler.collections.redefine_chain("SPHEREx/defaults", [])
    assert found(check_repository(butler), Kind.CHAIN_INCOMPLETE) == [
        "SPHEREx/defaults: lacks SPHEREx/qr2, SPHEREx/calib; it has no members."
    ]


def test_collection_of_another_type_is_found(butler):
    butler.collections.register("SPHEREx/qr3", CollectionType.TAGGED)
    assert found(check_repository(butler), Kind.COLLECTION_TYPE) == [
        "SPHEREx/qr3: is of type TAGGED; expected CHAINED."
    ]


# The report, and what it costs.


def test_findings_beyond_the_limit_are_counted(butler):
    for ref in images(butler):
        path_of(butler, ref).unlink()
    report = check_repository(butler, limit=5)
    assert len(found(report, Kind.FILE_MISSING)) == 5
    assert report.unlisted == {Kind.FILE_MISSING: 7}
    assert "file missing: 7 more like these" in report.lines()


def test_limit_of_zero_is_no_clean_bill(butler):
    path_of(butler, images(butler)[0]).unlink()
    report = check_repository(butler, limit=0)
    assert not report.ok
    assert report.lines()[-1].endswith("checked; 1 with problems")
    assert "to do: file missing: bring the file back" in str(report)


def test_notes_beyond_the_limit_are_no_problems(butler):
    damage(butler, "UPDATE exposure_detector_region SET region = NULL WHERE detector = 4")
    report = check_repository(butler, limit=0)
    assert report.ok
    assert (report.unlisted, report.unlisted_notes[Kind.REGION_NULL]) == ({}, 2)
    assert "note: off the sky: 2 more like these" in report.lines()
    assert report.lines()[-1].endswith("checked; no problems")
    assert report.to_dict()["unlisted_notes"]["region_null"] == 2


def test_notes_take_no_place_of_problems(butler):
    butler.put(_hdus(), "epsf", instrument="SPHEREx", detector=3, run=_registered(butler, "spx/cal-epsf-v1-2026-191"))
    butler.put({"D1": [1.0]}, "gain_factors", instrument="SPHEREx", run=_registered(butler, "spx/base-2025-158"))
    report = check_repository(butler, limit=1)
    assert [finding.subject for finding in report.problems] == ["gain_factors"]


def _registered(butler: Butler, run: str) -> str:
    butler.collections.register(run)
    return run


def test_report_is_what_json_can_hold(butler):
    lose_regions(butler, "detector = 3")
    data = json.loads(json.dumps(check_repository(butler).to_dict()))
    assert (data["ok"], data["checked"]["images"]) == (False, 12)
    assert data["findings"][0] == {
        "kind": "region_missing",
        "subject": "2025W51_1A",
        "message": "2 images without region row, the first exposure 20255110106842 detector 3.",
        "count": 2,
        "problem": True,
    }


def test_report_says_what_to_do(butler):
    path_of(butler, images(butler)[0]).unlink()
    text = str(check_repository(butler))
    assert "to do: file missing: bring the file back to its place" in text
    assert text.endswith("12 images, 12 datasets, 12 files checked; 1 with problems")


@pytest.mark.parametrize("option", ["remote", "limit"])
def test_negative_numbers_are_refused(butler, option):
    with pytest.raises(ParameterError, match=f"{option}=-1 is negative; expected 0 or more"):
        check_repository(butler, **{option: -1})


def test_repository_of_another_universe_is_refused(tmp_path):
    Butler.makeRepo(str(tmp_path / "rubin"))
    with (
        Butler.from_config(str(tmp_path / "rubin")) as other,
        pytest.raises(ConfigurationError, match=r"expected the SPHEREx universe"),
    ):
        check_repository(other)


def test_repository_without_files_has_none_to_look_up(tmp_path):
    copy_repo(tmp_path / "repo")
    config = Config(str(tmp_path / "repo" / "butler.yaml"))
    config["datastore", "cls"] = "lsst.daf.butler.datastores.inMemoryDatastore.InMemoryDatastore"
    config.dumpToUri(ResourcePath(tmp_path / "repo" / "butler.yaml"))
    with (
        Butler.from_config(tmp_path / "repo") as memory,
        pytest.raises(ConfigurationError, match=r"DirectButler with the datastore InMemoryDatastore; expected one"),
    ):
        stored_files(memory, [])


def test_number_of_queries_does_not_depend_on_the_number_of_images(archive):
    assert _queries(archive[:6]) == _queries(archive)


def _queries(files: list[Path]) -> int:
    with new_repo() as butler:
        ingest_files(butler, files, transfer="direct")
        certify(butler, put_dark(butler), ALWAYS)
        count = [0]
        engine = butler._registry._db._engine

        def note(*_: object) -> None:
            count[0] += 1

        sqlalchemy.event.listen(engine, "before_cursor_execute", note)
        check_repository(butler)
        sqlalchemy.event.remove(engine, "before_cursor_execute", note)
        return count[0]


def test_images_of_a_planning_period_are_found_through_an_index(butler):
    """Without, each of the mission's hundreds of planning periods would cost a look at all of its images."""
    engine, plans = butler._registry._db._engine, []

    def explain(connection, _, statement: str, parameters, *__: object) -> None:
        if statement.startswith("SELECT") and ("level2_tags" in statement or "region.region" in statement):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append("\n".join(row[3] for row in plan))

    sqlalchemy.event.listen(engine, "before_cursor_execute", explain)
    check_repository(butler)
    sqlalchemy.event.remove(engine, "before_cursor_execute", explain)
    assert len(plans) == 3
    assert all("detector=? AND exposure>? AND exposure<?" in plan for plan in plans)
