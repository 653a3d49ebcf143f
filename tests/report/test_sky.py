"""The map of the sky: what is drawn is where it is on the sky."""

from __future__ import annotations

import base64
import io
from xml.etree import ElementTree as ET

import hpgeom
import numpy as np
import pytest
from PIL import Image
from report_pages import said

from spherex_butler.report.markup import element
from spherex_butler.report.sky import _projected, sky_section
from spherex_butler.search import Coverage

ORDER = 6
PIXELS = 12 * 4**ORDER


def drawn(depth: np.ndarray) -> ET.Element:
    coverage = Coverage(ORDER, depth.astype(np.int32), {}, 17)
    return ET.fromstring(element("div", *sky_section(coverage, "REPO")))


def raster(page: ET.Element) -> np.ndarray:
    """Return the picture's alpha channel."""
    content = page.find(".//image").get("href").partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        return np.asarray(image.convert("RGBA"))[..., 3]


@pytest.mark.parametrize(("lon", "lat"), [(180, 0), (10, 40), (350, -40), (269, 66), (90, -66), (200, 85)])
def test_a_place_is_drawn_where_the_projection_has_it(lon, lat):
    depth = np.zeros(PIXELS)
    depth[hpgeom.query_circle(1 << ORDER, lon, lat, 3, nest=True)] = 5
    rows, columns = np.nonzero(raster(drawn(depth)))
    x, y = _projected(np.array(float(lon)), np.array(float(lat)))
    assert abs(rows.mean() + 0.5 - y) < 2
    assert abs(columns.mean() + 0.5 - x) < 2


def test_the_picture_shows_parts_of_the_sky_in_proportion():
    depth = np.zeros(PIXELS)
    depth[hpgeom.pixel_to_angle(1 << ORDER, np.arange(PIXELS), nest=True)[1] > 30] = 1
    every = raster(drawn(np.ones(PIXELS))) > 0
    assert (raster(drawn(depth)) > 0).sum() / every.sum() == pytest.approx(0.25, abs=0.01)


def test_east_is_on_the_left():
    assert _projected(np.array(190.0), np.array(0.0))[0] < _projected(np.array(170.0), np.array(0.0))[0]


def test_numbers_are_those_of_the_map():
    depth = np.zeros(PIXELS)
    depth[: PIXELS // 4], depth[: PIXELS // 8] = 4, 1200
    text = said(drawn(depth))
    assert "17 images with a place on the sky saw 25 % of it." in text
    assert "the most 1,200 times" in text
    rows = [[said(cell) for cell in row] for row in drawn(depth).iter("tr")][1:]
    assert rows == [
        ["1 time or more", "25 %"],
        ["10 times or more", "12.5 %"],
        ["100 times or more", "12.5 %"],
        ["1,000 times or more", "12.5 %"],
    ]


@pytest.mark.parametrize("most", [1, 2, 9, 828, 3380, 24103])
def test_ticks_of_the_scale_do_not_touch(most):
    depth = np.ones(PIXELS)
    depth[0] = most
    ticks = [tick for tick in drawn(depth).iter("text") if tick.get("class") == "tick"]
    places = [float(tick.get("x")) for tick in ticks]
    assert ticks[-1].text == f"{most:,}"
    assert places == sorted(places)
    assert all(np.diff(places) > 40)


def test_without_regions_it_says_what_to_do():
    page = drawn(np.zeros(PIXELS))
    assert "butler spherex verify REPO --fix reads it from the headers" in said(page)
    assert page.find(".//image") is None
