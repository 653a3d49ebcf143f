"""Export: images, all their dimension records and their calibrations, into another repository."""

from __future__ import annotations

import gzip
import re
import shutil
import time
from pathlib import Path

import pytest
from damage import (
    ALWAYS,
    DARK_RUN,
    certify,
    damage,
    dimension_records,
    hex_of,
    images,
    lose_regions,
    path_of,
    problems,
    put_dark,
    timespans,
)
from forked import Script, start_script
from http_server import serve
from lsst.daf.butler import (
    Butler,
    CollectionType,
    DataCoordinate,
    DatasetRef,
    DatasetType,
    FileDataset,
    Timespan,
)
from made_once import copy_repo, new_repo, open_repo
from one_bad_item import ERRORS, in_placing, in_registration

from spherex_butler import make_repo
from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.export import export_images
from spherex_butler.ingest import ingest_files
from spherex_butler.testing import write_exposures
from spherex_butler.testing.repository import temporary_repo
from spherex_butler.verify import check_repository

EXPOSURES = (20255110106842, 20255110106843)
NEWER_RUN = "spx/cal-drk-v5-2026-001"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two exposures of six detectors."""
    return write_exposures(tmp_path_factory.mktemp("archive"), exposures=2, size=16)


@pytest.fixture(scope="module")
def filled(archive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with the first exposure on disk, and the second referred to, and darks."""
    root = copy_repo(tmp_path_factory.mktemp("filled") / "repo")
    with open_repo(root) as butler:
        ingest_files(butler, archive[:6], transfer="copy")
        ingest_files(butler, archive[6:], transfer="direct")
        first, _ = timespans(butler)
        certify(butler, put_dark(butler, 3), Timespan(None, first.end))
        certify(butler, put_dark(butler, 3, NEWER_RUN), Timespan(first.end, None))
        certify(butler, put_dark(butler, 4))
    return root


def calibration(butler: Butler, exposure: int, detector: int):
    data_id = {"instrument": "SPHEREx", "exposure": exposure, "detector": detector}
    timespan = butler.query_dimension_records("exposure", instrument="SPHEREx", exposure=exposure)[0].timespan
    return butler.find_dataset("dark", data_id, collections="SPHEREx/defaults", timespan=timespan)


def decertify(butler: Butler, detector: int, timespan: Timespan = ALWAYS) -> None:
    data_id = {"instrument": "SPHEREx", "detector": detector}
    butler.registry.decertify("SPHEREx/calib", "dark", timespan, dataIds=[data_id])


def certify_mine(butler: Butler) -> DatasetRef:
    """Return a dark that is certified in a collection which is searched before all others."""
    butler.collections.register("u/me/calib", CollectionType.CALIBRATION)
    butler.collections.prepend_chain("SPHEREx/defaults", "u/me/calib")
    mine = put_dark(butler, 3, "u/me/dark")
    certify(butler, mine, collection="u/me/calib")
    return mine


def reprocessed(butler: Butler, path: Path, token: str, folder: Path) -> None:
    """Ingest a file once more, as of another processing."""
    again = folder / path.name.replace("v21-2025-354", token)
    again.write_bytes(path.read_bytes())
    ingest_files(butler, again, transfer="copy")


# What is exported.


def test_everything_of_the_images_is_exported(source, target):
    report = export_images(source, target)
    assert (report.images, report.calibrations, report.certified, report.failed) == (12, 3, 3, [])
    assert {ref.id for ref in images(target)} == {ref.id for ref in images(source)}
    assert problems(target) == problems(source)
    for ref in images(target):
        assert target.get(ref).shape == (16, 16)


@pytest.mark.parametrize("element", ["planning_period", "group", "exposure", "exposure_detector_region"])
def test_dimension_records_are_the_same(source, target, element):
    export_images(source, target)
    wanted = dimension_records(source, element)
    assert len(wanted) > 0
    assert [record for record in dimension_records(target, element) if record not in wanted] == []
    assert len(dimension_records(target, element)) == len(wanted)


def test_images_are_found_on_the_sky(source, target):
    export_images(source, target)
    with source.query() as query:
        pixel = next(iter(query.data_ids(["exposure", "detector", "healpix4"]).where(instrument="SPHEREx", detector=3)))
    where = f"healpix4 = {pixel['healpix4']}"
    found = {ref.id for ref in target.query_datasets("level2", where=where)}
    assert found == {ref.id for ref in source.query_datasets("level2", where=where)}


def test_calibration_look_ups_give_the_same_datasets(source, target):
    export_images(source, target)
    for exposure in EXPOSURES:
        for detector in (1, 3, 4):
            ours, theirs = calibration(target, exposure, detector), calibration(source, exposure, detector)
            assert (ours and ours.id) == (theirs and theirs.id)
    assert calibration(target, EXPOSURES[0], 3).run != calibration(target, EXPOSURES[1], 3).run
    assert target.get("dark", instrument="SPHEREx", exposure=EXPOSURES[0], detector=3).shape == (4, 4)


def test_runs_are_in_order_in_their_chains(source, target, archive, tmp_path):
    for token in ("v20-2025-240", "v27-2026-222"):
        reprocessed(source, archive[0], token, tmp_path)
    assert export_images(source, target, find_first=False).images == 14
    for chain in ("SPHEREx/qr2", "SPHEREx/qr3", "SPHEREx/defaults"):
        assert target.collections.get_info(chain).children == source.collections.get_info(chain).children


def test_only_the_latest_processing_comes_along(source, target, archive, tmp_path):
    reprocessed(source, archive[0], "v20-2025-240", tmp_path)
    assert export_images(source, target).images == 12
    assert "spx/l2b-v20-2025-240" not in target.collections.query("*")


def test_run_of_no_chain_stays_in_none(source, target):
    source.collections.remove_from_chain("SPHEREx/qr2", "spx/l2b-v21-2025-354")
    assert export_images(source, target, collections="spx/l2b-v21-2025-354").images == 12
    assert target.collections.get_info("SPHEREx/defaults").children == ("SPHEREx/calib",)


def test_documentation_of_runs_is_kept(source, target):
    source.registry.setCollectionDocumentation("spx/l2b-v21-2025-354", "As delivered.")
    export_images(source, target)
    assert target.collections.get_info("spx/l2b-v21-2025-354").doc == "As delivered."


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"where": "detector IN (1, 2) AND exposure.small_slew = 2"}, 2),
        ({"detector": 3}, 2),
        ({"planning_period": "2025W51_1A", "exposure": EXPOSURES[0]}, 6),
        ({"where": "exposure.target_name = 'nobody'"}, 0),
    ],
)
def test_images_are_chosen(source, target, arguments, expected):
    assert export_images(source, target, **arguments).images == expected
    assert len(images(target)) == expected if expected else "spx/l2b-v21-2025-354" not in target.collections.query("*")


def test_only_the_calibrations_of_the_images_come_along(source, target):
    report = export_images(source, target, exposure=EXPOSURES[0], detector=3)
    assert (report.images, report.calibrations, report.certified) == (1, 1, 1)
    associations = list(target.registry.queryDatasetAssociations("dark", ["SPHEREx/calib"]))
    assert [(found.ref.run, found.timespan.begin) for found in associations] == [(DARK_RUN, None)]


def test_calibrations_for_all_detectors_come_along(source, target):
    run = "spx/base-2025-158"
    source.collections.register(run)
    gains = source.put({"D1": [1.0]}, "gain_factors", instrument="SPHEREx", run=run)
    certify(source, gains)
    export_images(source, target, detector=6)
    assert target.get(gains) == {"D1": [1.0]}


def test_collections_of_calibrations_are_searched_in_the_same_order(source, target):
    mine = certify_mine(source)
    export_images(source, target)
    assert calibration(source, EXPOSURES[0], 3).id == mine.id
    assert calibration(target, EXPOSURES[0], 3).id == mine.id


def test_calibration_types_of_ones_own_come_along(source, target):
    kind = DatasetType("flat", ["instrument", "detector"], "CCDData", universe=source.dimensions, isCalibration=True)
    source.registry.registerDatasetType(kind)
    source.collections.register("u/me/flats")
    dark = source.get(put_dark(source, 5, "u/me/flats"))
    certify(source, source.put(dark, kind, instrument="SPHEREx", detector=5, run="u/me/flats"))
    export_images(source, target)
    assert target.get_dataset_type("flat") == kind
    assert target.get("flat", instrument="SPHEREx", exposure=EXPOSURES[0], detector=5).shape == (4, 4)


def test_collections_of_the_targets_user_keep_their_place(source, target):
    for name in ("u/you/reprocessed", "u/you/calib"):
        target.collections.register(name, CollectionType.CALIBRATION)
    target.collections.redefine_chain("SPHEREx/defaults", ["u/you/reprocessed", "u/you/calib", "SPHEREx/calib"])
    certify_mine(source)
    export_images(source, target)
    assert target.collections.get_info("SPHEREx/defaults").children == (
        "u/you/reprocessed",
        "u/you/calib",
        "u/me/calib",
        "SPHEREx/qr2",
        "SPHEREx/calib",
    )


def test_image_without_region_row_comes_along(source, target):
    lose_regions(source, "detector = 3")
    assert export_images(source, target).images == 12
    assert len(dimension_records(target, "exposure_detector_region")) == 10


def test_records_of_the_target_stay(source, target, archive):
    ingest_files(target, archive[0], transfer="copy")
    damage(target, "UPDATE exposure SET target_name = 'mine'")
    damage(
        target,
        "UPDATE exposure_detector_region SET region = NULL",
        "DELETE FROM exposure_detector_region_skypix_overlap",
    )
    export_images(source, target)
    found = {record["id"]: record["target_name"] for record in dimension_records(target, "exposure")}
    assert found[EXPOSURES[0]] == "mine"
    with target.query() as query:  # dies where a region without pixels has rows for pixels
        ids = query.data_ids(["exposure", "detector", "healpix4"]).where(instrument="SPHEREx", exposure=EXPOSURES[0])
        assert {data_id["detector"] for data_id in ids} == {2, 3, 4, 5, 6}


# Files.


def test_auto_links_what_the_source_keeps_and_leaves_the_rest(source, target):
    export_images(source, target)
    first, second = images(target, detector=3)
    assert path_of(target, first).samefile(path_of(source, first))
    assert path_of(target, first) != path_of(source, first)
    assert target.getURI(second) == source.getURI(second)


@pytest.mark.parametrize("mode", ["copy", "link", "hardlink", "symlink", "relsymlink", "direct"])
def test_files_come_in_as_asked_for(source, target, mode):
    assert export_images(source, target, transfer=mode, detector=3).failed == []
    for ref in images(target):
        ours, theirs = path_of(target, ref), path_of(source, ref)
        inside = ours.is_relative_to(target._datastore.root.ospath)
        assert (inside, ours.read_bytes()) == (mode != "direct", theirs.read_bytes())
        assert ours.samefile(theirs) == (mode != "copy")
        if inside:
            assert ours.name == f"level2_2025W51_1A_0684_{ref.dataId['exposure'] % 10}D3_spx_l2b-v21-2025-354.fits"
    assert check_repository(target).ok


def test_images_on_a_web_server_stay_there_without_a_request(archive, target):
    with new_repo() as source, serve(archive[0].parent) as served:
        ingest_files(source, [f"{served.url}/{path.name}" for path in archive], transfer="direct")
        served.requests.clear()
        assert export_images(source, target).images == 12
        assert served.requests == []
        (ref, _) = images(target, detector=3)
        assert target.get(ref).shape == (16, 16)


def test_images_on_a_web_server_can_be_copied(archive, target):
    with new_repo() as source, serve(archive[0].parent) as served:
        ingest_files(source, f"{served.url}/{archive[0].name}", transfer="direct")
        export_images(source, target, transfer="copy")
    assert path_of(target, images(target)[0]).read_bytes() == archive[0].read_bytes()


def test_compressed_file_outside_of_the_source_keeps_its_extension(source, target, tmp_path):
    run, name = "spx/cal-drk-v5-2026-077", "dark_D6_spx_cal-drk-v5-2026-077.fits.gz"
    plain = path_of(source, put_dark(source, 6)).read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(plain))
    source.collections.register(run)
    data_id = DataCoordinate.standardize(instrument="SPHEREx", detector=6, universe=source.dimensions)
    dark = DatasetRef(source.get_dataset_type("dark"), data_id, run=run)
    source.ingest(FileDataset(str(tmp_path / name), [dark]), transfer="direct")
    certify(source, dark)
    assert export_images(source, target, transfer="copy", detector=6).failed == []
    assert path_of(target, dark).name.endswith(".fits.gz")
    assert target.get("dark", instrument="SPHEREx", exposure=EXPOSURES[0], detector=6).shape == (4, 4)


def test_file_that_is_there_with_other_content_is_not_overwritten(source, target):
    (ref, _) = images(source, detector=3)
    path = Path(target._datastore.root.ospath, path_of(source, ref).relative_to(source._datastore.root.ospath))
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    report = export_images(source, target)
    assert (report.images, len(report.failed)) == (11, 1)
    assert "is there already with other content; nothing was overwritten" in str(report.failed[0])
    assert path.read_text() == "mine"


def test_image_whose_file_is_gone_keeps_no_other_out(source, target):
    path_of(source, images(source)[0]).unlink()
    report = export_images(source, target, transfer="copy").to_dict()
    assert (report["images"], report["calibrations"], report["certified"], len(report["failed"])) == (11, 3, 3, 1)
    assert report["failed"][0]["dataset"].startswith("level2 detector=1")
    assert "is not there; 'butler spherex verify' of the source" in report["failed"][0]["reason"]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2880])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


_DAMAGE = (
    (Path.unlink, " is not there; "),
    (lambda path: (path.unlink(), path.mkdir()), " is not there; "),
    (_cut, r" has \d+ bytes, \d+ are on record; "),
    (lambda path: path.write_bytes(b""), r" has 0 bytes, \d+ are on record; "),
)


@pytest.mark.parametrize("mode", ["auto", "copy", "hardlink", "symlink", "direct"])
@pytest.mark.parametrize("kept", ["copy", "direct"])
def test_damaged_files_keep_no_other_out_and_leave_nothing_in_the_target(archive, tmp_path, target, mode, kept):
    files = [Path(shutil.copy(path, tmp_path)) for path in archive[:6]]
    with new_repo() as butler:
        ingest_files(butler, files, transfer=kept)
        spoilt = [path_of(butler, ref) for ref in images(butler)[: len(_DAMAGE)]]
        for path, (spoil, _) in zip(spoilt, _DAMAGE, strict=True):
            spoil(path)
        report = export_images(butler, target, transfer=mode)
        reasons = sorted(failure.reason for failure in report.failed)
        expected = sorted(f"{path.name}'{reason}" for path, (_, reason) in zip(spoilt, _DAMAGE, strict=True))
        assert len(reasons) == len(expected)
        assert all(re.search(*pair) for pair in zip(expected, reasons, strict=True))
        assert all(reason.endswith("; 'butler spherex verify' of the source says what to do.") for reason in reasons)
        assert (report.images, len(images(target)), check_repository(target).ok) == (2, 2, True)
    root = Path(target._datastore.root.ospath)
    assert not [found for path in spoilt for found in root.rglob(f"*{path.name}*")]


def test_file_of_another_checksum_is_not_copied(source, target):
    image = images(source, detector=3)[0]
    checksum = source._datastore.computeChecksum(source.getURI(image))
    damage(source, f"UPDATE file_datastore_records SET checksum = '{checksum}' WHERE dataset_id = '{hex_of(image)}'")
    _flip(path_of(source, image))
    (failure,) = export_images(source, target, transfer="copy", where="detector = 3").failed
    assert f"{checksum} is on record; 'butler spherex verify' of the source says what to do." in failure.reason
    assert len(images(target)) == 1


def test_file_of_a_web_server_that_changed_is_not_copied(archive, target, tmp_path):
    files = [Path(shutil.copy(path, tmp_path)) for path in archive[:2]]
    with new_repo() as butler, serve(tmp_path) as served:
        ingest_files(butler, [f"{served.url}/{path.name}" for path in files], transfer="direct")
        _cut(files[0])
        report = export_images(butler, target, transfer="copy")
    assert report.images == 1
    assert re.search(r"has \d+ bytes, \d+ are on record", report.failed[0].reason)


def test_image_without_file_on_record_is_reported(source, target):
    (ref, *_) = images(source)
    damage(source, f"DELETE FROM dataset_location WHERE dataset_id = '{hex_of(ref)}'")
    report = export_images(source, target)
    assert report.images == 11
    assert "no file of it is on record in the source; 'butler spherex verify' lists" in report.failed[0].reason


# Again, at once, and interrupted.


def test_second_export_finds_all_there(source, target):
    export_images(source, target)
    before = target.collections.query_info("*", include_chains=True)
    report = export_images(source, target)
    assert (report.images, report.calibrations, report.certified, report.failed) == (0, 0, 0, [])
    assert (report.images_there, report.calibrations_there) == (12, 3)
    assert target.collections.query_info("*", include_chains=True) == before
    assert report.summary.startswith("0 images exported, 12 already there; 0 calibrations exported, 3 already there")


def test_later_export_adds_what_is_new(source, target):
    export_images(source, target, detector=3, exposure=EXPOSURES[0])
    report = export_images(source, target)
    assert (report.images, report.images_there, report.certified, report.failed) == (11, 1, 2, [])


def test_dataset_of_another_id_is_reported_and_stays(source, target):
    (ref,) = images(source, detector=3, exposure=EXPOSURES[0])
    export_images(source, target, exposure=EXPOSURES[1])
    export_images(source, target, exposure=EXPOSURES[0], detector=6)  # with the exposure's record
    (other,) = target.registry.insertDatasets("level2", [dict(ref.dataId.required)], run=ref.run)
    report = export_images(source, target)
    assert (report.images, len(report.failed)) == (4, 1)
    assert report.failed[0].reason.startswith("the target has another dataset of this type and data ID in this run")
    assert images(target, detector=3, exposure=EXPOSURES[0])[0].id == other.id


def test_other_validity_in_the_target_is_reported_and_stays(source, target):
    certify(target, put_dark(target, 3, "u/me/dark"))
    report = export_images(source, target, detector=3)
    assert (report.images, report.calibrations, report.certified) == (2, 2, 0)
    assert "dark D3 in SPHEREx/calib: ConflictingDefinitionError" in str(report.failed[0])
    assert "It is valid until 2025-12-18T05:11:29" in report.failed[0].reason
    assert "decertify what the target has for that time, and export again" in report.failed[0].reason


def validity(butler: Butler, detector: int) -> list[tuple[str, Timespan]]:
    found = butler.registry.queryDatasetAssociations("dark", ["SPHEREx/calib"])
    ours = [(one.ref.run, one.timespan) for one in found if one.ref.dataId["detector"] == detector]
    return sorted(ours, key=lambda item: item[1].nsec)


def test_newer_calibration_of_the_source_takes_the_place_of_an_exported_one(source, target):
    export_images(source, target, detector=4)
    decertify(source, 4)
    certify(source, put_dark(source, 4, NEWER_RUN))
    report = export_images(source, target, detector=4)
    assert (report.calibrations, report.certified, report.failed) == (1, 1, [])
    assert validity(target, 4) == validity(source, 4) == [(NEWER_RUN, ALWAYS)]


def test_newer_calibration_takes_no_more_than_its_time(source, target):
    export_images(source, target, detector=4)
    first, _ = timespans(source)
    later = Timespan(first.end, None)
    decertify(source, 4, later)
    certify(source, put_dark(source, 4, NEWER_RUN), later)
    assert export_images(source, target, detector=4).failed == []
    assert validity(target, 4) == validity(source, 4)
    assert [run for run, _ in validity(target, 4)] == [DARK_RUN, NEWER_RUN]


def test_longer_validity_of_the_same_dataset_is_exported(source, target):
    first, _ = timespans(source)
    later = Timespan(first.end, None)
    decertify(source, 4, later)
    export_images(source, target, detector=4)
    decertify(source, 4)
    certify(source, source.find_dataset("dark", instrument="SPHEREx", detector=4, collections=DARK_RUN))
    assert export_images(source, target, detector=4).failed == []
    assert validity(target, 4) == [(DARK_RUN, ALWAYS)]


def test_wider_validity_of_the_same_dataset_in_the_target_will_do(source, target):
    export_images(source, target, detector=4)
    first, _ = timespans(source)
    source.registry.decertify("SPHEREx/calib", "dark", Timespan(first.end, None))
    assert export_images(source, target, detector=4, exposure=EXPOSURES[0]).failed == []


def test_dry_run_changes_nothing(source, target):
    before = target.collections.query("*")
    with Butler.from_config(target._datastore.root) as reader:
        report = export_images(source, reader, dry_run=True)
    assert (report.images, report.calibrations) == (12, 3)
    assert target.collections.query("*") == before
    assert list(Path(target._datastore.root.ospath).rglob("*.fits")) == []


_EXPORT = """
import sys
from lsst.daf.butler import Butler
from spherex_butler.export import export_images
with Butler.from_config(sys.argv[1]) as source, Butler.from_config(sys.argv[2], writeable=True) as target:
    print(export_images(source, target, transfer="copy", batch_size=3))
"""


def start_export(source: Butler, target: Butler, folder: Path) -> Script:
    roots = (butler._datastore.root.ospath for butler in (source, target))
    return start_script(_EXPORT, *roots, folder=folder)


def test_two_exports_at_once_lose_nothing(source, target, tmp_path):
    scripts = [start_export(source, target, tmp_path / "elsewhere") for _ in range(2)]
    assert [script.wait() for script in scripts] == [0, 0], [script.said for script in scripts]
    assert all("0 failed" in script.output for script in scripts)
    assert problems(target) == problems(source)
    assert [target.get(ref).shape for ref in images(target)] == [(16, 16)] * 12


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
def test_killed_export_is_finished_by_the_next(source, target, tmp_path, delay):
    script = start_export(source, target, tmp_path / "elsewhere")
    while script.runs and not any(Path(target._datastore.root.ospath).glob("spx/**/*.fits")):
        time.sleep(0.01)
    time.sleep(delay)
    script.kill()
    # Of files that are in their places and not yet registered, the second export knows what to do.
    left = {"NO_CALIBRATION", "FILE_UNREFERRED"}
    assert {finding.kind.name for finding in check_repository(target).problems} <= left
    report = export_images(source, target, transfer="copy")
    assert (report.images + report.images_there, report.failed) == (12, [])
    assert problems(target) == problems(source)


# Other repositories.


def test_export_to_postgresql_and_back(source, target, postgres_database, tmp_path):
    with make_repo(tmp_path / "middle", database=postgres_database) as middle:
        assert export_images(source, middle).failed == []
        assert problems(middle) == problems(source)
        assert {calibration(middle, exposure, 3).id for exposure in EXPOSURES} == {
            calibration(source, exposure, 3).id for exposure in EXPOSURES
        }
        assert export_images(middle, target).failed == []
    assert {ref.id for ref in images(target)} == {ref.id for ref in images(source)}
    assert dimension_records(target, "exposure_detector_region") == dimension_records(
        source, "exposure_detector_region"
    )


def test_export_to_a_repository_with_more_dimensions(source, with_mosaics):
    with temporary_repo(dimensions=with_mosaics) as target:
        assert export_images(source, target).failed == []
        assert problems(target) == problems(source)
        assert target.get("dark", instrument="SPHEREx", exposure=EXPOSURES[0], detector=3).shape == (4, 4)


def test_dataset_type_of_other_dimensions_is_refused(source, target):
    target.registry.removeDatasetType("dark")
    kind = DatasetType("dark", ["instrument"], "CCDData", universe=target.dimensions, isCalibration=True)
    target.registry.registerDatasetType(kind)
    with pytest.raises(ConfigurationError, match=r"target's dataset type is DatasetType\('dark'.*expected it as in"):
        export_images(source, target)


def test_read_only_target_is_refused(source, target):
    with (
        Butler.from_config(target._datastore.root) as reader,
        pytest.raises(ConfigurationError, match="The target repository is read-only here; open it with"),
    ):
        export_images(source, reader)


@pytest.mark.parametrize("mode", ["move", "teleport"])
def test_mode_that_would_rob_the_source_is_refused(source, target, mode):
    with pytest.raises(ParameterError, match=rf"not transferred by '{mode}'; expected one of auto, copy, link"):
        export_images(source, target, transfer=mode)


@pytest.mark.parametrize("arguments", [{"collections": "SPHEREx/qr9"}, {"where": "no such = 3"}, {"colour": 3}])
def test_search_that_makes_no_sense_is_refused(source, target, arguments):
    with pytest.raises(ParameterError, match=r"The images.* cannot be searched in SPHEREx/"):
        export_images(source, target, **arguments)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("spoil", [in_placing, in_registration])
def test_image_that_raises_anything_fails_alone(source, target, monkeypatch, spoil, error):
    path = path_of(source, images(source, exposure=20255110106842)[2])
    spoil(monkeypatch, path, error)
    report = export_images(source, target, transfer="hardlink", calibrations=False, exposure=20255110106842)
    (failure,) = report.failed
    assert "detector=3" in failure.dataset
    assert failure.reason == f"{type(error).__name__}: {error}".removesuffix(": ")
    assert report.images == 5
