"""Ingest: what is registered for a file, how files come in, and what becomes of bad ones."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from lsst.daf.butler import Butler
from lsst.sphgeom import LonLat

from spherex_butler.errors import ParameterError
from spherex_butler.ingest import ingest_files, plan_files, preview_ingest
from spherex_butler.testing import write_level2

EXPOSURE = 20255110106842
NAME = "level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits"


def level2(butler: Butler, **data_id: object):
    return butler.query_datasets("level2", collections="SPHEREx/defaults", explain=False, **data_id)


def edited(path: Path, **cards: object) -> Path:
    with fits.open(path, mode="update") as hdus:
        hdus["IMAGE"].header.update(cards)
    return path


def test_every_file_becomes_a_dataset(butler, archive):
    report = ingest_files(butler, archive[0].parent)
    assert (len(report.ingested), report.skipped, report.failed) == (12, [], [])
    assert {ref.run for ref in level2(butler)} == {"spx/l2b-v21-2025-354"}
    assert len(level2(butler)) == 12
    assert report.summary == "12 ingested, 0 already there, 0 failed"


def test_exposure_record_holds_what_the_header_says(butler, files):
    ingest_files(butler, files)
    (record,) = butler.query_dimension_records("exposure")
    assert record.id == EXPOSURE
    assert (record.obs_id, record.group, record.planning_period) == (
        "2025W51_1A_0684_2",
        "2025W51_1A_0684",
        "2025W51_1A",
    )
    assert (record.large_slew, record.small_slew, record.exposure_time) == (684, 2, 113.5826)
    assert (record.target_name, record.science_program) == ("SPS_87514", "all_sky")
    assert record.observation_reason == "survey"
    assert record.timespan.begin.utc.mjd == pytest.approx(61027.214984375, abs=1e-7)  # D1 begins 1 ms before D3
    assert (record.timespan.end - record.timespan.begin).to_value(u.s) == pytest.approx(115.12, abs=0.01)
    assert record.timespan.begin.scale == "tai"


def test_group_and_planning_period_are_registered(butler, archive):
    ingest_files(butler, archive)
    assert [r.name for r in butler.query_dimension_records("planning_period")] == ["2025W51_1A"]
    groups = butler.query_dimension_records("group")
    assert [(r.name, r.planning_period) for r in groups] == [("2025W51_1A_0684", "2025W51_1A")]


def test_region_has_the_corners_of_the_image(butler, files):
    ingest_files(butler, files)
    image = butler.get(level2(butler, detector=3)[0])
    (record,) = butler.query_dimension_records("exposure_detector_region", detector=3)
    vertices = [LonLat(vertex) for vertex in record.region.getVertices()]
    found = SkyCoord([v.getLon().asDegrees() for v in vertices], [v.getLat().asDegrees() for v in vertices], unit="deg")
    assert np.all(image.footprint[:, np.newaxis].separation(found).min(axis=1) < 1e-3 * u.arcsec)


def test_position_on_the_sky_finds_the_images_that_saw_it(butler, files):
    ingest_files(butler, files)
    center = butler.get(level2(butler, detector=3)[0]).footprint.cartesian.mean()
    position = SkyCoord(center, frame="icrs").spherical
    where = f"exposure_detector_region.region OVERLAPS POINT({position.lon.deg}, {position.lat.deg})"
    assert sorted(ref.dataId["detector"] for ref in level2(butler, where=where)) == [3, 6]


def test_first_detector_to_arrive_decides_the_exposure(butler, files):
    for path in reversed(files):
        assert not ingest_files(butler, path).failed
    assert len(butler.query_dimension_records("exposure")) == 1
    assert len(level2(butler)) == 6


def test_second_call_skips_what_is_there(butler, files):
    first = ingest_files(butler, files)
    second = ingest_files(butler, files)
    assert (second.ingested, second.failed) == ([], [])
    assert {ref.id for ref in second.skipped} == {ref.id for ref in first.ingested}


@pytest.mark.parametrize("mode", ["copy", "move", "link", "hardlink", "symlink", "relsymlink", "direct", "auto"])
def test_transfer_mode_brings_the_file_in(butler, files, mode):
    content = files[2].read_bytes()
    (ref,) = ingest_files(butler, files[2], transfer=mode).ingested
    uri = butler.getURI(ref)
    assert uri.basename() == NAME
    assert uri.read() == content
    assert files[2].exists() == (mode != "move")
    inside = uri.relative_to(butler._datastore.root) is not None
    assert inside == (mode != "direct")
    assert Path(uri.ospath).is_symlink() == (mode in {"symlink", "relsymlink"})
    assert mode != "relsymlink" or not Path(uri.ospath).readlink().is_absolute()
    assert (Path(uri.ospath).stat().st_nlink == 2) == (mode in {"link", "hardlink", "auto"})
    assert butler.get(ref).obs_id == "2025W51_1A_0684_2"


def test_file_inside_the_repository_stays_where_it_is(butler, files):
    root = Path(butler._datastore.root.ospath)
    inside = root / "delivered" / files[0].name
    inside.parent.mkdir()
    shutil.move(files[0], inside)
    (ref,) = ingest_files(butler, inside).ingested
    assert Path(butler.getURI(ref).ospath) == inside


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"transfer": "teleport"}, r"no transfer mode 'teleport'; known ones are auto, "),
        ({"batch_size": 0}, "batch_size=0 is not possible; expected a whole number of at least 1"),
        ({"release": "qr9"}, r"no release 'qr9'; known ones are qr1, qr2, qr3"),
        ({"processes": 0}, "processes=0 is not possible"),
    ],
)
@pytest.mark.parametrize("function", [ingest_files, preview_ingest])
def test_option_without_meaning_is_refused(butler, files, function, options, reason):
    with pytest.raises(ParameterError, match=reason):
        function(butler, files, **options)


def test_several_processes_read_the_same(archive):
    alone, _ = plan_files(archive)
    together, failed = plan_files(archive, processes=2)
    assert (together, failed) == (alone, [])


def broken(path: Path) -> dict[str, tuple[Path, str]]:
    """Return files that cannot be ingested, and what must be said of each."""
    folder = path.parent / "broken"
    folder.mkdir()

    def copy(name: str) -> Path:
        return Path(shutil.copy(path, folder / name))

    truncated = copy("level2_2025W51_1A_0684_2D1_spx_l2b-v21-2025-354.fits")
    os.truncate(truncated, path.stat().st_size // 2)
    text = folder / "level2_2025W51_1A_0684_2D2_spx_l2b-v21-2025-354.fits"
    text.write_text("not FITS at all")
    bare = folder / "level2_2025W51_1A_0684_2D6_spx_l2b-v21-2025-354.fits"
    fits.PrimaryHDU().writeto(bare)
    return {
        "truncated": (truncated, "is truncated in HDU"),
        "no FITS": (text, "expected the start of a FITS file"),
        "no image": (bare, "has no HDU 'IMAGE'; it has ['PRIMARY']"),
        "missing": (folder / "level2_2025W51_1A_0684_2D4_spx_l2b-v21-2025-354.fits", "there is no such file"),
        "other name": (copy("image.fits"), "'image.fits' is not the name of a SPHEREx product"),
        "other type": (copy("dark_D3_spx_cal-drk-v4-2025-161.fits"), "is a 'dark'; expected a 'level2' image"),
        "other detector": (
            copy("level2_2025W51_1A_0684_2D5_spx_l2b-v21-2025-354.fits"),
            "The name says 2025W51_1A_0684_2 detector 5, the header 2025W51_1A_0684_2 detector 3",
        ),
        "unknown release": (
            copy("level2_2025W51_1A_0684_2D3_spx_l2b-v15-2025-354.fits"),
            "follows from neither its path nor its token; give release=",
        ),
    }


def test_bad_files_are_reported_and_the_others_go_in(butler, files):
    bad = broken(files[2])
    report = ingest_files(butler, [*files, *(path for path, _ in bad.values())])
    assert len(report.ingested) == 6
    assert len(report.failed) == len(bad)
    reasons = {failure.uri: failure.reason for failure in report.failed}
    for path, reason in bad.values():
        assert reason in reasons[path.as_uri()]
        assert path.name in str(report)


@pytest.mark.parametrize(
    ("card", "value", "reason"),
    [
        ("MJD-BEG", None, "The IMAGE header has no MJD-BEG"),
        ("CTYPE1", "RA---XYZ", "Unrecognized projection code (XYZ in CTYPE1)"),
        ("CRVAL1", 1e300, "CRVAL1 is 1e+300; expected degrees from -360 to 360"),
    ],
)
def test_header_without_sense_keeps_no_other_file_out(butler, files, card, value, reason):
    with fits.open(files[2], mode="update") as hdus:
        header = hdus["IMAGE"].header
        header.update({card: value}) if value is not None else header.remove(card)
    report = ingest_files(butler, files)
    assert (len(report.ingested), [failure.uri for failure in report.failed]) == (5, [files[2].as_uri()])
    assert reason in report.failed[0].reason
    assert "\n" not in report.failed[0].reason


@pytest.mark.parametrize("update_records", [False, True])
def test_same_image_twice_in_one_call_goes_in_once(butler, files, tmp_path, update_records):
    (tmp_path / "again").mkdir()
    copy = shutil.copy(files[0], tmp_path / "again")
    report = ingest_files(butler, [files[0], copy], update_records=update_records)
    assert (len(report.ingested), len(report.skipped), report.updated, report.failed) == (1, 1, [], [])


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"MJD-BEG =", b"MJD-BEG = 609x9.1 / no number".ljust(80)),
        (b"A_ORDER =", b"A_ORDER = 3.5".ljust(80)),
        (b"PC1_1   =", b"PC1_1   = 'north'".ljust(80)),
        (b"CRPIX1  =", b"CRPIX1  = 1E200".ljust(80)),
    ],
)
def test_one_broken_card_keeps_no_other_file_out(butler, files, good, bad):
    content = files[2].read_bytes()
    start = content.index(good)
    files[2].write_bytes(content[:start] + bad + content[start + 80 :])
    report = ingest_files(butler, files)
    assert (len(report.ingested), [failure.uri for failure in report.failed]) == (5, [files[2].as_uri()])


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize(
    ("change", "reason"), [("content", "with other content"), ("size", r"of \d+ bytes instead of \d+")]
)
def test_another_file_for_the_same_image_is_reported(butler, files, calls, change, reason):
    again = files[0].parent / "again"
    again.mkdir()
    other = edited(Path(shutil.copy(files[0], again)), TSAMP=1.5)
    if change == "size":
        other = write_level2(other.parent, detector=1, size=40, overwrite=True)
    paths = [files[0], other]
    reports = [ingest_files(butler, some) for some in ([paths] if calls == 1 else paths)]
    assert [len(report.ingested) for report in reports] == [1, 0][:calls]
    where = "the same image of the same run" if calls == 1 else "the repository has .* for this image and run"
    assert re.search(f"{where}, {reason}", reports[-1].failed[0].reason)
    assert butler.get(level2(butler)[0]).shape == (32, 32)


def test_file_that_stands_there_unregistered_is_not_overwritten(butler, files, unregistered_target):
    target = unregistered_target(files[0])
    target.write_text("precious")
    report = ingest_files(butler, files[0], transfer="copy")
    assert "is there already with other content; nothing was overwritten" in report.failed[0].reason
    assert target.read_text() == "precious"


def test_file_that_was_placed_before_a_kill_is_registered(butler, files, unregistered_target):
    shutil.copy(files[0], unregistered_target(files[0]))
    assert len(ingest_files(butler, files[0], transfer="copy").ingested) == 1


def test_exposure_id_is_computed_and_a_differing_one_warned_of(butler, files, caplog):
    report = ingest_files(butler, edited(files[2], EXPIDN=123))
    assert report.ingested[0].dataId["exposure"] == EXPOSURE
    assert report.warnings[0].endswith(
        "EXPIDN is 123; 202551101068423 was expected from OBSID and DETECTOR, and is used."
    )
    assert report.warnings[0] in caplog.text


def test_image_off_the_sky_has_a_row_without_region(butler, files):
    with fits.open(files[2], mode="update") as hdus:
        for card in ("CTYPE1", "CTYPE2"):
            del hdus["IMAGE"].header[card]
    assert len(ingest_files(butler, files[2]).ingested) == 1
    (record,) = butler.query_dimension_records("exposure_detector_region")
    assert record.region is None


def test_latest_processing_is_found_first(butler, tmp_path):
    tokens = ["l2b-v21-2025-354", "l2b-v20-2025-360", "l2b-v21-2026-001"]
    for token in tokens:
        ingest_files(butler, write_level2(tmp_path, detector=3, size=32, token=token))
    (ref,) = level2(butler)
    assert ref.run == "spx/l2b-v21-2026-001"


@pytest.mark.parametrize(("given", "release"), [(None, "qr3"), ("qr1", "qr1")])
def test_release_comes_from_the_folder_unless_it_is_given(butler, tmp_path, given, release):
    path = write_level2(tmp_path / "qr3" / "level2", detector=3, size=32)
    ingest_files(butler, path, release=given)
    assert butler.collections.get_info(f"SPHEREx/{release}").children == ("spx/l2b-v21-2025-354",)


def test_qr3_files_are_ingested_and_read(butler, tmp_path):
    path = write_level2(tmp_path, release="qr3", size=32)
    (ref,) = ingest_files(butler, path).ingested
    assert ref.run.startswith("spx/l2b-v27-")
    assert "CROSSTALK" in butler.get(ref).flag_definitions
