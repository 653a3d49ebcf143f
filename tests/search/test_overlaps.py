"""A circle or region finds the images that see a wavelength anywhere in it: against brute force over their pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import astropy.units as u
import hpgeom
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from lsst.daf.butler import Butler
from lsst.sphgeom import Angle, Box, Circle, ConvexPolygon, Ellipse, LonLat, UnitVector3d
from made_once import new_repo
from mocpy import MOC
from sky_images import make_frame, register_frames, sky_of

from spherex_butler.search import find_images
from spherex_butler.search.regions import separations
from spherex_butler.search.shapes import part_of
from spherex_butler.search.targets import Area, Cells
from spherex_butler.testing.frames import Frame

STEP = 8
FRAMES = (
    make_frame(detector=3, obs_id="2025W51_1A_0685_1", position_angle=77 * u.deg),
    make_frame(detector=3, obs_id="2026W33_1A_0684_2", release="qr3", position_angle=200 * u.deg),
)


@pytest.fixture(scope="module")
def butler() -> Iterator[Butler]:
    with new_repo() as butler:
        register_frames(butler, *FRAMES)
        yield butler


@pytest.fixture(scope="module")
def pixels() -> dict[str, tuple[SkyCoord, np.ndarray, np.ndarray]]:
    """Every eighth pixel of each image: where it is, and its wavelength and bandwidth."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(0.0, 2040, STEP), np.arange(0.0, 2040, STEP)))
    return {str(frame.observation): (sky_of(frame, x, y), *frame.wavelengths.at(x, y)) for frame in FRAMES}


def middle(frame: Frame) -> SkyCoord:
    return sky_of(frame, 1019.5, 1019.5)


def vector(position: SkyCoord) -> UnitVector3d:
    return UnitVector3d(LonLat.fromDegrees(position.ra.deg, position.dec.deg))


def held_by(region: object) -> Callable[[SkyCoord], np.ndarray]:
    return lambda points: region.contains(points.ra.rad, points.dec.rad)


def polygon(center: SkyCoord, radius: u.Quantity) -> ConvexPolygon:
    turns = (0, 10, 100, 200) * u.deg
    return ConvexPolygon([vector(center.directional_offset_by(turn, radius)) for turn in turns])


def box(center: SkyCoord, radius: u.Quantity) -> Box:
    half = Angle(radius.to_value(u.rad))
    return Box(LonLat.fromDegrees(center.ra.deg, center.dec.deg), half, half / 3)


def ellipse(center: SkyCoord, radius: u.Quantity) -> Ellipse:
    foci = (vector(center.directional_offset_by(turn * u.deg, 0.9 * radius)) for turn in (30, 210))
    return Ellipse(*foci, Angle(radius.to_value(u.rad)))


REGIONS = {
    "circle": lambda center, radius: Circle(vector(center), Angle(radius.to_value(u.rad))),
    "polygon": polygon,
    "box": box,
    "ellipse": ellipse,
}


def check(
    found: QTable,
    pixels: dict[str, tuple[SkyCoord, np.ndarray, np.ndarray]],
    center: SkyCoord,
    held: Callable[[SkyCoord], np.ndarray],
    wavelength: tuple[float, float],
) -> int:
    """Compare what was found with what the pixels say; return how many images these find."""
    expected = 0
    by_id = {str(row["obs_id"]): row for row in found}
    for obs_id, (sky, value, width) in pixels.items():
        seen = (value - width / 2 <= wavelength[1]) & (value + width / 2 >= wavelength[0])
        near = sky[seen][held(sky[seen])]
        expected += len(near) > 0
        if not len(near):
            continue
        row = by_id[obs_id]
        where = SkyCoord(row["ra"], row["dec"])
        nearest = near.separation(center).min()
        assert (
            where.separation(center) < nearest + 1 * u.arcsec
        )  # that of a pixel which brute force left out may be less
    for row in found:
        half = row["bandwidth"].to_value(u.um) / 2
        assert row["wavelength"].to_value(u.um) - half <= wavelength[1] + 1e-9
        assert row["wavelength"].to_value(u.um) + half >= wavelength[0] - 1e-9
        where = SkyCoord(row["ra"], row["dec"])
        assert held(where.directional_offset_by(where.position_angle(center), 1 * u.mas).reshape(1)).all()
    return expected


@pytest.mark.parametrize("kind", REGIONS)
@pytest.mark.parametrize("radius", [0.1, 0.6, 2.5])
def test_region_finds_images_that_see_the_wavelength_in_it(butler, pixels, kind, radius):
    expected = total = 0
    for number, frame in enumerate(FRAMES):
        center = middle(frame).directional_offset_by((70 * number) * u.deg, (0.4 + number) * u.deg)
        region = REGIONS[kind](center, radius * u.deg)
        where = LonLat(region.getBoundingCircle().getCenter())
        center_of = SkyCoord(where.getLon().asDegrees(), where.getLat().asDegrees(), unit="deg")
        overlapping = len(find_images(butler, region))
        for shortest in np.linspace(1.66, 2.4, 6):
            found = find_images(butler, region, wavelength=(shortest, shortest + 0.003) * u.um)
            seen = check(found, pixels, center_of, held_by(region), (shortest, shortest + 0.003))
            assert seen <= len(found) <= overlapping
            expected, total = expected + seen, total + len(found)
    assert 0 < expected <= total <= expected + 2  # slivers between the pixels that brute force takes


def test_circle_around_several_positions_gives_what_each_gives_alone(butler):
    centers = SkyCoord([middle(frame).directional_offset_by(30 * u.deg, 1 * u.deg) for frame in FRAMES])
    options = {"radius": 0.5 * u.deg, "wavelength": (1.8, 1.9) * u.um}
    together = find_images(butler, centers, **options)
    assert len(together) > 0
    for number, center in enumerate(centers):
        alone = find_images(butler, center, **options)
        rows = together[together["source"] == number]
        for name in ("obs_id", "x", "y", "wavelength", "ra"):
            assert list(rows[name]) == list(alone[name])


def test_moc_finds_images_that_see_the_wavelength_in_it(butler, pixels):
    center = middle(FRAMES[0])
    cones = [
        MOC.from_cone(where.ra, where.dec, radius=0.3 * u.deg, max_depth=9)
        for where in (center.directional_offset_by(turn * u.deg, 0.9 * u.deg) for turn in (20, 170))
    ]
    moc = cones[0].union(cones[1])
    cells = np.stack(hpgeom.pixel_to_vector(512, moc.flatten().astype(np.int64), nest=True), axis=-1).sum(axis=0)
    middle_of_cells = SkyCoord(*np.ravel(hpgeom.vector_to_angle(cells)), unit="deg")
    numbers = []
    for shortest in np.linspace(1.65, 2.41, 9):
        found = find_images(butler, moc, wavelength=(shortest, shortest + 0.003) * u.um)
        numbers.append(check(found, pixels, middle_of_cells, moc.contains_skycoords, (shortest, shortest + 0.003)))
        assert len(found) == numbers[-1]
    assert 0 < sum(numbers) < len(numbers)


@pytest.mark.parametrize("kind", REGIONS)
def test_point_near_a_region_may_be_that_far_from_it(kind):
    """What is given up as too far from a region is: random points, and others around them."""
    rng = np.random.default_rng(1)
    region = REGIONS[kind](SkyCoord(10, 70, unit="deg"), 3 * u.deg)
    part = part_of(Area(region))
    points = rng.normal(part.centers[0], 0.03, (3000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    distances = separations(points, part.centers)
    held = part.holds(points, distances)
    assert list(held) == [region.contains(UnitVector3d(*point)) for point in points]
    for reach in (0.001, 0.02):
        near = np.array([separations(points[held], point).min() <= reach for point in points])
        assert not (near & ~part.may_hold(points, distances, reach)).any()
        assert not part.may_hold(points, distances, reach).all()


def test_point_near_cells_may_be_that_far_from_them():
    rng = np.random.default_rng(1)
    part = part_of(Cells(9, np.arange(2000, 2300)))
    points = rng.normal(part.centers[0], 0.03, (3000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    distances = separations(points, part.centers)
    held = part.holds(points, distances)
    assert 0 < held.sum() < len(held)
    for reach in (0.0003, 0.002):
        near = np.array([separations(points[held], point).min() <= reach for point in points])
        assert not (near & ~part.may_hold(points, distances, reach)).any()
        assert not part.may_hold(points, distances, reach).all()
