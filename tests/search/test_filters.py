"""Which images a search leaves out, what it gives where nothing is found, and arguments that make no sense."""

from __future__ import annotations

from collections.abc import Iterator

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time
from astropy.utils.masked import Masked
from lsst.daf.butler import Butler, CollectionType, DatasetType
from lsst.sphgeom import Angle, Box, Circle, IntersectionRegion, UnionRegion, UnitVector3d
from made_once import copy_exposures, new_repo
from mocpy import TimeMOC
from sky_images import make_frame, register_frames, sky_of

import spherex_butler
from spherex_butler.errors import ParameterError
from spherex_butler.ingest import ingest_files
from spherex_butler.search import find_images

OBS_IDS = ("2025W51_1A_0684_2", "2025W51_1A_0700_1", "2025W52_1A_0010_3")
CENTER = sky_of(make_frame(detector=2), 1000.0, 1000.0)
CIRCLE = Circle(UnitVector3d(1, 0, 0), Angle(0.1))


@pytest.fixture(scope="module")
def butler() -> Iterator[Butler]:
    """Three exposures of detectors 2 and 5 at one position, the first processed twice."""
    with new_repo() as butler:
        frames = [make_frame(obs_id=name, detector=d, center=CENTER) for name in OBS_IDS for d in (2, 5)]
        again = make_frame(obs_id=OBS_IDS[0], detector=2, center=CENTER, token="l2b-v22-2026-010")
        register_frames(butler, *frames, again)
        yield butler


def found_of(butler: Butler, **options: object) -> list[tuple[str, int]]:
    found = find_images(butler, CENTER, **options)
    return [(str(obs_id), int(detector)) for obs_id, detector in found["obs_id", "detector"].iterrows()]


EVERY = [(obs_id, detector) for obs_id in OBS_IDS for detector in (2, 5)]


def test_newest_processing_counts(butler):
    assert found_of(butler) == EVERY
    assert find_images(butler, CENTER)["run"][0] == "spx/l2b-v22-2026-010"


def test_every_processing_is_found_by_request(butler):
    found = find_images(butler, CENTER, latest=False)
    assert len(found) == len(EVERY) + 1
    first = found[(found["obs_id"] == OBS_IDS[0]) & (found["detector"] == 2)]
    assert set(first["run"]) == {"spx/l2b-v21-2025-354", "spx/l2b-v22-2026-010"}
    assert len(set(found["dataset_id"])) == len(found)


def test_collections_are_searched_in_their_order(butler):
    old = "spx/l2b-v21-2025-354"
    found = find_images(butler, CENTER, collections=[old, "SPHEREx/defaults"])
    assert set(found["run"][found["obs_id"] == OBS_IDS[0]]) == {old}
    assert {obs_id for obs_id, _ in found_of(butler, collections=old)} == set(OBS_IDS[:2])


@pytest.mark.parametrize(
    "pattern", ["*", "spx/*", "SPHEREx/*", "u/me/*", ["*", "spx/l2b-v20-2025-300"], ["u/me/none", "spx/*"]]
)
def test_pattern_finds_the_newest_processing_first(pattern):
    tokens = ["l2b-v24-2026-001", "l2b-v20-2025-300", "l2b-v27-2026-200", "l2b-v27-2026-100", "l2b-v22-2026-010"]
    with new_repo() as butler:
        register_frames(butler, *(make_frame(detector=2, center=CENTER, token=token) for token in tokens))
        butler.collections.register("u/me/none", CollectionType.CHAINED)
        butler.collections.register("u/me/old", CollectionType.CHAINED)
        butler.collections.redefine_chain("u/me/old", [f"spx/{token}" for token in sorted(tokens)])
        found = find_images(butler, CENTER, collections=pattern)
        assert list(found["run"]) == ["spx/l2b-v27-2026-200"]


def test_pattern_that_matches_a_chain_keeps_its_order_of_other_collections(butler):
    ref = butler.get_dataset(str(find_images(butler, CENTER)["dataset_id"][3]))
    runs = [f"u/you/{name}" for name in ("a", "c", "b")]
    for run in runs:
        butler.collections.register(run)
        butler.registry.insertDatasets(ref.datasetType, [ref.dataId], run=run)
    butler.collections.register("u/you/x", CollectionType.CHAINED)
    butler.collections.redefine_chain("u/you/x", ["u/you/c", "u/you/b", "u/you/a"])
    (found,) = find_images(butler, CENTER, collections="u/you/*")
    assert found["run"] == "u/you/c"


def test_tagged_collection_is_searched(butler):
    butler.collections.register("u/me/good", CollectionType.TAGGED)
    ref = butler.get_dataset(str(find_images(butler, CENTER)["dataset_id"][3]))
    butler.registry.associate("u/me/good", [ref])
    (found,) = find_images(butler, CENTER, collections="u/me/good")
    assert found["dataset_id"] == str(ref.id)
    assert found["run"] == ref.run


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"detectors": 5}, [one for one in EVERY if one[1] == 5]),
        ({"detectors": [5, 6]}, [one for one in EVERY if one[1] == 5]),
        ({"detectors": 1}, []),
        ({"exposures": 20255110107001}, EVERY[2:4]),
        ({"exposures": [20255110107001, 20255210100103]}, EVERY[2:]),
        ({"exposures": [20255110107001, 20255210100103, *range(300_000)]}, EVERY[2:]),
        ({"exposures": np.array([20255110107001])[0]}, EVERY[2:4]),
        ({"exposures": "2025W51_1A_0700_1"}, EVERY[2:4]),
        ({"exposures": ["20255110107001", np.str_("2025W52_1A_0010_3")]}, EVERY[2:]),
        ({"exposures": []}, []),
        ({"planning_period": "2025W51_1A"}, EVERY[:4]),
        ({"time": ("2025-12-22", None)}, EVERY[4:]),
        ({"time": (None, Time("2025-12-22"))}, EVERY[:4]),
        ({"time": ("2025-12-01", "2025-12-02")}, []),
        ({"limit": 2}, EVERY[:2]),
        ({"limit": 0}, []),
        ({"wavelength": 1.3 * u.um, "detectors": 5}, []),
    ],
)
def test_filter_leaves_others_out(butler, options, expected):
    assert found_of(butler, **options) == expected


def test_survey_is_that_of_the_header(tmp_path):
    with new_repo() as butler:
        files = copy_exposures(tmp_path / "files")
        ingest_files(butler, files, transfer="copy")
        center = spherex_butler.SpectralImage.read(files[0]).wcs.pixel_to_world(8, 8)
        assert len(find_images(butler, center, survey="all_sky")) > 0
        with pytest.raises(ParameterError, match=r"No exposure here has survey='all_skye'; did you mean 'all_sky'"):
            find_images(butler, center, survey="all_skye")


def test_pixels_of_cutouts_are_not_known(tmp_path):
    with new_repo() as butler:
        files = copy_exposures(tmp_path / "files")
        ingest_files(butler, files, transfer="copy")
        center = spherex_butler.SpectralImage.read(files[0]).wcs.pixel_to_world(8, 8)
        found = find_images(butler, center)
        assert len(found) > 0
        for name in ("x", "y", "wavelength", "bandwidth", "position_angle", "edge_distance"):
            assert np.isnan(found[name]).all()
        assert set(found["channel"]) == {0}
        assert len(find_images(butler, center, wavelength=(0.1, 10) * u.um)) == 0


def test_cutouts_that_a_wavelength_leaves_out_are_told(tmp_path, caplog):
    with new_repo() as butler:
        files = copy_exposures(tmp_path / "files")
        ingest_files(butler, files, transfer="copy")
        center = spherex_butler.SpectralImage.read(files[0]).wcs.pixel_to_world(8, 8)
        number = len(find_images(butler, center))
        assert "cutouts" not in caplog.text
        find_images(butler, center, wavelength=2 * u.um)
        assert f"{number} cutouts at this position are left out" in caplog.text


def test_collections_that_hold_no_images_are_refused(butler):
    butler.registry.registerDatasetType(DatasetType("note", (), "StructuredDataDict", universe=butler.dimensions))
    butler.collections.register("u/me/notes")
    butler.put({"a": 1}, "note", run="u/me/notes")
    with pytest.raises(ParameterError, match="The collections u/me/notes hold note and no images; expected"):
        find_images(butler, CENTER, collections="u/me/notes")
    assert len(find_images(butler, CENTER, collections=["u/me/notes", "SPHEREx/defaults"])) == len(EVERY)


def test_nothing_found_is_an_empty_table(butler):
    found = find_images(butler, CENTER)
    nothing = find_images(butler, SkyCoord(0, 0, unit="deg"))
    assert isinstance(nothing, QTable)
    assert len(nothing) == 0
    assert nothing.colnames == found.colnames
    for name in found.colnames:
        if name != "time":
            assert nothing[name].unit == found[name].unit
            assert nothing[name].dtype.kind == found[name].dtype.kind
    assert isinstance(nothing["time"], Time)


def test_row_of_a_catalogue_without_a_name_is_called_by_its_number(butler):
    names = MaskedColumn(["a", "b", "c"], mask=[False, True, False])
    catalogue = Table({"name": names, "ra": [CENTER.ra.deg] * 3, "dec": [CENTER.dec.deg] * 3})
    assert set(find_images(butler, catalogue)["source"]) == {"a", "1", "c"}


def test_masks_without_a_masked_value_change_nothing(butler):
    motions = {"pm_ra_cosdec": Masked([0.0]) * u.mas / u.yr, "pm_dec": [0] * u.mas / u.yr, "obstime": "J2016"}
    for options in ({}, motions):
        found = find_images(butler, SkyCoord(Masked([CENTER.ra.deg]) * u.deg, [CENTER.dec.deg] * u.deg, **options))
        assert [(str(obs_id), int(detector)) for obs_id, detector in found["obs_id", "detector"].iterrows()] == EVERY


def test_empty_repository_finds_nothing():
    with new_repo() as butler:
        assert len(find_images(butler, CENTER)) == 0
        assert len(find_images(butler, CENTER, wavelength=1 * u.um, radius=1 * u.deg)) == 0
        assert len(find_images(butler, SkyCoord([1, 2], [3, 4], unit="deg"))) == 0
        moving = SkyCoord(1, 2, unit="deg", pm_ra_cosdec=1 * u.mas / u.yr, pm_dec=0 * u.mas / u.yr, obstime="J2016")
        assert len(find_images(butler, moving)) == 0


MASKED = Masked([1.0, 2.0], mask=[False, True])
STARS = SkyCoord(
    [1, 2] * u.deg, [2, 3] * u.deg, pm_ra_cosdec=MASKED * u.mas / u.yr, pm_dec=[1, 2] * u.mas / u.yr, obstime="J2016"
)


@pytest.mark.parametrize(
    ("position", "options", "message"),
    [
        ((10.7, 41.3), {}, r"The position is \(10.7, 41.3\); expected a SkyCoord"),
        (SkyCoord([1, np.nan], [2, 3], unit="deg"), {}, "1 of 2 positions are not finite"),
        (SkyCoord(MASKED * u.deg, [2, 3] * u.deg), {}, "1 of 2 positions are not finite"),
        (Table({"at": SkyCoord(MASKED * u.deg, [2, 3] * u.deg)}), {}, "1 of 2 positions are not finite"),
        (SkyCoord(MASKED * u.deg, [2, 3] * u.deg), {"radius": 1 * u.deg}, "1 of 2 positions are not finite"),
        (STARS, {}, "1 of 2 positions are not finite"),
        ("10.7", {}, "The position '10.7' is not understood"),
        (Table({"a": [1]}), {}, "The table has the columns a; expected one that holds SkyCoord"),
        (Table({"ra": ["x"], "dec": [1]}), {}, "The column 'ra' has 'x' in row 0, which is not an angle"),
        (CENTER, {"radius": 3}, "radius=3 is not an angle"),
        (CENTER, {"radius": -1 * u.deg}, "is out of range"),
        (CENTER, {"radius": 1 * u.um}, "is not an angle"),
        (CENTER, {"wavelength": 2.2}, "wavelength=2.2 is not a wavelength"),
        (CENTER, {"wavelength": 1 * u.deg}, "is not a wavelength"),
        (CENTER, {"wavelength": (1, 2, 3) * u.um}, "is neither one nor two positive wavelengths"),
        (CENTER, {"wavelength": -1 * u.um}, "is neither one nor two positive wavelengths"),
        (CENTER, {"detectors": 7}, "There is no detector 7"),
        (CENTER, {"time": ("2026-01-01", "2025-01-01")}, "is empty"),
        *(
            (CENTER, {"time": time}, "is no range; expected its begin and its end, such as")
            for time in ("2025-12-18", Time("2025-12-18"), ("2025", "2026", "2027"), 5)
        ),
        *(
            (CENTER, {"exposures": bad}, "There is no exposure .*; expected an exposure id such as 20255110106842, or")
            for bad in ([20255110107001.5], "2025W51", 2.5, True, 10**20, "1" * 5000, [None])
        ),
        (CENTER, {"survey": ["all_sky"]}, r"survey=\['all_sky'\] is not possible; expected one text such as 'all_sky'"),
        (CENTER, {"collections": 5}, "collections=5 is not possible; expected names of collections"),
        (UnionRegion(CIRCLE, CIRCLE), {}, "type UnionRegion; expected a Box, Circle, ConvexPolygon or"),
        (IntersectionRegion(CIRCLE, CIRCLE), {}, "type IntersectionRegion; expected a Box, Circle, Conv"),
        (Circle.empty(), {}, "The region Circle.* is empty"),
        (Box.empty(), {}, "The region Box.* is empty"),
        (TimeMOC.from_str("5/0-9"), {}, "type TimeMOC; expected a MOC of the sky"),
        (CENTER, {"planning_period": "2025"}, "planning_period='2025' is not a planning period"),
        (
            CENTER,
            {"planning_period": "2025W53_1A"},
            "not in this repository; did you mean '2025W5._1A'",
        ),
        (CENTER, {"planning_period": "2025W40_1A"}, "It has 2, from 2025W51_1A to 2025W52_1A"),
        (CENTER, {"survey": "all_sky"}, "survey='all_sky'. Only headers tell surveys"),
        (CENTER, {"detectors": []}, r"detectors=\[\] chooses no detector"),
        (CENTER, {"collections": "SPHEREx/default"}, "No collection with name 'SPHEREx/default' found"),
        (CENTER, {"collections": "spx/l3*"}, r"No collection matches 'spx/l3\*'"),
        (CENTER, {"collections": [3]}, "The collection 3 is no text"),
        (CENTER, {"limit": -1}, "limit=-1 is not possible"),
        (lambda _: CENTER, {"radius": 1 * u.deg}, "radius=.* was given together with a function of time"),
        (SkyCoord(1, 2, unit="deg", pm_ra_cosdec=1 * u.mas / u.yr, pm_dec=0 * u.mas / u.yr), {}, "but no epoch"),
    ],
)
def test_senseless_argument_is_refused(butler, position, options, message):
    with pytest.raises(ParameterError, match=message):
        find_images(butler, position, **options)


@pytest.mark.parametrize("extension", ["ecsv", "fits"])
def test_table_is_written_and_read_back(butler, tmp_path, extension):
    found = find_images(butler, CENTER)
    path = tmp_path / f"found.{extension}"
    found.write(path)
    again = QTable.read(path, astropy_native=True) if extension == "fits" else QTable.read(path)
    assert again.colnames == found.colnames
    assert again["wavelength"].unit == u.um
    np.testing.assert_array_equal(again["x"].value, found["x"].value)
    assert list(again["uri"]) == list(found["uri"])
    assert abs(again["time"] - found["time"]).max() < 1 * u.ms
