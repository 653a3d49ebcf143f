"""Cutouts for the rows of a table: those of the files, each read once, and in a folder never again."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
import sqlalchemy
from astropy.coordinates import GCRS, SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table
from astropy.utils.masked import Masked
from forked import start_script
from http_server import Served, serve
from image_samples import assert_same
from lsst.daf.butler import Butler, DatasetRef
from made_once import new_repo, open_repo

from spherex_butler import SpectralImage
from spherex_butler.errors import ConfigurationError, FormatError, ParameterError
from spherex_butler.ingest import ingest_files
from spherex_butler.search import get_cutouts
from spherex_butler.search.cutout_plan import CutoutRequest, plan_cutouts
from spherex_butler.search.cutout_reading import read_cutouts
from spherex_butler.search.cutout_servers import REFUSALS
from spherex_butler.testing import write_level2

SIZE = 1.5 * u.arcmin
NUMBER = 6


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    return [
        write_level2(folder, obs_id=f"2025W51_1A_{n:04d}_1", detector=3, size=160, seed=n) for n in range(1, NUMBER + 1)
    ]


def assert_written(found: SpectralImage, expected: SpectralImage) -> None:
    """Check that an image from a file is the same, but for what its primary header says of the cutout."""
    cards = [name for name in found.meta if name.startswith("SPHEREX CUTOUT ")]
    assert len(cards) == 6
    for name in cards:
        del found.meta[name]
    assert_same(found, expected)


@dataclass
class Images:
    """Images in a repository, and what is known of them without it."""

    butler: Butler
    refs: list[DatasetRef]
    full: list[SpectralImage]

    def table(self, pixels: list[tuple[float, float]], images: range | None = None) -> Table:
        """Return a row for each image and position, which is given as a pixel of the image."""
        rows = []
        for number in images or range(len(self.refs)):
            for source, pixel in enumerate(pixels):
                at = self.full[number].wcs.pixel_to_world(*pixel)
                rows.append((f"star {source}", str(self.refs[number].id), at.ra.deg, at.dec.deg))
        return Table(rows=rows, names=["source", "dataset_id", "ra", "dec"])


@pytest.fixture
def butler() -> Iterator[Butler]:
    with new_repo() as butler:
        yield butler


def images_of(butler: Butler, paths: list[str], files: list[Path]) -> Images:
    refs = sorted(ingest_files(butler, paths, transfer="direct").ingested, key=lambda ref: ref.dataId["exposure"])
    return Images(butler, refs, [SpectralImage.read(path) for path in files])


@pytest.fixture
def local(butler, files) -> Images:
    return images_of(butler, [str(path) for path in files], files)


@pytest.fixture
def remote(butler, files) -> Iterator[tuple[Images, Served]]:
    with serve(files[0].parent) as served:
        images = images_of(butler, [f"{served.url}/{path.name}" for path in files], files)
        served.requests.clear()
        yield images, served


def test_cutouts_are_those_of_the_images_in_the_order_of_the_table(local):
    table = local.table([(30.2, 40.7), (100, 90)])[::-1]
    cutouts = get_cutouts(local.butler, table, SIZE)
    assert (len(cutouts), cutouts.fetched, cutouts.failed) == (2 * NUMBER, 2 * NUMBER, [])
    by_id = {str(ref.id): full for ref, full in zip(local.refs, local.full, strict=True)}
    for row, image in zip(table, cutouts, strict=True):
        assert_same(image, by_id[row["dataset_id"]].cutout(SkyCoord(row["ra"], row["dec"], unit="deg"), SIZE))
    assert cutouts.succeeded.all()
    assert repr(cutouts) == f"<Cutouts: {2 * NUMBER} cutouts fetched, 0 already there, 0 failed>"
    assert [image.obs_id for image in cutouts[:2]] == [image.obs_id for image in list(cutouts.images)[:2]]


def test_remote_cutouts_take_few_requests_and_share_headers(remote):
    images, served = remote
    cutouts = get_cutouts(images.butler, images.table([(30, 40), (100, 90), (60, 20)]), SIZE)
    assert not cutouts.failed
    assert len(served.requests) <= NUMBER * 9  # as for one, since their rows are near each other
    for number, full in enumerate(images.full):
        for place, pixel in enumerate([(30, 40), (100, 90), (60, 20)]):
            found = cutouts[3 * number + place]
            assert_same(found, full.cutout(full.wcs.pixel_to_world(*pixel), SIZE), psf=False)
            assert found.data.base is None or found.data.base.size == found.data.size  # not the rows of all three


def test_a_position_outside_an_image_keeps_the_others_of_it_together(remote):
    images, served = remote
    table = images.table([(30, 40), (9000, 9000), (60, 20)], range(1))
    cutouts = get_cutouts(images.butler, table, SIZE)
    assert [failure.row for failure in cutouts.failed] == [1]
    assert "outside" in cutouts.failed[0].reason
    assert len(served.requests) <= 10


def test_psf_of_cutouts_of_an_image_is_loaded_once(remote):
    images, served = remote
    first, second = get_cutouts(images.butler, images.table([(30, 40), (100, 90)], range(1)), SIZE)
    served.requests.clear()
    assert second.psf.origin == second.origin
    loaded = len(served.requests)
    assert 0 < loaded <= 2
    assert first.psf.origin == first.origin != second.origin
    assert np.array_equal(first.psf.kernels, second.psf.kernels)
    assert len(served.requests) == loaded


def test_rows_that_ask_for_the_same_share_one_cutout(remote):
    images, served = remote
    table = images.table([(30, 40)], range(1))
    rows = Table(rows=[table[0]] * 4, names=table.colnames)
    cutouts = get_cutouts(images.butler, rows, SIZE)
    assert len(served.requests) <= 9
    assert cutouts.fetched == 1
    assert cutouts[0] is cutouts[3]


def test_rows_of_other_names_for_one_position_are_read_once_and_written_each(remote, tmp_path):
    images, served = remote
    table = images.table([(30, 40)], range(1))
    rows = Table(rows=[table[0]] * 2, names=table.colnames)
    rows["source"] = ["one", "two"]
    cutouts = get_cutouts(images.butler, rows, SIZE, folder=tmp_path)
    assert len(served.requests) <= 11
    assert [path.name.partition("_")[0] for path in cutouts.paths] == ["one", "two"]


def test_folder_holds_whole_files_that_are_not_read_again(remote, tmp_path):
    images, served = remote
    table = images.table([(30, 40), (100, 90)])
    cutouts = get_cutouts(images.butler, table, SIZE, folder=tmp_path / "new" / "folder")
    names = [path.name for path in cutouts.paths]
    assert names[:2] == [f"star_{n}_2025W51_1A_0001_1D3_spx_l2b-v21-2025-354.fits" for n in range(2)]
    assert len(set(names)) == len(table)
    served.requests.clear()
    again = get_cutouts(images.butler, table, SIZE, folder=tmp_path / "new" / "folder")
    assert (again.fetched, again.there, served.requests) == (0, len(table), [])
    for found, full in zip(again[::2], images.full, strict=True):
        assert_written(found, full.cutout(full.wcs.pixel_to_world(30, 40), SIZE))
    header = fits.getheader(again.paths[0])
    assert header["SPHEREX CUTOUT DATASET"] == str(images.refs[0].id)
    assert header["SPHEREX CUTOUT SIZE"] == "90 x 90 arcsec"
    assert header["SPHEREX CUTOUT RA"] == pytest.approx(table["ra"][0], abs=1e-12)


def test_half_a_folder_is_completed(remote, tmp_path):
    images, served = remote
    table = images.table([(30, 40)])
    get_cutouts(images.butler, table[:4], SIZE, folder=tmp_path)
    served.requests.clear()
    cutouts = get_cutouts(images.butler, table, SIZE, folder=tmp_path)
    assert (cutouts.there, cutouts.fetched) == (4, 2)
    assert len({path for _, path, *_ in served.requests}) == 2


def test_other_files_are_never_overwritten(local, tmp_path):
    table = local.table([(30, 40)])
    first = get_cutouts(local.butler, table, SIZE, folder=tmp_path)
    first.paths[1].write_bytes(b"precious")
    shutil.copy(first.paths[3], first.paths[2])
    first.paths[4].unlink()
    first.paths[4].symlink_to(tmp_path / "nowhere")
    before = [path.read_bytes() for path in first.paths[:4]]
    moved = table.copy()
    moved["ra"][0] += 0.01
    found = get_cutouts(local.butler, moved, SIZE, folder=tmp_path)
    assert [path.read_bytes() for path in first.paths[:4]] == before
    assert first.paths[4].is_symlink()
    assert [failed.row for failed in found.failed] == [0, 1, 2, 4]
    assert "is there already, at RA, Dec " in found[0].reason
    assert "Nothing was overwritten: give another folder" in found[0].reason
    assert "is there already, no cutout (" in found[1].reason
    assert "is there already, of dataset " in found[2].reason
    larger = get_cutouts(local.butler, table[3:4], 64, folder=tmp_path)
    assert "of size 90 x 90 arcsec instead of 64 x 64 pix" in larger[0].reason
    fewer = get_cutouts(local.butler, table[3:4], SIZE, folder=tmp_path, planes=["FLAGS"])
    assert "with the planes all instead of FLAGS" in fewer[0].reason


def test_cutout_of_which_a_part_was_lost_is_written_anew(local, tmp_path):
    table = local.table([(30, 40)], range(1))
    (path,) = get_cutouts(local.butler, table, SIZE, folder=tmp_path).paths
    whole = path.read_bytes()
    path.write_bytes(whole[:-5760])
    cutouts = get_cutouts(local.butler, table, SIZE, folder=tmp_path)
    assert (cutouts.fetched, cutouts.there, cutouts.failed) == (1, 0, [])
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


def test_two_positions_of_one_name_in_an_image_are_told(local, tmp_path):
    table = local.table([(30, 40), (100, 90)], range(1))
    table["source"] = 7
    cutouts = get_cutouts(local.butler, table, SIZE, folder=tmp_path)
    assert cutouts.paths[0].name.startswith("7_2025W51")
    (failed,) = cutouts.failed
    assert failed.row == 1
    assert "the same name as that of row 0, " in failed.reason
    del table["source"]
    named_by_place = get_cutouts(local.butler, table, SIZE, folder=tmp_path)
    assert not named_by_place.failed
    assert len({path.name for path in named_by_place.paths}) == 2


def test_positions_that_differ_by_rounding_are_one(local, tmp_path):
    table = local.table([(30, 40)], range(1))
    rows = Table(rows=[table[0]] * 2, names=table.colnames)
    rows["ra"][1] += 1e-9
    cutouts = get_cutouts(local.butler, rows, SIZE, folder=tmp_path)
    assert (cutouts.fetched, cutouts.failed) == (1, [])
    assert cutouts.paths[0] == cutouts.paths[1]


def test_process_that_was_slower_takes_what_the_faster_one_wrote(local, tmp_path):
    table = local.table([(30, 40)], range(1))
    request = CutoutRequest.of(SIZE, None, tmp_path)
    plan = plan_cutouts(local.butler, table, request)
    get_cutouts(local.butler, table, SIZE, folder=tmp_path)  # the faster one
    (outcome,) = read_cutouts(local.butler, plan, request, 1)
    assert outcome.reason is None
    plan = plan_cutouts(local.butler, table, CutoutRequest.of(64, None, tmp_path / "x"))
    (path,) = plan.jobs[0].wanted[0].files
    path.parent.mkdir()
    path.write_text("of somebody else")
    (outcome,) = read_cutouts(local.butler, plan, CutoutRequest.of(64, None, tmp_path / "x"), 1)
    assert "is there already, no cutout (" in outcome.reason
    assert path.read_text() == "of somebody else"


def test_row_of_a_table_is_a_table_of_one(local):
    table = local.table([(30, 40)])
    (image,) = get_cutouts(local.butler, table[1], SIZE)
    assert_same(image, get_cutouts(local.butler, table, SIZE)[1])


def test_what_is_no_table_is_refused(local):
    with pytest.raises(ParameterError, match=r"The table is a dict; expected what find_images returns, one of its"):
        get_cutouts(local.butler, {"dataset_id": []}, SIZE)


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_folder_that_is_a_file_is_refused(local, tmp_path, name):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigurationError, match=f"There cannot be a folder '.*{name}': .* Expected one"):
        get_cutouts(local.butler, local.table([(30, 40)]), SIZE, folder=tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"


def test_folder_that_cannot_be_written_to_ends_the_call(local, tmp_path, monkeypatch):
    table = local.table([(30, 40), (60, 60)])
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(full))
    with pytest.raises(
        ConfigurationError, match=r"Cutouts cannot be written to '.*out': .*No space left on device. Exp"
    ):
        get_cutouts(local.butler, table, SIZE, folder=tmp_path / "out")
    monkeypatch.undo()
    assert not get_cutouts(local.butler, table, SIZE, folder=tmp_path / "out").failed
    assert len(list((tmp_path / "out").iterdir())) == len(table)


def test_names_of_files_keep_no_characters_that_lead_elsewhere(local, tmp_path):
    table = local.table([(30, 40)], range(1))
    names = ["../../x", "a/b", "a_b", ".hidden", "β Pic", "x" * 300, "", "M31"]
    rows = Table(rows=[table[0]] * len(names), names=table.colnames)
    rows["source"] = names
    cutouts = get_cutouts(local.butler, rows, SIZE, folder=tmp_path / "out")
    assert not cutouts.failed
    assert len({path.name for path in cutouts.paths}) == len(names)
    assert {path.parent for path in (tmp_path / "out").iterdir()} == {tmp_path / "out"}
    assert [path.name[0] for path in cutouts.paths[:5]] == ["_", "a", "a", "h", "β"]
    assert cutouts.paths[-1].name.startswith("M31_2025")


def test_bad_rows_keep_no_other_out(local):
    table = local.table([(30, 40)])
    far = table.copy()
    far["dec"] -= 20
    far["ra"][1] = np.nan
    far["dataset_id"] = [*table["dataset_id"][:3], "x", str(uuid.UUID(int=5)), table["dataset_id"][5]]
    far["dec"][2] = 95
    far["dec"][5] = table["dec"][5]
    cutouts = get_cutouts(local.butler, far, SIZE)
    assert [failed.row for failed in cutouts.failed] == [0, 1, 2, 3, 4]
    assert "lies wholly outside the image" in cutouts[0].reason
    assert cutouts[1].reason.startswith("There is no position: ra, dec are nan, ")
    assert "There is no position" in cutouts[2].reason
    assert cutouts[3].reason == "dataset_id is 'x'; expected the id of a dataset."
    assert "There is no dataset 00000000-0000-0000-0000-000000000005 in this repository" in cutouts[4].reason
    assert cutouts[5].shape == (15, 15)
    assert list(cutouts.succeeded) == [False] * 5 + [True]
    assert str(cutouts.failed[0]).startswith("row 0, source star 0 at RA, Dec ")
    assert "of level2 detector=3 exposure=20255110100011 in spx/l2b-v21-2025-354: The requested" in str(cutouts)
    assert [one["row"] for one in cutouts.to_dict()["failed"]] == [0, 1, 2, 3, 4]


def test_cutout_partly_outside_is_clipped(local):
    found = get_cutouts(local.butler, local.table([(0, 80)], range(1)), (8, 20))
    assert found[0].shape == (8, 10)


def test_pixels_of_the_full_frame_are_as_good_and_never_taken_for_degrees(local):
    full = local.full[0]
    x0, y0 = full.origin
    table = Table({"dataset_id": [str(local.refs[0].id)] * 3, "x": [x0 + 30, x0 + 1.0, np.nan], "y": [y0 + 40.0] * 3})
    for size, expected in [(12, (12, 12)), (SIZE, (15, 15)), ((SIZE, 2 * SIZE), (15, 29))]:
        found = get_cutouts(local.butler, table, size)  # warnings are errors
        assert found[0].shape == expected
        assert_same(found[0], full.cutout((x0 + 30.0, y0 + 40.0), size))
        assert found[1].shape[1] < expected[1]
        assert "There is no position" in found[2].reason


def test_position_on_the_sky_counts_before_pixels(local):
    table = local.table([(30, 40), (50, 60)], range(1))
    x0, y0 = local.full[0].origin
    table["x"], table["y"] = x0 + 100.0, y0 + 100.0
    table["ra"][1] = table["dec"][1] = np.nan
    first, second = get_cutouts(local.butler, table, 10)
    assert first.origin == (x0 + 25, y0 + 35)
    assert second.origin == (x0 + 95, y0 + 95)


def test_position_on_the_sky_that_is_none_is_not_replaced_by_pixels(local):
    table = local.table([(30, 40)] * 6, range(1))
    x0, y0 = local.full[0].origin
    table["x"], table["y"] = x0 + 100.0, y0 + 100.0
    table["ra"][1], table["dec"][2], table["ra"][3] = np.nan, 95, np.inf
    ra = table["ra"].tolist()
    table["ra"] = [*map(str, ra[:4]), "12h", ""]
    table["dec"] = MaskedColumn(table["dec"], mask=[False] * 5 + [True])
    found = get_cutouts(local.butler, table, 10)
    assert [failed.row for failed in found.failed] == [1, 2, 3, 4]
    for row, words in [
        (1, "ra, dec are nan, "),
        (2, r", 95.0; expected degrees, dec from -90 to 90"),
        (3, "are inf, "),
    ]:
        assert words in found[row].reason
    assert found[4].reason == "The column 'ra' has '12h'; expected a number."
    assert found[5].origin == (x0 + 95, y0 + 95)


def test_column_of_texts_that_are_no_numbers_is_refused(local):
    table = local.table([(30, 40)], range(2))
    table["x"], table["y"] = "left", "top"
    assert not get_cutouts(local.butler, table, 10).failed
    with pytest.raises(ParameterError, match=r"The column 'x' has no number, but 'left' and the like; expected pix\."):
        get_cutouts(local.butler, table["dataset_id", "x", "y"], 10)
    table["ra"] = ["00h42m", "00h43m"]
    with pytest.raises(
        ParameterError, match=r"The column 'ra' has no number, but '00h42m' and the like; expected deg\."
    ):
        get_cutouts(local.butler, table, 10)


@pytest.mark.parametrize("masked", ["frame", "table"])
def test_masked_position_has_no_cutout(local, masked):
    table = local.table([(30, 40)], range(2))
    ra = Masked(np.array(table["ra"]), mask=[False, True]) * u.deg
    columns = (
        {"at": SkyCoord(ra, table["dec"] * u.deg)} if masked == "frame" else {"ra": ra, "dec": table["dec"] * u.deg}
    )
    found = get_cutouts(local.butler, QTable({"dataset_id": table["dataset_id"], **columns}), 10)
    assert [failed.row for failed in found.failed] == [1]
    assert "There is no position: ra, dec are nan, " in found[1].reason


def test_position_with_a_distance_from_the_earth_is_where_it_is_seen_from_there(local):
    table = local.table([(30.2, 40.3)], range(1))
    seen = SkyCoord(table["ra"], table["dec"], unit="deg").transform_to(GCRS(obstime="2025-12-19"))
    near = SkyCoord(seen.ra, seen.dec, distance=[0.01] * u.au, frame=seen.frame.replicate_without_data())
    (expected,), (found,) = (
        get_cutouts(local.butler, QTable({"dataset_id": table["dataset_id"], "at": one}), 10) for one in (seen, near)
    )
    assert found.origin == expected.origin == get_cutouts(local.butler, table, 10)[0].origin


def test_size_that_was_meant_as_an_angle_is_explained(local, caplog):
    with pytest.raises(ParameterError, match=r"size=0\.02 is less than one pixel, .* 0\.02 \* u\.deg"):
        get_cutouts(local.butler, local.table([(30, 40)]), 0.02)
    with caplog.at_level(logging.WARNING):
        plan_cutouts(local.butler, local.table([(30, 40)]), CutoutRequest.of(5000, None, None))
    assert "Cutouts of 5000 pixels are larger than a detector, which has 2040" in caplog.text


@pytest.mark.parametrize("size", [0, -3, np.nan, np.inf, 0 * u.arcsec])
def test_size_that_makes_no_sense_is_refused(local, size):
    with pytest.raises(ParameterError, match=r"is not positive and finite; expected an angle or a number of pixels"):
        get_cutouts(local.butler, local.table([(30, 40)]), size)


@pytest.mark.parametrize(
    ("size", "words"), [(3 * u.kg, "has unit kg"), ("x", "is neither an angle nor"), (None, "is neither an angle nor")]
)
def test_what_is_no_size_is_refused(local, size, words):
    with pytest.raises(ParameterError, match=words):
        get_cutouts(local.butler, local.table([(30, 40)]), size)


def test_arguments_that_make_no_sense_are_refused(local):
    table = local.table([(30, 40)])
    with pytest.raises(ParameterError, match=r"connections=0 is not possible; expected a whole number of at least 1"):
        get_cutouts(local.butler, table, SIZE, connections=0)
    with pytest.raises(ParameterError, match="planes names X; expected some of"):
        get_cutouts(local.butler, table, SIZE, planes=["X"])


@pytest.mark.parametrize("missing", ["dataset_id", "ra", "dec"])
def test_table_without_the_columns_is_refused(local, missing):
    table = local.table([(30, 40)])
    del table[missing]
    with pytest.raises(ParameterError, match=r"The table has the columns source, .*; expected dataset_id, and ra and "):
        get_cutouts(local.butler, table, SIZE)
    with pytest.raises(ParameterError, match=r"The column 'dec' is in 'kg'; expected deg"):
        get_cutouts(local.butler, QTable({"dataset_id": ["x"], "ra": [1] * u.deg, "dec": [1] * u.kg}), SIZE)


def test_no_rows_give_no_cutouts(local):
    assert len(get_cutouts(local.butler, local.table([(30, 40)])[:0], SIZE)) == 0


FORMATS = {"t.ecsv": "ascii.ecsv", "t.csv": "ascii.csv", "t.xml": "votable", "t.fits": "fits", "t.parquet": "parquet"}


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        (name, unit) for name in FORMATS for unit in ("deg", "rad") if (name, unit) != ("t.csv", "rad")
    ],  # CSV has no units
)
def test_table_may_come_from_a_file(local, tmp_path, name, unit):
    table = local.table([(30.3, 40.1)])
    saved = QTable(table)
    for column in ("ra", "dec"):
        saved[column] = (table[column] * u.deg).to(unit)
    plain = Table(saved) if FORMATS[name] in {"fits", "votable"} else saved
    plain.write(tmp_path / name, format=FORMATS[name])
    (tmp_path / "renamed").write_bytes((tmp_path / name).read_bytes())
    cutouts = get_cutouts(local.butler, tmp_path / "renamed", SIZE, folder=tmp_path / "out")
    assert not cutouts.failed
    again = get_cutouts(local.butler, table, SIZE, folder=tmp_path / "out")
    assert (again.there, again.fetched) == (NUMBER, 0)


def test_file_that_is_no_table_is_refused(local, tmp_path):
    (tmp_path / "x").write_bytes(b"\x00\x01nothing")
    with pytest.raises(
        FormatError, match=r"x' begins with .*; expected a table as ECSV, CSV, VOTable, FITS or Parquet"
    ):
        get_cutouts(local.butler, tmp_path / "x", SIZE)
    (tmp_path / "y").write_bytes(b"SIMPLE  = nothing")
    with pytest.raises(FormatError, match=r"y' begins as FITS, but cannot be read: "):
        get_cutouts(local.butler, tmp_path / "y", SIZE)


def test_masked_bytes_and_coordinates_in_columns_are_understood(local):
    table = local.table([(30, 40)], range(3))
    at = SkyCoord(table["ra"], table["dec"], unit="deg")
    ids = np.array([text.encode() for text in table["dataset_id"]])
    as_bytes = Table({"DATASET_ID": MaskedColumn(ids, mask=[False, True, False]), "where": at.galactic})
    cutouts = get_cutouts(local.butler, as_bytes, SIZE)
    assert [failed.row for failed in cutouts.failed] == [1]
    assert cutouts[2].obs_id == local.full[2].obs_id
    texts = Table({"dataset_id": table["dataset_id"], "ra": [str(ra) for ra in table["ra"]], "dec": table["dec"]})
    texts["ra"][1] = "n/a"
    assert [failed.row for failed in get_cutouts(local.butler, texts, SIZE).failed] == [1]


def test_threads_ask_no_database(local):
    asked = []
    engine = local.butler._registry._db._engine
    sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *_: asked.append(threading.current_thread()))
    cutouts = get_cutouts(local.butler, local.table([(30, 40), (60, 60)]), SIZE)
    assert not cutouts.failed
    assert set(asked) == {threading.main_thread()}


def test_many_threads_give_what_one_gives(remote):
    images, _ = remote
    table = images.table([(x, y) for x in (20, 100) for y in (30, 110)])
    one = get_cutouts(images.butler, table, SIZE, connections=1)
    many = get_cutouts(images.butler, table, SIZE, connections=32)
    for a, b in zip(one, many, strict=True):
        assert_same(a, b, psf=False)


# Servers that fail.


def test_server_that_fails_for_one_image_serves_the_others(butler, files):
    refused: set[str] = set()
    with serve(files[0].parent, status=lambda path: 403 if path in refused else None) as served:
        images = images_of(butler, [f"{served.url}/{path.name}" for path in files], files)
        refused.add(f"/{files[2].name}")
        asked = len([path for _, path, *_ in served.requests if path in refused])
        cutouts = get_cutouts(butler, images.table([(30, 40), (60, 60)]), SIZE)
        assert len([path for _, path, *_ in served.requests if path in refused]) == asked + 1
    assert [failed.row for failed in cutouts.failed] == [4, 5]
    assert "The server refused another cutout of this image, so that it was not asked again: " in cutouts[5].reason
    assert cutouts[4].reason.startswith("PermissionError: http://127.0.0.1")
    assert "the server answers 403" in cutouts[4].reason


@pytest.mark.parametrize("status", [403, 429, 503])
def test_server_that_refuses_again_and_again_is_left_alone(butler, files, tmp_path, status):
    refuses: list[bool] = []
    with serve(files[0].parent, status=lambda _: status if refuses else None) as served:
        images = images_of(butler, [f"{served.url}/{path.name}" for path in files], files)
        table = images.table([(20 + 10 * n, 40) for n in range(8)])
        get_cutouts(butler, table[:3], SIZE, folder=tmp_path)
        refuses.append(True)
        served.requests.clear()
        cutouts = get_cutouts(butler, table, SIZE, folder=tmp_path, connections=5)
        assert len(served.requests) <= (REFUSALS + 4) * (1 if status == 403 else 3)
        assert (cutouts.there, cutouts.fetched, len(cutouts.failed)) == (3, 0, len(table) - 3)
        told = f"{served.url} refused 5 images in a row and was not asked any more, the last one so: "
        (*_, last) = [failed.reason for failed in cutouts.failed if failed.reason.startswith(told)]
        assert str(status) in last
        assert last.endswith(". Ask again later; the same call goes on where this one stopped.")
        refuses.clear()
        later = get_cutouts(butler, table, SIZE, folder=tmp_path)
        assert (later.there, later.fetched, later.failed) == (3, len(table) - 3, [])


def test_other_servers_and_local_files_are_read_on(butler, files, tmp_path):
    refuses: list[bool] = []
    here = [shutil.copy(path, tmp_path) for path in files[3:]]
    with serve(files[0].parent, status=lambda _: 403 if refuses else None) as served:
        images = images_of(butler, [f"{served.url}/{path.name}" for path in files[:3]] + list(map(str, here)), files)
        refuses.append(True)
        table = images.table([(20 + 10 * n, 40) for n in range(8)])
        cutouts = get_cutouts(butler, table, SIZE)
    assert list(cutouts.succeeded) == [False] * 24 + [True] * 24


PROBLEMS = {25: "503", 33: "reset", 44: "cut", 52: "short"}


def test_requests_that_fail_once_change_nothing(butler, files, tmp_path):
    faults: list[bool] = []
    with serve(files[0].parent, fault=lambda n: PROBLEMS.get(n) if faults else None) as served:
        images = images_of(butler, [f"{served.url}/{path.name}" for path in files], files)
        faults.append(True)
        before = len(served.requests)
        cutouts = get_cutouts(butler, images.table([(30, 40)]), SIZE, folder=tmp_path, connections=2)
        assert before < min(PROBLEMS) < max(PROBLEMS) < len(served.requests)
    assert not cutouts.failed
    for found, full in zip(cutouts, images.full, strict=True):
        assert_written(found, full.cutout(full.wcs.pixel_to_world(30, 40), SIZE))


def test_server_without_ranges_sends_each_image_once(butler, files):
    with serve(files[0].parent, ranges=False) as served:
        images = images_of(butler, [f"{served.url}/{path.name}" for path in files[:2]], files)
        served.requests.clear()
        cutouts = get_cutouts(butler, images.table([(30, 40), (60, 60), (90, 60)]), SIZE)
        whole = [path for method, path, _, sent in served.requests if method == "GET" and sent > 2 * 2880]
        assert {whole.count(path) for path in whole} <= {1, 2}
    for number, found in enumerate(cutouts):
        pixel = [(30, 40), (60, 60), (90, 60)][number % 3]
        full = images.full[number // 3]
        assert_same(found, full.cutout(full.wcs.pixel_to_world(*pixel), SIZE))


# Kills and interrupts.

SCRIPT = """
import signal, sys
import astropy.units as u
import spherex_butler
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
from spherex_butler.search import get_cutouts
with spherex_butler.open_repo(sys.argv[1]) as butler:
    print("begin", flush=True)
    get_cutouts(butler, sys.argv[2], 1.5 * u.arcmin, folder=sys.argv[3], connections=2)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_call_that_is_ended_leaves_whole_files_and_the_next_one_goes_on(empty_repo, files, tmp_path, how):
    slow: list[float] = []
    with serve(files[0].parent, fault=lambda _: time.sleep(0.05) if slow else None) as served:
        with open_repo(empty_repo) as butler:
            images = images_of(butler, [f"{served.url}/{path.name}" for path in files], files)
        table = images.table([(20 + 20 * n, 40) for n in range(5)])
        table.write(tmp_path / "t.ecsv")
        slow.append(0.05)
        folder = tmp_path / "out"
        script = start_script(SCRIPT, empty_repo, tmp_path / "t.ecsv", folder, folder=tmp_path / "elsewhere")
        while len(list(folder.glob("*.fits") if folder.exists() else ())) < 4 and script.runs:
            time.sleep(0.01)
        begin = time.perf_counter()
        script.process.kill() if how == signal.SIGKILL else os.kill(script.process.pid, how)
        assert script.wait() != 0, script.said
        assert time.perf_counter() - begin < 5
        slow.clear()
        there = list(folder.glob("*.fits"))
        assert 4 <= len(there) < len(table)
        with open_repo(empty_repo) as butler:
            cutouts = get_cutouts(butler, table, SIZE, folder=folder)
            assert (cutouts.there, cutouts.fetched) == (len(there), len(table) - len(there))
            assert not cutouts.failed
        assert len(list(folder.iterdir())) == len(table)
        for row, found in zip(table, cutouts, strict=True):
            full = next(f for ref, f in zip(images.refs, images.full, strict=True) if str(ref.id) == row["dataset_id"])
            assert_written(found, full.cutout(SkyCoord(row["ra"], row["dec"], unit="deg"), SIZE))


def test_interrupt_does_not_wait_for_a_server_that_says_nothing(empty_repo, files, tmp_path):
    silent: list[bool] = []
    with serve(files[0].parent, fault=lambda _: "stall" if silent else None) as served:
        with open_repo(empty_repo) as butler:
            images = images_of(butler, [f"{served.url}/{path.name}" for path in files], files)
        images.table([(30, 40)]).write(tmp_path / "t.ecsv")
        silent.append(True)
        before = len(served.requests)
        script = start_script(SCRIPT, empty_repo, tmp_path / "t.ecsv", tmp_path / "out", folder=tmp_path / "elsewhere")
        while len(served.requests) == before and script.runs:
            time.sleep(0.01)
        begin = time.perf_counter()
        os.kill(script.process.pid, signal.SIGINT)
        assert script.wait() != 0
        assert time.perf_counter() - begin < 5
        assert "KeyboardInterrupt" in script.said
