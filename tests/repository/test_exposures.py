"""Regions of images and of searches, and the pixels of the sky that they overlap."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.sphgeom import (
    Angle,
    AngleInterval,
    Box,
    Circle,
    HealpixPixelization,
    HtmPixelization,
    LonLat,
    NormalizedAngleInterval,
    PixelizationABC,
    UnitVector3d,
)

from spherex_butler.repository.exposures import sky_pixels

PIXELIZATION = HealpixPixelization(4)
EVERYWHERE = NormalizedAngleInterval.full()


def box(longitudes: tuple[float, float] | None, latitudes: tuple[float, float]) -> Box:
    lon = EVERYWHERE if longitudes is None else NormalizedAngleInterval.fromDegrees(*longitudes)
    return Box(lon, AngleInterval.fromDegrees(*latitudes))


UNSEEN = [
    Box.full(),
    box(None, (85, 90)),
    box(None, (-90, -89.9)),
    box(None, (-3, 20)),
    box(None, (12, 12)),
    box((10, 10), (20, 20)),
    box((10, 10), (90, 90)),
    box((0, 0), (-90, -90)),
    box((10, 10), (-90, 90)),
    box((350, 20), (5, 5)),
]
OTHERS = [box((10, 12), (20, 22)), box((350, 10), (80, 90)), box((10, 9), (-40, 10))]


def pixels_of_points(area: Box, pixelization: PixelizationABC) -> set[int]:
    """Return the pixels of some points of a box."""
    width, latitudes = area.getLon().getSize().asRadians(), area.getLat()
    lon = area.getLon().getA().asRadians() + np.linspace(0, 1, 41) * width
    lat = np.linspace(latitudes.getA().asRadians(), latitudes.getB().asRadians(), 41)
    directions = [UnitVector3d(LonLat.fromRadians(x % (2 * np.pi), y)) for x in lon for y in lat]
    return {int(pixelization.index(direction)) for direction in directions}


@pytest.mark.parametrize("area", [*UNSEEN, *OTHERS], ids=str)
@pytest.mark.parametrize("pixelization", [PIXELIZATION, HtmPixelization(5)], ids=["healpix", "htm"])
def test_box_has_the_pixels_of_its_points(area, pixelization):
    found = sky_pixels(pixelization, area)
    assert set(found) >= pixels_of_points(area, pixelization)
    assert found == sorted(set(found))


@pytest.mark.parametrize("area", UNSEEN, ids=str)
def test_sphgeom_finds_no_pixels_of_such_boxes(area):
    """If this fails, sphgeom or hpgeom was mended, and what works round it in `sky_pixels` may go."""
    assert list(PIXELIZATION.envelope(area)) == []


def test_small_box_has_few_pixels():
    assert len(sky_pixels(PIXELIZATION, box((10, 10), (20, 20)))) < 5
    assert len(sky_pixels(PIXELIZATION, box(None, (85, 90)))) < 50


def test_circle_has_the_pixels_that_sphgeom_finds():
    circle = Circle(UnitVector3d(LonLat.fromDegrees(10, 20)), Angle(0.1))
    expected = [pixel for begin, end in PIXELIZATION.envelope(circle) for pixel in range(begin, end)]
    assert sky_pixels(PIXELIZATION, circle) == expected
