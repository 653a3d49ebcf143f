"""Where and when simulated exposures are."""

from __future__ import annotations

import astropy.units as u
import pytest
from astropy.coordinates import SkyCoord
from simulated import DETECTORS, hdulist

from spherex_butler.testing import plan_exposures
from spherex_butler.testing.frames import make_frame


def centers(**options):
    frames = {detector: make_frame(detector=detector, **options) for detector in DETECTORS}
    return {
        detector: SkyCoord(*frame.wcs().all_pix2world(1019.5, 1019.5, 0), unit="deg")
        for detector, frame in frames.items()
    }


def test_an_exposure_covers_three_fields_side_by_side():
    boresight = SkyCoord(150.0, -20.0, unit="deg")
    fields = centers(center=boresight)
    for short, long in ((1, 4), (2, 5), (3, 6)):
        assert fields[short].separation(fields[long]) < 1 * u.arcsec
    assert fields[2].separation(boresight) < 0.2 * u.deg
    for left, right in ((1, 2), (2, 3)):
        assert 3.485 * u.deg < fields[left].separation(fields[right]) < 4.1 * u.deg
        wcs = make_frame(detector=left, center=boresight).wcs()
        x, y = wcs.wcs_world2pix(fields[right].ra, fields[right].dec, 0)
        assert 2040 < x - 1019.5 < 2400
        assert abs(y - 1019.5) < 120


def test_position_angle_turns_the_detectors_axis():
    boresight = SkyCoord(150.0, -20.0, unit="deg")
    for angle in (0, 75, 300):
        wcs = make_frame(detector=2, center=boresight, position_angle=angle * u.deg).wcs()
        low, high = (SkyCoord(*wcs.all_pix2world(1019.5, y, 0), unit="deg") for y in (900, 1100))
        difference = low.position_angle(high).to_value(u.deg) - angle
        assert abs((difference + 180) % 360 - 180) < 1
    default = make_frame(position_angle=20 * u.deg).pointing
    assert default.boresight.separation(make_frame().pointing.boresight) < 1 * u.mas
    assert default.position_angle.to_value(u.deg) == pytest.approx(20)


def test_planned_pointing_is_in_the_header():
    boresight = SkyCoord(200.0, 30.0, unit="deg")
    header = hdulist(center=boresight)["IMAGE"].header
    ecliptic = boresight.barycentricmeanecliptic
    assert header["SPS_ELON"] == pytest.approx(ecliptic.lon.deg, abs=1e-4)
    assert header["SPS_ELAT"] == pytest.approx(ecliptic.lat.deg, abs=1e-4)
    assert header["SPS_EPA"] == 180
    south = hdulist(center=SkyCoord(80.0, -66.0, unit="deg"))["IMAGE"].header
    assert south["SPS_ELAT"] < -80


def test_detectors_of_an_exposure_start_within_milliseconds_and_small_slews_129_s_apart():
    starts = {detector: hdulist(detector=detector)["IMAGE"].header["MJD-BEG"] for detector in DETECTORS}
    delays = [(start - starts[3]) * 86400e3 for start in starts.values()]
    assert max(delays) == pytest.approx(1, abs=0.1)  # MJD has 0.09 ms
    assert min(delays) == pytest.approx(-1, abs=0.1)
    later = hdulist(detector=3, obs_id="2025W51_1A_0684_3")["IMAGE"].header
    assert (later["MJD-BEG"] - starts[3]) * 86400 == pytest.approx(128.95, abs=1e-3)
    assert later["DATE-BEG"] == "2025-12-18T05:11:43.600"


@pytest.mark.parametrize(
    ("obs_id", "t_min"),
    [
        ("2025W51_2A_0258_2", 61028.776824),
        ("2025W52_1A_0344_1", 61032.713481),
        ("2025W52_2A_0555_1", 61037.266937),
        ("2025W49_1A_0332_1", 61011.504189),
    ],
)
def test_observation_ids_fall_near_their_real_times(obs_id, t_min):
    assert hdulist(obs_id=obs_id)["IMAGE"].header["MJD-BEG"] == pytest.approx(t_min, abs=0.25)


def test_default_token_is_that_of_the_planning_period():
    observations = ("2025W51_1A_0684_2", "2025W51_2A_0258_2", "2026W02_1A_0001_1")
    tokens = [make_frame(obs_id=obs_id).token for obs_id in observations]
    assert tokens == ["l2b-v21-2025-354", "l2b-v21-2025-357", "l2b-v21-2026-010"]
    assert make_frame(release="qr3").token == "l2b-v27-2026-227"


@pytest.mark.parametrize(
    ("start", "following"),
    [
        ("2025W51_1A_0684_4", "2025W51_1A_0686_1"),
        ("2025W51_1A_0744_3", "2025W51_2A_0001_1"),
        ("2025W52_2A_0744_3", "2026W01_1A_0001_1"),
    ],
)
def test_sequences_run_on_into_the_next_slew_and_period(start, following):
    second = plan_exposures("out", exposures=2, detectors=[1], obs_id=start)[1]
    assert second.options["obs_id"] == following
    first_times, second_times = (make_frame(obs_id=obs_id).observation.times(1) for obs_id in (start, following))
    assert first_times.end < second_times.begin
