"""Images that a region of the sky overlaps are those of which a dense grid of points has one in the region."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.sphgeom import Angle, Box, Circle, ConvexPolygon, Ellipse, HealpixPixelization, LonLat, Region, UnitVector3d
from made_once import new_repo
from sky_images import make_frame, register_frames, sky_of

from spherex_butler.search import find_images
from spherex_butler.search.areas import area_pixels, overlapping
from spherex_butler.search.regions import Vectors, unit_vectors

HALF = np.tan(np.radians(1.75))  # of an image's side
GRID = np.stack(np.meshgrid(*[np.linspace(-1, 1, 81)] * 2), axis=-1).reshape(-1, 2)
SLACK = 0.95  # of an image: what of it is overlapped has a point of the grid of the whole


def ellipse(lon: float, lat: float, *sizes: float) -> Ellipse:
    return Ellipse(UnitVector3d(LonLat.fromDegrees(lon, lat)), *map(Angle.fromDegrees, sizes))


AREAS = {
    "thin ellipse": ellipse(30, 20, 5, 0.25, 30),
    "ellipse that is higher than wide": ellipse(200, -60, 3, 12, 110),
    "ellipse over a pole": ellipse(10, 89, 4, 2, 0),
    "ellipse of a hemisphere and more": ellipse(10, 41, 100, 95, 30),
    "box": Box.fromDegrees(100, 10, 103, 14),
    "box over RA 0": Box.fromDegrees(350, -5, 10, 5),
    "box all but around": Box.fromDegrees(10, -5, 350, 5),
    "box of half the circle up to a pole": Box.fromDegrees(175, 55, 355, 90),
    "box of one point": Box.fromDegrees(40, 40, 40, 40),
    "zone": Box.fromDegrees(0, -30, 360, -29),
    "cap": Box.fromDegrees(0, -90, 360, -80),
    "ring around a pole": Box.fromDegrees(0, 89, 360, 89.5),
    "whole sky": Box.full(),
    "circle": Circle(UnitVector3d(LonLat.fromDegrees(5, 5)), Angle.fromDegrees(2)),
    "polygon": ConvexPolygon([UnitVector3d(LonLat.fromDegrees(*corner)) for corner in ((5, 5), (15, 6), (9, 16))]),
}


def images_around(area: Region, number: int = 60) -> tuple[Vectors, Vectors]:
    """Return centres and axes of images near a region, at all angles: shapes (n, 3) and (n, 2, 3)."""
    random = np.random.default_rng(1)
    circle = area.getBoundingCircle()
    middle = np.array(list(circle.getCenter()))
    away = random.uniform(0, min(np.pi, circle.getOpeningAngle().asRadians() + 0.06), (number, 1))
    centers = middle * np.cos(away) + unit_vectors(np.cross(middle, random.normal(size=(number, 3)))) * np.sin(away)
    first = unit_vectors(np.cross(centers, random.normal(size=(number, 3))))
    return centers, HALF * np.stack([first, np.cross(centers, first)], axis=1)


def points_of(centers: Vectors, axes: Vectors, places: np.ndarray) -> Vectors:
    return unit_vectors(centers[:, np.newaxis] + np.einsum("pk,nkj->npj", places, axes))


@pytest.mark.parametrize("name", AREAS)
def test_images_that_overlap_have_a_point_in_the_region(name):
    area = AREAS[name]
    centers, axes = images_around(area)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    points = np.ascontiguousarray(points_of(centers, axes, GRID).reshape(-1, 3).T)
    sampled = area.contains(*points).reshape(len(centers), -1).any(axis=1)
    found = overlapping(points_of(centers, axes, corners), area)
    if name != "box of one point":  # which no grid meets
        assert sampled.any()
        assert (overlapping(points_of(centers, axes, SLACK * corners), area) <= sampled).all()
    assert (sampled <= found).all()


@pytest.mark.parametrize("name", AREAS)
def test_images_that_overlap_share_a_pixel_of_the_sky_with_the_region(name):
    sky, area = HealpixPixelization(4), AREAS[name]
    polygons = points_of(*images_around(area), np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]))
    found = polygons[overlapping(polygons, area)]
    assert len(found) > 0
    pixels = set(area_pixels(sky, area))
    for corners in found:
        assert pixels & set(area_pixels(sky, ConvexPolygon([UnitVector3d(*corner) for corner in corners])))


def test_point_in_an_image_is_overlapped_and_beside_it_is_not():
    centers, axes = images_around(Box.full(), 1)
    corners = points_of(centers, axes, np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]))
    for place, expected in ((0.99, True), (1.01, False)):
        point = LonLat(UnitVector3d(*points_of(centers, axes, np.array([(place, 0.3)]))[0, 0]))
        lon, lat = point.getLon().asDegrees(), point.getLat().asDegrees()
        assert overlapping(corners, Box.fromDegrees(lon, lat, lon, lat)).tolist() == [expected]
        assert overlapping(corners, ellipse(lon, lat, 1e-7, 1e-7, 0)).tolist() == [expected]


def test_zone_of_the_sky_finds_the_images_in_it():
    with new_repo() as butler:
        frame = make_frame(detector=3)
        register_frames(butler, frame)
        center = sky_of(frame, 1020.0, 1020.0)
        for south, expected in ((center.dec.deg - 1, 1), (center.dec.deg + 5, 0)):
            zone = Box.fromDegrees(0, south, 360, south + 1)
            assert len(find_images(butler, zone)) == expected
