"""What ObsCore says of images, from what is known of them."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from astropy.time import Time

from spherex_butler.obscore.records import collection_of_run, footprints, publisher_did, utc_days
from spherex_butler.repository.exposures import sky_region
from spherex_butler.repository.times import nanoseconds_of


@pytest.mark.parametrize(
    ("run", "survey", "collection"),
    [
        ("spx/l2b-v21-2025-354", "all_sky", "spherex_qr2"),
        ("spx/l2b-v21-2025-354", None, "spherex_qr2"),
        ("spx/l2b-v21-2025-354", "deep", "spherex_qr2_deep"),
        ("spx/l2b-v27-2026-222", "all_sky", "spherex_qr3"),
        ("spx/l2b-v11-2025-200", None, "spherex_qr"),
        ("u/me", "all_sky", None),
    ],
)
def test_collection_is_the_archives(run, survey, collection):
    assert collection_of_run(run, survey) == collection


def test_identifier_is_the_archives_or_that_of_the_dataset():
    own = uuid.UUID(int=1)
    did = "ivo://irsa.ipac/spherex_qr2?2025W49_1A_0332_1/D2"
    assert publisher_did("spherex_qr2", "2025W49_1A_0332_1", 2, own) == did
    assert publisher_did(None, "2025W49_1A_0332_1", 2, own) == f"butler://spherex/{own}"


def test_times_come_back_to_the_last_digit():
    given = np.array([61011.504189, 61011.505521, 60745.0, 61234.999999])
    assert utc_days(nanoseconds_of(Time(given, format="mjd", scale="utc"))).tolist() == given.tolist()
    assert np.isnan(utc_days(np.array([0]))).all()


def region_of(*corners):
    return np.array([[list(vertex) for vertex in sky_region(corners).getVertices()]])


def test_region_that_is_no_whole_detector_has_the_circle_around_it():
    (found,) = footprints(region_of((10, 0), (10.5, 0), (10.5, 0.5), (10, 0.5)), np.array([3]))
    assert (found.s_ra, found.s_dec, found.s_fov) == pytest.approx((10.25, 0.25, 0.5 * 2**0.5), rel=1e-4)
    assert (found.s_xel1, found.s_xel2) == (None, None)
    assert len(found.s_region.split()) == 2 + 2 * 5


def test_polygon_among_others_with_more_corners_has_its_own():
    triangle = region_of((10, 0), (11, 0), (10.5, 1))
    padded = np.concatenate([triangle, triangle[:, -1:]], axis=1)
    (found,) = footprints(padded, np.array([3]))
    assert len(found.s_region.split()) == 2 + 2 * 4
