from __future__ import annotations

import numpy as np
import pytest

from spherex_butler.archive.regions import parse_corners
from spherex_butler.errors import FormatError

CORNERS = "6.5 41.5 11.0 43.0 13.5 39.5"


@pytest.mark.parametrize(
    "region",
    [
        f"POLYGON ICRS {CORNERS}",
        f"Polygon ICRS {CORNERS} 6.5 41.5",
        f"polygon icrs geocenter {CORNERS}",
        f"Polygon ICRS TOPOCENTER SPHERICAL2 {CORNERS}",
        f"POLYGON {CORNERS}",
        CORNERS,
        "POLYGON('ICRS', 6.5, 41.5, 11.0, 43.0, 13.5, 39.5)",
        "[6.5, 41.5, 11.0, 43.0, 13.5, 39.5]",
        "(6.5,41.5,11.0,43.0,13.5,39.5)",
        np.array(CORNERS.split(), float),
    ],
)
def test_polygons_are_read_as_services_write_them(region):
    assert parse_corners(region) == ((6.5, 41.5), (11.0, 43.0), (13.5, 39.5))


@pytest.mark.parametrize("region", [None, "", "  ", "NaN", "null", [np.nan] * 8, [None] * 8])
def test_an_image_without_a_region_is_off_the_sky(region):
    assert parse_corners(region) is None


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ("CIRCLE ICRS 10 20 3", "The region 'CIRCLE ICRS 10 20 3' is not understood; expected a polygon"),
        ("POLYGON GALACTIC 1 2 3 4 5 6", "is not understood"),
        ("POLYGON ICRS 1 2 3 x 5 6", "is not understood"),
        ("POLYGON", "is not understood"),
        (7.0, "The region 7.0 is not understood"),
        ("POLYGON ICRS 1 2 3 4 5", "is not a polygon of right ascensions and declinations"),
        ("POLYGON ICRS 1 2 3 4 5 96", "is not a polygon of right ascensions and declinations"),
        ("POLYGON ICRS 1 2 3 4 nan 6", "is not a polygon of right ascensions and declinations"),
        ("POLYGON ICRS 1 2 3 4 1 2", "expected three or more, none twice"),
        ("POLYGON ICRS 1 2 3 4 3 4 5 6", "expected three or more, none twice"),
    ],
)
def test_what_is_no_polygon_is_refused(region, message):
    with pytest.raises(FormatError) as caught:
        parse_corners(region)
    assert message in str(caught.value)


def test_a_long_region_is_shortened_in_the_message():
    with pytest.raises(FormatError, match=r"The region '1 1 .{200,300}… is not understood"):
        parse_corners("1 " * 2000 + "x")
