"""How often the sky was seen: what a search at the centre of each pixel finds."""

from __future__ import annotations

from collections.abc import Iterator

import astropy.units as u
import hpgeom
import mission
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.utils.masked import Masked
from lsst.daf.butler import Butler, CollectionType
from made_once import copy_exposures, new_repo
from sky_images import archive_row, make_frame, register_frames, sky_of

from spherex_butler.archive import ingest_archive_table
from spherex_butler.constants import DATASET_TYPE
from spherex_butler.errors import ParameterError
from spherex_butler.ingest import ingest_files
from spherex_butler.repository.runs import release_of_run
from spherex_butler.search import Coverage, coverage, find_images


@pytest.fixture(scope="module")
def butler() -> Iterator[Butler]:
    """A thousand images of a great circle over the poles, some of another release, and some processed twice."""
    rows = mission.table(next(mission.periods(1))).slice(0, 1200).to_pydict()
    for number in range(0, 1200, 7):
        rows["access_url"][number] = rows["access_url"][number].replace("/qr2/", "/qr3/").replace("l2b-v20", "l2b-v27")
        rows["obs_collection"][number] = "spherex_qr3"
    again = {name: values[:60] for name, values in rows.items()}
    again["access_url"] = [url.replace("l2b-v20", "l2b-v21") for url in again["access_url"]]
    with new_repo() as butler:
        for table in (rows, again):
            assert not ingest_archive_table(butler, Table(table)).failed
        yield butler


@pytest.fixture(scope="module")
def counted(butler: Butler) -> Coverage:
    return coverage(butler, channels=True)


def centers(order: int, pixels: np.ndarray) -> SkyCoord:
    lon, lat = hpgeom.pixel_to_angle(1 << order, pixels, nest=True)
    return SkyCoord(lon, lat, unit="deg")


def found_at(butler: Butler, order: int, pixels: np.ndarray, **options: object) -> Table:
    return find_images(butler, centers(order, pixels), **options)


def counts(found: Table, number: int) -> np.ndarray:
    return np.bincount(found["source"], minlength=number)


def some_pixels(counted: Coverage, number: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    seen = rng.choice(np.flatnonzero(counted.depth), number, replace=False)
    return np.concatenate([seen, rng.choice(len(counted.depth), number, replace=False)])


def test_depth_is_what_a_search_finds(butler, counted):
    pixels = some_pixels(counted, 500)
    expected = counts(found_at(butler, counted.order, pixels), len(pixels))
    np.testing.assert_array_equal(counted.depth[pixels], expected)
    assert counted.images == 1200


def test_channels_are_those_that_a_search_finds(butler, counted):
    pixels = some_pixels(counted, 500)
    found = found_at(butler, counted.order, pixels)
    assert set(found["release"]) == {"qr2", "qr3"}
    assert len(counted.channels) == 102
    for (detector, channel), depth in counted.channels.items():
        chosen = found[(found["detector"] == detector) & (found["channel"] == channel)]
        np.testing.assert_array_equal(depth[pixels], counts(chosen, len(pixels)))
    assert sum(depth[pixels].sum() for depth in counted.channels.values()) == (found["channel"] > 0).sum() > 1000


@pytest.mark.parametrize("order", [0, 3, 9])
def test_order_is_that_of_the_pixels(butler, order):
    counted = coverage(butler, order=order, detectors=3)
    assert len(counted.depth) == 12 * 4**order
    pixels = some_pixels(counted, min(100, np.count_nonzero(counted.depth)))
    expected = counts(found_at(butler, order, pixels, detectors=3), len(pixels))
    np.testing.assert_array_equal(counted.depth[pixels], expected)


@pytest.mark.parametrize(
    "options",
    [
        {"detectors": [1, 5]},
        {"time": ("2025-04-28T10:00:00", "2025-04-28T12:00:00")},
        {"planning_period": "2025W18_1A"},
        {"collections": "SPHEREx/qr3"},
    ],
)
def test_filters_are_those_of_a_search(butler, options):
    counted = coverage(butler, order=5, **options)
    pixels = np.arange(len(counted.depth))
    np.testing.assert_array_equal(counted.depth, counts(found_at(butler, 5, pixels, **options), len(pixels)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"planning_period": "2025W19_1A"}, "'2025W19_1A' is not in this repository; did you mean '2025W18_1A'"),
        ({"survey": "all_sky"}, "No exposure here has survey='all_sky'"),
    ],
)
def test_what_a_search_does_not_know_is_refused(butler, options, message):
    with pytest.raises(ParameterError, match=message):
        coverage(butler, order=5, **options)
    with pytest.raises(ParameterError, match=message):
        found_at(butler, 5, np.arange(12 * 4**5), **options)


def test_cutouts_count_but_in_no_channel(tmp_path):
    with new_repo() as butler:
        ingest_files(butler, copy_exposures(tmp_path / "files"), transfer="copy")
        counted = coverage(butler, order=10, channels=True)
        assert counted.images == 6
        assert all(depth.sum() == 0 for depth in counted.channels.values())


def test_polygons_with_other_corners_count():
    with new_repo() as butler:
        register_frames(butler, make_frame(detector=3))
        other = archive_row(make_frame(detector=3, obs_id="2025W51_1A_0684_3"))
        corners = other["s_region"].split()[2:]
        other["s_region"] = " ".join(["POLYGON ICRS", *corners[:6], *corners[:2]])  # a triangle
        ingest_archive_table(butler, Table(rows=[other]))
        assert np.isfinite(find_images(butler, sky_of(make_frame(detector=3), 500.0, 500.0))["x"]).sum() == 1
        counted = coverage(butler, order=6)
        pixels = np.arange(len(counted.depth))
        np.testing.assert_array_equal(counted.depth, counts(found_at(butler, 6, pixels), len(pixels)))
        assert counted.depth.max() == 2


def test_channels_in_a_tagged_collection_are_those_that_a_search_finds():
    """Some of its images are of QR2, and some were processed again for QR3, whose detector 5 sees other wavelengths."""
    again = {"release": "qr3", "obs_id": "2025W51_1A_0684_2", "token": "l2b-v27-2026-200"}
    with new_repo() as butler:
        for options in ({}, again):
            register_frames(butler, *(make_frame(detector=detector, **options) for detector in (2, 5)))
        butler.registry.registerCollection("u/me/good", CollectionType.TAGGED)
        every = butler.query_datasets(DATASET_TYPE, collections="SPHEREx/*", find_first=False)
        for release in ("qr2", "qr3"):
            chosen = [ref for ref in every if (release_of_run(ref.run) == release) == (ref.dataId["detector"] == 5)]
            butler.registry.associate("u/me/good", chosen)
            counted = coverage(butler, order=7, channels=True, collections="u/me/good")
            pixels = np.flatnonzero(counted.depth)
            found = found_at(butler, 7, pixels, collections="u/me/good")
            assert len(set(found["run"])) == 2
            for (detector, channel), depth in counted.channels.items():
                some = found[(found["detector"] == detector) & (found["channel"] == channel)]
                np.testing.assert_array_equal(depth[pixels], counts(some, len(pixels)))
            assert sum(depth.sum() for depth in counted.channels.values()) > 10
            butler.registry.disassociate("u/me/good", chosen)


def test_channels_in_a_run_of_no_release_are_those_that_a_search_finds():
    with new_repo() as butler:
        register_frames(butler, make_frame(detector=5))
        (ref,) = butler.query_datasets(DATASET_TYPE)
        butler.registry.registerRun("u/me/own")
        butler.registry.insertDatasets(DATASET_TYPE, [ref.dataId], run="u/me/own")
        own = coverage(butler, order=7, channels=True, collections="u/me/own")
        known = coverage(butler, order=7, channels=True)
        assert sum(depth.sum() for depth in own.channels.values()) > 10
        for channel, depth in known.channels.items():
            np.testing.assert_array_equal(own.channels[channel], depth)


def test_depth_at_a_position_is_that_of_its_pixel(counted):
    pixels = some_pixels(counted, 50)
    np.testing.assert_array_equal(counted.at(centers(counted.order, pixels)), counted.depth[pixels])
    one = counted.at(centers(counted.order, pixels)[0], channel=(3, 9))
    assert one == counted.channels[3, 9][pixels[0]]


def test_moc_holds_the_pixels_that_were_seen(counted):
    pixels = some_pixels(counted, 200)
    positions = centers(counted.order, pixels)
    moc = counted.moc(at_least=3)
    np.testing.assert_array_equal(moc.contains_skycoords(positions), counted.depth[pixels] >= 3)
    seen = counted.moc(channel=(3, 9)).contains_skycoords(positions)
    np.testing.assert_array_equal(seen, counted.channels[3, 9][pixels] > 0)


def test_maps_are_written_as_healpix(counted, tmp_path):
    path = tmp_path / "coverage.fits"
    counted.write(path)
    with fits.open(path) as hdus:
        header, table = hdus["COVERAGE"].header, hdus["COVERAGE"].data
        assert (header["PIXTYPE"], header["ORDERING"], header["NSIDE"]) == ("HEALPIX", "NESTED", 128)
        np.testing.assert_array_equal(table["DEPTH"], counted.depth)
        np.testing.assert_array_equal(table["D6C17"], counted.channels[6, 17])
    with pytest.raises(ParameterError, match=r"map\.png' is not the name of a FITS file.*plot_coverage draws"):
        counted.write(path.with_name("map.png"))
    with pytest.raises(FileExistsError, match="overwrite=True"):
        counted.write(path)
    counted.write(path, overwrite=True)


def test_chosen_channels_are_counted(butler, counted):
    for given, expected in [
        ((3, 9), [(3, 9)]),
        ((np.int64(3), np.int64(9)), [(3, 9)]),
        ([(3, 9), (1, 1)], [(3, 9), (1, 1)]),
        (np.array([(3, 9), (1, 1)], float), [(3, 9), (1, 1)]),
    ]:
        some = coverage(butler, channels=given)
        assert list(some.channels) == expected
        assert {type(number) for channel in some.channels for number in channel} == {int}
        np.testing.assert_array_equal(some.channels[3, 9], counted.channels[3, 9])
    assert list(coverage(butler, order=2, channels=True, detectors=2).channels) == [(2, n) for n in range(1, 18)]


def test_empty_repository_has_no_coverage():
    with new_repo() as butler:
        counted = coverage(butler, channels=True)
        assert counted.images == counted.depth.sum() == 0
        assert "0 images, 0.0% of the sky" in repr(counted)


def test_representation_is_short(counted):
    assert repr(counted).startswith("<Coverage: 1,200 images, ")
    assert "102 channels, HEALPix order 7" in repr(counted)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 11}, "order=11 is not possible; expected a whole number from 0 to 10"),
        ({"order": -1}, "order=-1 is not possible"),
        ({"order": 7.0}, r"order=7\.0 is not possible"),
        ({"channels": 3}, r"There is no channel \(3,\)"),
        ({"channels": [3, 9, 1]}, r"There is no channel \(3, 9, 1\)"),
        ({"channels": [None]}, "There is no channel None"),
        ({"time": "2025-12-18"}, "time='2025-12-18' is no range"),
        ({"survey": ["all_sky"]}, r"survey=\['all_sky'\] is not possible; expected one text such as 'all_sky'"),
        ({"planning_period": 2025}, "planning_period=2025 is not possible"),
        ({"channels": (3, 18)}, r"There is no channel \(3, 18\)"),
        ({"channels": [(7, 1)]}, r"There is no channel \(7, 1\)"),
        ({"channels": (3, 1), "detectors": 2}, r"There is no channel \(3, 1\)"),
        ({"detectors": 7}, "There is no detector 7"),
        ({"collections": "nope"}, "No collection with name 'nope'"),
    ],
)
def test_senseless_argument_is_refused(butler, options, message):
    with pytest.raises(ParameterError, match=message):
        coverage(butler, **options)


def test_channel_that_was_not_counted_is_refused(butler):
    counted = coverage(butler, order=2)
    with pytest.raises(ParameterError, match="is not in this coverage"):
        counted.map((3, 9))


def test_depth_at_a_masked_position_is_refused(butler):
    position = SkyCoord(Masked([1.0, 2.0], mask=[False, True]) * u.deg, [3, 4] * u.deg)
    with pytest.raises(ParameterError, match="1 of 2 positions are not finite"):
        coverage(butler, order=2).at(position)
