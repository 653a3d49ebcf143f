"""A repository remembers the distortion of a detector from the first header that is read, and the search uses it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS
from command_line import run
from lsst.daf.butler import Butler, DatasetRef
from made_once import new_repo
from sky_images import make_frame, register_frames, register_tree, sky_of

from spherex_butler import open_repo
from spherex_butler.images.distortion import Distortion
from spherex_butler.ingest import ingest_files
from spherex_butler.names import ObservationId
from spherex_butler.repository.distortions import DISTORTION, RUN, distortion_of, shipped_distortions
from spherex_butler.search import find_images, get_cutouts
from spherex_butler.testing import write_level2

X, Y = (axis.ravel() for axis in np.meshgrid(np.linspace(10, 2029, 9), np.linspace(10, 2029, 9)))
FILE, OTHER = "2025W51_1A_0684_2", "2025W51_1A_0684_3"
"""Observations: of which there is a file, and of which there is none."""


@pytest.fixture
def butler() -> Iterator[Butler]:
    with new_repo() as butler:
        yield butler


def file_of(folder: Path, **options: object) -> Path:
    return write_level2(folder, **{"detector": 1, "obs_id": FILE, "size": 64} | options)


def listed(butler: Butler, folder: Path, **options: object) -> DatasetRef:
    """Return an image that ingest knows from the archive's table, and of which it has read no header."""
    frame = make_frame(detector=1, obs_id=FILE)
    path = file_of(folder / frame.folder, **options)
    assert path.name == frame.file_name
    register_tree(butler, folder, frame)
    (ref,) = butler.query_datasets("level2", "SPHEREx/defaults", explain=False)
    return ref


def changed(path: Path, change) -> Path:
    with fits.open(path, mode="update") as hdus:
        change(hdus["IMAGE"].header)
    return path


def farthest(butler: Butler, detector: int = 1) -> float:
    """Return by how many pixels the search is wrong over the frame of an image that was never read."""
    found = positions_found(butler, detector)
    if not len(found):
        register_frames(butler, make_frame(detector=detector, obs_id=OTHER))
        found = positions_found(butler, detector)
    assert len(found) == len(X)
    return float(np.hypot(found["x"].value - X[found["source"]], found["y"].value - Y[found["source"]]).max())


def positions_found(butler: Butler, detector: int = 1) -> QTable:
    frame = make_frame(detector=detector, obs_id=OTHER)
    exposure = ObservationId.parse(OTHER).exposure_id
    return find_images(butler, sky_of(frame, X, Y), exposures=exposure, detectors=detector)


def stored(butler: Butler) -> list[int]:
    if not butler.collections.query("SPHEREx/dist*"):
        return []
    return sorted(ref.dataId["detector"] for ref in butler.query_datasets(DISTORTION, RUN, explain=False))


def test_ingest_of_a_file_makes_the_search_exact(butler, tmp_path):
    assert 2 < farthest(butler) < 8
    ingest_files(butler, [file_of(tmp_path)], transfer="copy")
    assert farthest(butler) < 0.01
    assert stored(butler) == [1]
    found = positions_found(butler)
    wavelength, bandwidth = make_frame(detector=1, obs_id=OTHER).wavelengths.at(X[found["source"]], Y[found["source"]])
    assert np.abs(found["wavelength"].to_value(u.um) - wavelength).max() < bandwidth.min() / 100


def test_repository_keeps_it(butler, tmp_path):
    root = butler._config.configDir
    ingest_files(butler, [file_of(tmp_path)], transfer="copy")
    with open_repo(root) as again:
        assert farthest_known(again) < 0.01


def farthest_known(butler: Butler) -> float:
    """Return by how many pixels two distortions differ: what is known of detector 1, and the file's."""
    found, expected = distortion_of(butler, 1), shipped_distortions()[3]  # of which simulated headers are copies
    assert found is not None
    moved = [np.array(one.removed(X, Y)) for one in (found, expected)]
    return float(np.abs(moved[0] - moved[1]).max())


def test_each_detector_has_its_own_and_the_first_stays(butler, tmp_path):
    twice = changed(file_of(tmp_path / "a"), lambda header: header.update(A_2_0=2 * header["A_2_0"]))
    ingest_files(butler, [twice, write_level2(tmp_path, detector=2, size=64)], transfer="copy")
    ingest_files(butler, [write_level2(tmp_path, detector=1, obs_id="2025W51_1A_0684_4", size=64)], transfer="copy")
    assert stored(butler) == [1, 2]
    ours, theirs = distortion_of(butler, 1), distortion_of(butler, 2)
    assert ours.a[2, 0] == pytest.approx(2 * theirs.a[2, 0])


def test_distortion_that_is_remembered_replaces_the_shipped_one(butler, tmp_path):
    path = write_level2(tmp_path, detector=3, size=64)
    ingest_files(butler, [changed(path, lambda header: header.update(B_0_0=2.5))], transfer="copy")
    assert distortion_of(butler, 3).b[0, 0] == 2.5
    assert shipped_distortions()[3].b[0, 0] != 2.5


@pytest.mark.parametrize("into_folder", [False, True])
def test_cutout_is_remembered(butler, tmp_path, into_folder):
    ref = listed(butler, tmp_path, size=400, origin=(0, 1640))
    where = QTable({"dataset_id": [str(ref.id)], "x": [100.0], "y": [1900.0]})
    assert stored(butler) == []
    done = get_cutouts(butler, where, 20, planes=[], folder=tmp_path / "cutouts" if into_folder else None)
    assert not done.failed
    assert stored(butler) == [1]
    assert farthest(butler) < 0.01


def test_refinement_is_remembered(butler, tmp_path):
    listed(butler, tmp_path)
    middle = sky_of(make_frame(detector=1, obs_id=FILE), 1020.0, 1020.0)
    assert find_images(butler, middle, refine=True)["refined"].all()
    assert stored(butler) == [1]


@pytest.mark.parametrize("command", ["cutouts", "refine", "search"])
def test_commands_remember_what_they_read(butler, tmp_path, command):
    ref = listed(butler, tmp_path)
    repo = Path(butler._config.configDir.ospath)
    middle = sky_of(make_frame(detector=1, obs_id=FILE), 1020.0, 1020.0).to_string("decimal", precision=6)
    (tmp_path / "table.csv").write_text(f"dataset_id,x,y\n{ref.id},1020,1020\n")
    lines = {
        "cutouts": ("cutouts", repo, tmp_path / "table.csv", tmp_path / "cut", "--size", "9"),
        "refine": ("search", repo, middle, "--refine"),
        "search": ("search", repo, middle),
    }
    run(*lines[command])
    assert stored(butler) == ([] if command == "search" else [1])


def test_read_only_repository_remembers_in_this_process_alone(butler, tmp_path):
    ref = listed(butler, tmp_path)
    assert farthest(butler) > 2
    with open_repo(butler._config.configDir) as reading:
        get_cutouts(reading, QTable({"dataset_id": [str(ref.id)], "x": [1020.0], "y": [1020.0]}), 9)
        assert farthest(reading) < 0.01
        assert stored(reading) == []
    assert farthest(butler) > 2


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.update(A_2_0=1.0),
        lambda header: [header.remove(name) for name in list(header) if name.startswith(("A_", "B_"))],
        lambda header: header.update(CTYPE1="RA---ARC-SIP", CTYPE2="DEC--ARC-SIP"),
    ],
)
def test_distortion_that_no_detector_has_is_not_remembered(butler, tmp_path, change):
    report = ingest_files(butler, [changed(file_of(tmp_path), change)], transfer="copy")
    assert len(report.ingested) + len(report.failed) == 1
    assert stored(butler) == []


def test_dataset_that_is_lost_is_told_and_left_aside(butler, tmp_path, caplog):
    root = butler._config.configDir
    ingest_files(butler, [file_of(tmp_path)], transfer="copy")
    (ref,) = butler.query_datasets(DISTORTION, RUN, explain=False)
    Path(butler.getURI(ref).ospath).unlink()
    with open_repo(root) as again, caplog.at_level(logging.WARNING):
        assert distortion_of(again, 1) is None
    assert f"The distortion {ref} is left aside" in caplog.text


def test_numbers_come_back():
    shipped = shipped_distortions()[3]
    again = Distortion.of_numbers(shipped.numbers())
    assert again.reference == shipped.reference
    np.testing.assert_array_equal(again.a, shipped.a)
    np.testing.assert_array_equal(again.b, shipped.b)


def test_distortion_is_that_of_astropy():
    wcs = make_frame(detector=3).wcs()
    found = Distortion.of_wcs(wcs, (0, 0))
    plain = WCS(wcs.to_header(relax=True))
    plain.sip = None
    there = found.removed(X, Y)
    np.testing.assert_allclose(plain.all_pix2world(*there, 0), wcs.all_pix2world(X, Y, 0), atol=1e-9)
