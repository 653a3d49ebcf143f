"""Which images saw a position: against brute force, and against the headers of the images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import astropy.units as u
import mission
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.time import Time
from lsst.daf.butler import Butler
from lsst.sphgeom import Angle as SphereAngle
from lsst.sphgeom import AngleInterval, Box, Circle, ConvexPolygon, LonLat, NormalizedAngleInterval, UnitVector3d
from made_once import copy_exposures, new_repo
from mocpy import MOC
from sky_images import archive_row, make_frame, register_frames, sky_of

import spherex_butler
from spherex_butler.archive import ingest_archive_table
from spherex_butler.archive.regions import parse_corners
from spherex_butler.images.wavelengths import WavelengthTable
from spherex_butler.ingest import ingest_files
from spherex_butler.repository.creation import make_repo
from spherex_butler.repository.exposures import sky_region
from spherex_butler.search import coverage, find_images
from spherex_butler.search.frames import are_full_frames
from spherex_butler.search.regions import Vectors
from spherex_butler.testing.frames import Frame

DATA = Path(__file__).parents[1] / "data" / "archive_tables"
COLUMNS = [
    *("source", "obs_id", "exposure", "detector", "x", "y", "wavelength", "bandwidth", "channel", "time"),
    *("exposure_time", "ra", "dec", "position_angle", "edge_distance", "release", "run", "dataset_id", "uri"),
]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20251110)


@pytest.fixture
def butler() -> Iterator[Butler]:
    with new_repo() as butler:
        yield butler


@pytest.fixture(scope="module")
def survey() -> Iterator[tuple[Butler, Table]]:
    """A thousand images of a great circle over the poles, and their rows in the archive's table."""
    rows = Table(mission.table(next(mission.periods(1))).slice(0, 1200).to_pydict())
    with new_repo() as butler:
        ingest_archive_table(butler, rows)
        yield butler, rows


def everywhere(rng: np.random.Generator, number: int) -> SkyCoord:
    return SkyCoord(rng.uniform(0, 360, number), np.degrees(np.arcsin(rng.uniform(-1, 1, number))), unit="deg")


def polygon(row: Table.Row) -> ConvexPolygon:
    return ConvexPolygon([direction(*corner) for corner in parse_corners(row["s_region"])])


def direction(ra: float, dec: float) -> UnitVector3d:
    return UnitVector3d(LonLat.fromDegrees(ra, dec))


def brute_force(rows: Table, positions: SkyCoord) -> set[tuple[int, str]]:
    """Return pairs of positions and addresses of images that hold them, by sphgeom, one image after the other."""
    ra, dec = positions.ra.rad, positions.dec.rad
    return {
        (int(number), str(row["access_url"]))
        for row in rows
        for number in np.flatnonzero(polygon(row).contains(ra, dec))
    }


def pairs(found: Table) -> set[tuple[int, str]]:
    return {(int(source), str(uri)) for source, uri in found["source", "uri"].iterrows()}


def test_real_rows_are_found_by_brute_force_and_search_alike(butler, rng):
    report = ingest_archive_table(butler, DATA / "irsa_sia2_spherex_m31_excerpt_6rows.csv")
    assert len(report.ingested) == 6
    regions = [
        record.region for record in butler.registry.queryDimensionRecords("exposure_detector_region") if record.region
    ]
    centers = [LonLat(region.getCentroid()) for region in regions]
    around = [
        SkyCoord(center.getLon().asDegrees(), center.getLat().asDegrees(), unit="deg").directional_offset_by(
            rng.uniform(0, 360, 300) * u.deg, rng.uniform(0, 3.2, 300) * u.deg
        )
        for center in centers
    ]
    positions = SkyCoord([one for each in around for one in each])
    points = [direction(position.ra.deg, position.dec.deg) for position in positions]
    expected = sum(region.contains(point) for region in regions for point in points)
    found = find_images(butler, positions)
    assert len(found) == expected > 1000
    m31 = find_images(butler, "10.684 41.269")
    assert len(m31) == sum(region.contains(direction(10.684, 41.269)) for region in regions) > 0


def test_random_positions_are_found_in_the_images_that_hold_them_and_in_no_others(survey, rng):
    butler, rows = survey
    near = SkyCoord([polygon_center(row) for row in rows[::40]]).directional_offset_by(
        rng.uniform(0, 360, 30) * u.deg, rng.uniform(0, 2.4, 30) * u.deg
    )
    special = SkyCoord([0, 0, 180, 360, 12, 0.0001], [90, -90, 89.99, -89.99, 0, 0.5], unit="deg")
    every = (everywhere(rng, 10_000), near, special)
    positions = SkyCoord(
        *(np.concatenate([getattr(one, name).deg for one in every]) for name in ("ra", "dec")), unit="deg"
    )
    assert pairs(find_images(butler, positions)) == brute_force(rows, positions) != set()


def polygon_center(row: Table.Row) -> SkyCoord:
    center = LonLat(polygon(row).getCentroid())
    return SkyCoord(center.getLon().asDegrees(), center.getLat().asDegrees(), unit="deg")


def test_many_positions_give_what_each_gives_alone(survey, rng):
    """Regions are read pixel by pixel of the sky for a few positions, and once for many."""
    butler, rows = survey
    positions = SkyCoord([*everywhere(rng, 1500), *(polygon_center(row) for row in rows[:200:5])])
    together = pairs(find_images(butler, positions))
    some = [*range(0, 1500, 60), *range(1500, 1540)]
    alone = {(n, uri) for n in some for _, uri in pairs(find_images(butler, positions[n]))}
    assert {pair for pair in together if pair[0] in set(some)} == alone != set()


@pytest.mark.parametrize("radius", [0.3, 3.0, 40.0])
def test_circle_finds_the_images_it_overlaps(survey, radius):
    butler, rows = survey
    center = polygon_center(rows[500])
    circle = Circle(direction(center.ra.deg, center.dec.deg), SphereAngle.fromDegrees(radius))
    expected = {str(row["access_url"]) for row in rows if not polygon(row).isDisjointFrom(circle)}
    found = find_images(butler, center, radius=radius * u.deg)
    assert {str(uri) for uri in found["uri"]} == expected
    assert {str(uri) for uri in find_images(butler, circle)["uri"]} == expected
    assert len(found) == len(expected)
    seen = find_images(butler, center)
    assert 0 < len(seen) < len(found)


def test_circle_gives_the_point_of_an_image_that_is_nearest_its_centre(survey):
    butler, rows = survey
    center = polygon_center(rows[500])
    found = find_images(butler, center, radius=6 * u.deg)
    inside = {str(uri) for uri in find_images(butler, center)["uri"]}
    distances = SkyCoord(found["ra"], found["dec"]).separation(center)
    for row, distance in zip(found, distances, strict=True):
        edge = row["edge_distance"].value
        if str(row["uri"]) in inside:
            assert distance < 1e-6 * u.arcsec
        else:
            assert abs(edge) < 10  # distortion bends the edge of the detector off the edge of the polygon
            assert distance < 6 * u.deg
    assert len(found) > len(inside)


def test_polygon_finds_the_images_it_overlaps(survey):
    butler, rows = survey
    center = polygon_center(rows[300])
    corners = [center.directional_offset_by(angle * u.deg, 2 * u.deg) for angle in (0, 120, 240)]
    area = ConvexPolygon([direction(corner.ra.deg, corner.dec.deg) for corner in corners])
    expected = {str(row["access_url"]) for row in rows if not polygon(row).isDisjointFrom(area)}
    assert {str(uri) for uri in find_images(butler, area)["uri"]} == expected != set()


def test_box_over_all_right_ascensions_finds_the_images_it_overlaps(survey):
    butler, rows = survey
    heights = {str(row["access_url"]): np.array([dec for _, dec in parse_corners(row["s_region"])]) for row in rows}
    every = np.concatenate(list(heights.values()))
    for south, north in [
        (-90, 90),
        (-90, every.min() + 1),
        (every.max() - 1, 90),
        (np.median(every) - 1, np.median(every) + 2),
    ]:
        box = Box(NormalizedAngleInterval.full(), AngleInterval.fromDegrees(south, north))
        found = {str(uri) for uri in find_images(butler, box)["uri"]}
        surely = {uri for uri, dec in heights.items() if ((dec >= south) & (dec <= north)).any()}
        never = {uri for uri, dec in heights.items() if dec.min() > north + 6 or dec.max() < south - 6}
        assert set() != surely <= found
        assert not found & never
        assert (len(found) == len(rows)) == ((south, north) == (-90, 90))


def test_box_that_is_a_point_finds_the_images_that_hold_it(survey):
    butler, rows = survey
    center = polygon_center(rows[300])
    expected = {str(uri) for uri in find_images(butler, center)["uri"]}
    point = Box(LonLat.fromDegrees(center.ra.deg, center.dec.deg))
    assert {str(uri) for uri in find_images(butler, point)["uri"]} == expected != set()


def test_moc_finds_the_images_it_overlaps(survey):
    butler, rows = survey
    center = polygon_center(rows[300])
    fields = [
        MOC.from_cone(where.ra, where.dec, radius=1 * u.deg, max_depth=10)
        for where in (center, polygon_center(rows[700]))
    ]
    moc = fields[0].union(fields[1])

    def image(row: Table.Row) -> MOC:
        ra, dec = np.transpose(parse_corners(row["s_region"]))
        return MOC.from_polygon(ra * u.deg, dec * u.deg, max_depth=9)

    images = {str(row["access_url"]): image(row) for row in rows}
    coarse = moc.degrade_to_order(9)
    expected = {uri for uri, footprint in images.items() if not footprint.intersection(coarse).empty()}
    found = {str(uri) for uri in find_images(butler, moc)["uri"]}
    assert 0 < len(expected) < len(rows)
    assert found >= {uri for uri, footprint in images.items() if not footprint.intersection(moc).empty()}
    assert len(found ^ expected) <= 2  # both round the image up to cells, each in its way
    assert len(find_images(butler, MOC.new_empty(max_depth=3))) == 0


@pytest.mark.parametrize(("detector", "accuracy"), [(3, 0.01), (1, 8), (6, 8)])
def test_pixel_is_that_of_the_header(butler, detector, accuracy):
    frame = make_frame(detector=detector)
    register_frames(butler, frame)
    x, y = np.meshgrid(np.linspace(10, 2029, 12), np.linspace(10, 2029, 12))
    found = find_images(butler, sky_of(frame, x, y).ravel())
    assert len(found) == x.size
    apart = np.hypot(found["x"].value - x.ravel()[found["source"]], found["y"].value - y.ravel()[found["source"]])
    assert apart.max() <= accuracy
    nearest = np.minimum.reduce([x + 0.5, y + 0.5, 2039.5 - x, 2039.5 - y]).ravel()[found["source"]]
    np.testing.assert_allclose(found["edge_distance"].value, nearest, atol=accuracy)


def shape_of(frame: Frame, width: int, height: int, x: int = 0, y: int = 0) -> Vectors:
    """Return the region of a part of a frame, as the registry has it; shape (1, 4, 3)."""
    corners = sky_of(frame, np.array([0, width, width, 0]) + x - 0.5, np.array([0, 0, height, height]) + y - 0.5)
    region = sky_region(zip(corners.ra.deg, corners.dec.deg, strict=True))
    return np.array([[list(corner) for corner in region.getVertices()]])


def test_whole_detectors_are_told_by_their_shape(butler, rng):
    """All that the archive's tables have, and simulated ones all over the sky."""
    for path in sorted(DATA.iterdir()):
        ingest_archive_table(butler, path)
    regions = [r.region for r in butler.registry.queryDimensionRecords("exposure_detector_region") if r.region]
    assert len(regions) == 8
    real = np.array([[list(corner) for corner in region.getVertices()] for region in regions])
    assert are_full_frames(real).all()
    for where in [*everywhere(rng, 40), SkyCoord(0, 90, unit="deg"), SkyCoord(0, -89.9, unit="deg")]:
        assert are_full_frames(shape_of(make_frame(detector=4, center=where), 2040, 2040)).all()


@pytest.mark.parametrize(
    ("width", "height", "x", "y"),
    [
        *((side, side, 0, 0) for side in (1000, 1999, 2000, 2020, 2031)),
        *((2010, 2010, x, y) for x in (0, 30) for y in (0, 30)),
        (2040, 2030, 0, 10),
        (2030, 2040, 0, 0),
    ],
)
def test_pixels_of_large_cutouts_are_not_known(butler, width, height, x, y):
    frame = make_frame(detector=3)
    assert not are_full_frames(shape_of(frame, width, height, x, y)).any()
    row = archive_row(frame)
    corners = sky_of(frame, np.array([0, width, width, 0]) + x - 0.5, np.array([0, 0, height, height]) + y - 0.5)
    row["s_region"] = "POLYGON ICRS " + " ".join(f"{one.ra.deg} {one.dec.deg}" for one in (*corners, corners[0]))
    ingest_archive_table(butler, Table(rows=[row]))
    (found,) = find_images(butler, sky_of(frame, 500.0, 500.0))
    assert np.isnan(found["x"])
    assert np.isnan(found["wavelength"])


def test_position_angle_is_that_of_the_image_there(butler):
    frame = make_frame(detector=3)
    register_frames(butler, frame)
    below, above = sky_of(frame, [200.0, 200.0], [1500.0, 1501.0])
    (found,) = find_images(butler, below)
    assert abs(found["position_angle"] - below.position_angle(above)) < 0.01 * u.deg


@pytest.mark.parametrize("release", ["qr2", "qr3"])
@pytest.mark.parametrize("detector", [3, 5])
def test_wavelength_is_that_of_the_release(butler, detector, release, rng):
    frame = make_frame(detector=detector, release=release)
    register_frames(butler, frame)
    x, y = rng.uniform(20, 2019, (2, 50))
    found = find_images(butler, sky_of(frame, x, y))
    source = found["source"]
    wavelength, bandwidth = frame.wavelengths.at(x[source], y[source])
    channel = np.median(bandwidth)
    assert np.abs(found["wavelength"].to_value(u.um) - wavelength).max() < channel / (100 if detector == 3 else 10)
    assert np.abs(found["bandwidth"].to_value(u.um) - bandwidth).max() < channel / 10
    assert set(found["release"]) == {release}


def test_detectors_5_of_both_releases_differ(butler):
    frames = [make_frame(detector=5, release=release) for release in ("qr2", "qr3")]
    center = sky_of(frames[0], 1000.0, 1000.0)
    register_frames(butler, *(make_frame(detector=5, release=name, center=center) for name in ("qr2", "qr3")))
    before, after = find_images(butler, center)
    assert (before["release"], after["release"]) == ("qr2", "qr3")
    x, y = before["x"].value, before["y"].value
    tables = [WavelengthTable.of_detector(5, release) for release in ("qr2", "qr3")]
    apart = tables[1].at(x, y)[0] - tables[0].at(x, y)[0]
    assert apart == pytest.approx(0.0064, abs=1e-4)
    assert (after["wavelength"] - before["wavelength"]).to_value(u.um) == pytest.approx(0.0064, abs=2e-4)


def test_wavelength_chooses_bands_that_meet_it(survey):
    butler, rows = survey
    positions = SkyCoord([polygon_center(row) for row in rows[::20]])
    every = find_images(butler, positions)
    low = (every["wavelength"] - every["bandwidth"] / 2).to_value(u.um)
    high = (every["wavelength"] + every["bandwidth"] / 2).to_value(u.um)
    for wanted, shortest, longest in [
        ((1.2, 1.4) * u.um, 1.2, 1.4),
        ([1.4, 1.2] * u.um, 1.2, 1.4),
        (2.2 * u.um, 2.2, 2.2),
        ((2200 * u.nm, 3 * u.um), 2.2, 3.0),
        ((100, 150) * u.THz, 1.998616, 2.99792458),
        (1 * u.eV, 1.239842, 1.239842),
    ]:
        found = find_images(butler, positions, wavelength=wanted)
        expected = every[(low <= longest) & (high >= shortest)]
        assert 0 < len(expected) < len(every)
        assert pairs(found) == pairs(expected)


def test_channel_is_that_of_the_wavelength(survey):
    butler, rows = survey
    found = find_images(butler, SkyCoord([polygon_center(row) for row in rows[::10]]))
    with butler.query() as query:
        records = {(r.detector, r.id): r for r in query.dimension_records("channel")}
    assert set(found["channel"]) >= set(range(1, 18))
    inside = found[found["channel"] > 0]
    for detector, channel, wavelength in inside["detector", "channel", "wavelength"].iterrows():
        record = records[detector, channel]
        assert record.wavelength_min - 0.003 <= wavelength.to_value(u.um) <= record.wavelength_max + 0.003


def test_rows_say_which_image_and_when(survey):
    butler, rows = survey
    found = find_images(butler, polygon_center(rows[700]))
    assert found.colnames == COLUMNS
    row = found[list(found["uri"]).index(rows[700]["access_url"])]
    assert row["source"] == 0
    assert (row["obs_id"], row["detector"]) == (rows[700]["obs_id"], 700 % 6 + 1)
    middle = Time((rows[700]["t_min"] + rows[700]["t_max"]) / 2, format="mjd", scale="utc")
    assert abs(row["time"] - middle) < 1 * u.ms
    assert row["exposure_time"].to_value(u.s) == rows[700]["t_exptime"]
    assert SkyCoord(row["ra"], row["dec"]).separation(polygon_center(rows[700])) < 1e-6 * u.arcsec
    ref = butler.get_dataset(row["dataset_id"])
    assert ref.run == row["run"]
    assert (ref.dataId["exposure"], ref.dataId["detector"]) == (row["exposure"], row["detector"])
    assert np.all(np.diff(found["time"].mjd) >= 0)


def test_uri_is_that_of_butler(butler, tmp_path):
    files = copy_exposures(tmp_path / "a folder")
    ingest_files(butler, files[:3], transfer="copy")
    ingest_files(butler, files[3:], transfer="direct")
    centers = [spherex_butler.SpectralImage.read(path).wcs.pixel_to_world(8, 8) for path in files]
    found = find_images(butler, SkyCoord(centers))
    assert len(set(found["dataset_id"])) == len(files)
    for row in found:
        assert row["uri"] == butler.getURI(butler.get_dataset(row["dataset_id"])).geturl()


def test_postgresql_gives_the_same(survey, postgres_database, tmp_path):
    butler, rows = survey
    positions = SkyCoord([polygon_center(row) for row in rows[::100]])
    expected = find_images(butler, positions, wavelength=(1, 3) * u.um)
    with make_repo(tmp_path / "repo", database=postgres_database) as other:
        ingest_archive_table(other, rows)
        found = find_images(other, positions, wavelength=(1, 3) * u.um)
        many = find_images(other, SkyCoord([*positions] * 30))
        counted = coverage(other, order=5, channels=(3, 9))
    for name in found.colnames:
        assert list(found[name]) == list(expected[name])
    assert len(many) == 30 * len(find_images(butler, positions))
    np.testing.assert_array_equal(counted.depth, coverage(butler, order=5).depth)
