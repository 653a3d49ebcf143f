"""Things that move are found in the images that hold them when these were taken, and in no others."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import astropy.units as u
import numpy as np
import pytest
from astropy.constants import c
from astropy.coordinates import (
    GCRS,
    TETE,
    GeocentricTrueEcliptic,
    SkyCoord,
    UnitSphericalRepresentation,
    get_body,
    get_body_barycentric,
)
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time
from astropy.utils.masked import Masked
from lsst.daf.butler import Butler
from made_once import new_repo
from sky_images import make_frame, register_frames, sky_of

from spherex_butler.errors import ParameterError
from spherex_butler.repository.times import nanoseconds_of
from spherex_butler.search import Ephemeris, find_images
from spherex_butler.search.motion import stars
from spherex_butler.search.regions import vectors_of

OBS_IDS = [f"2025W51_1A_{slew:04d}_{small}" for slew in range(600, 690, 6) for small in (1, 2, 3)]
START = sky_of(make_frame(obs_id=OBS_IDS[0], detector=3), 300.0, 1020.0)


@pytest.fixture(scope="module")
def butler() -> Iterator[Butler]:
    """Half a day in which the telescope stays where it is: 45 exposures of two detectors that see the same."""
    with new_repo() as butler:
        frames = [make_frame(obs_id=name, detector=d, center=boresight()) for name in OBS_IDS for d in (3, 6)]
        register_frames(butler, *frames)
        yield butler


def boresight() -> SkyCoord:
    return make_frame(obs_id=OBS_IDS[0], detector=3).pointing.boresight


def middle_of(obs_id: str) -> Time:
    times = make_frame(obs_id=obs_id, detector=3).observation.times(3)
    return Time(times.average, scale="utc")


def asteroid(times: Time) -> SkyCoord:
    """Return where something is that crosses the field in a curve, 12 degrees a day."""
    days = (times - middle_of(OBS_IDS[0])).to_value(u.day)
    frame = make_frame(obs_id=OBS_IDS[0], detector=3, center=boresight())
    pixels = days * 12 * 3600 / 6.15
    return sky_of(frame, 300 + pixels, 1020 + 300 * np.sin(3 * days))


def expected_images() -> list[str]:
    """Return the exposures whose frame holds the asteroid at their middle."""
    held = []
    for obs_id in OBS_IDS:
        days = (middle_of(obs_id) - middle_of(OBS_IDS[0])).to_value(u.day)
        x = 300 + days * 12 * 3600 / 6.15
        if x < 2035:  # none is nearer the edge than distortion bends it
            assert x < 2020
            held.append(obs_id)
    return held


@pytest.mark.parametrize("as_table", [False, True])
def test_asteroid_is_found_in_the_images_that_hold_it(butler, as_table):
    times = middle_of(OBS_IDS[0]) + np.arange(-1, 24, 0.5) * u.hour
    positions = asteroid(times)
    ephemeris = Ephemeris(times, positions)
    if as_table:
        ephemeris = Ephemeris.from_table(Table({"datetime_jd": times.utc.jd, "RA": positions.ra, "DEC": positions.dec}))
    found = find_images(butler, ephemeris)
    assert 0 < len(expected_images()) < len(OBS_IDS)
    for detector in (3, 6):
        assert list(found["obs_id"][found["detector"] == detector]) == expected_images()
    apart = SkyCoord(found["ra"], found["dec"]).separation(asteroid(found["time"]))
    assert apart.max() < 0.1 * u.arcsec


def test_function_of_time_is_as_good_as_an_ephemeris(butler):
    found = find_images(butler, asteroid, detectors=3)
    assert list(found["obs_id"]) == expected_images()
    assert SkyCoord(found["ra"], found["dec"]).separation(asteroid(found["time"])).max() < 1e-3 * u.arcsec


def test_ephemeris_is_never_extrapolated(butler):
    times = middle_of(OBS_IDS[0]) + np.linspace(0.9, 2.1, 12) * u.hour
    found = find_images(butler, Ephemeris(times, asteroid(times)), detectors=3)
    expected = [name for name in expected_images() if times[0] <= middle_of(name) <= times[-1]]
    assert list(found["obs_id"]) == expected != expected_images()


def test_ephemeris_in_any_order_is_the_same(butler):
    times = middle_of(OBS_IDS[0]) + np.arange(-1, 24, 0.5) * u.hour
    shuffled = np.random.default_rng(1).permutation(len(times))
    found = find_images(butler, Ephemeris(times[shuffled], asteroid(times)[shuffled]), detectors=3)
    assert list(found["obs_id"]) == expected_images()


def test_large_steps_are_warned_of(caplog):
    times = middle_of(OBS_IDS[0]) + np.arange(0, 4, 0.25) * u.day
    with caplog.at_level(logging.WARNING):
        Ephemeris(times, asteroid(times))
    assert "positions are good to" in caplog.text
    caplog.clear()
    fine = middle_of(OBS_IDS[0]) + np.arange(0, 4, 0.02) * u.day
    Ephemeris(fine, asteroid(fine))
    assert caplog.text == ""


def comet(times: Time) -> SkyCoord:
    """Return where something is that goes round in 300 days, in a loop of 20 degrees."""
    phase = ((times - Time("2025-06-01")) / (300 * u.day)).to_value(u.one) * 2 * np.pi
    return SkyCoord(100 + 20 * np.sin(phase), 10 * np.cos(phase), unit="deg")


def worst_error(days: np.ndarray) -> float:
    """Return by how many arcseconds an ephemeris misses the comet."""
    times = Time("2025-06-01") + days * u.day
    moments = Time("2025-06-01") + np.linspace(days[0], days[-1], 5000) * u.day
    found = SkyCoord(*Ephemeris(times, comet(times)).at(nanoseconds_of(moments)).T, representation_type="cartesian")
    return float(found.separation(comet(moments)).max().to_value(u.arcsec))


HALVES = np.arange(0, 250, 0.5)


@pytest.mark.parametrize(
    "days",
    [
        np.arange(5) * 20.0,
        np.arange(7) * 20.0,
        np.arange(12) * 5.0,
        HALVES[(HALVES <= 100) | (HALVES >= 190)],
        HALVES[(HALVES <= 100) | (HALVES >= 115)],
        HALVES[(HALVES <= 0.5) | (HALVES >= 40)],
    ],
)
def test_warning_tells_the_error_in_the_worst_step(days, caplog):
    with caplog.at_level(logging.WARNING):
        expected = worst_error(days)
    (said,) = re.findall(r"positions are good to ([\d.]+) arcsec only, which is so from (\S+) to (\S+);", caplog.text)
    assert 0.1 < expected < 2 * float(said[0]) < 10 * expected
    gap = int(np.argmax(np.diff(days)))
    if np.ptp(np.diff(days)):
        assert said[1:] == tuple((Time("2025-06-01") + days[gap : gap + 2] * u.day).isot)


@pytest.mark.parametrize("number", [2, 3, 4])
def test_ephemeris_too_short_to_be_judged_says_so(number, caplog):
    days = np.arange(number) * 20.0
    with caplog.at_level(logging.WARNING):
        expected = worst_error(days)
    (said,) = re.findall(
        rf"An ephemeris of {number} positions does not tell .* at worst to ([\d.]+) arcsec", caplog.text
    )
    assert 0.1 < expected < float(said)
    caplog.clear()
    Ephemeris(Time("2025-06-01") + days * u.s, comet(Time("2025-06-01") + np.zeros(number) * u.s))
    assert caplog.text == ""


def test_positions_as_horizons_rounds_them_are_not_warned_of(caplog):
    days = HALVES[(HALVES <= 100) | (HALVES >= 102)]
    positions = comet(Time("2025-06-01") + days * u.day)
    Ephemeris(
        Time("2025-06-01") + days * u.day, SkyCoord(positions.ra.deg.round(5), positions.dec.deg.round(5), unit="deg")
    )
    assert caplog.text == ""


def test_planet_is_where_the_earth_sees_it():
    """And not where the barycentre of the solar system sees it, degrees away."""
    time = Time("2025-12-18T06:00:00") + np.arange(-12, 13, 2) * u.hour
    earth, mars = get_body_barycentric("earth", time), get_body_barycentric("mars", time)
    before = get_body_barycentric("mars", time - (mars - earth).norm() / c)
    expected = SkyCoord(before - earth)
    for frame in (GCRS(obstime=time), TETE(obstime=time), GeocentricTrueEcliptic(obstime=time)):
        given = get_body("mars", time).transform_to(frame)
        found = SkyCoord(*vectors_of(given).T, representation_type="cartesian")
        assert expected.separation(found).max() < 0.1 * u.arcsec
    assert (
        expected.separation(
            SkyCoord(get_body("mars", time).icrs.spherical.represent_as(UnitSphericalRepresentation))
        ).min()
        > 1 * u.deg
    )


def test_planet_is_found_in_the_images_that_hold_it():
    time = middle_of(OBS_IDS[0])
    seen = SkyCoord(*vectors_of(get_body("mars", time)), representation_type="cartesian")
    seen.representation_type = "unitspherical"
    frame = make_frame(obs_id=OBS_IDS[0], detector=2, center=seen)
    times = time + np.arange(-24, 25, 2) * u.hour
    with new_repo() as butler:
        register_frames(butler, frame)
        every = [
            find_images(butler, position)
            for position in (
                lambda moments: get_body("mars", moments),
                Ephemeris(times, get_body("mars", times)),
                get_body("mars", time),
                QTable({"time": times, "mars": get_body("mars", times)})[12:13],
            )
        ]
    for found in every:
        assert list(found["obs_id"]) == [OBS_IDS[0]]
        assert np.hypot(found["x"].value - every[0]["x"].value, found["y"].value - every[0]["y"].value).max() < 0.05


def test_star_of_large_proper_motion_is_found_where_it_is(butler):
    """A star that was 4 degrees away in 2016 is in the images now, and one that was in them has left."""
    center = sky_of(make_frame(obs_id=OBS_IDS[0], detector=3, center=boresight()), 1000.0, 1000.0)
    start = center.directional_offset_by(30 * u.deg, 4 * u.deg)
    years = (middle_of(OBS_IDS[0]) - Time("J2016")).to(u.yr)

    def moving(begin: SkyCoord, end: SkyCoord) -> SkyCoord:
        direction, rate = begin.position_angle(end), begin.separation(end) / years
        return SkyCoord(
            begin.ra, begin.dec, pm_ra_cosdec=rate * np.sin(direction), pm_dec=rate * np.cos(direction),
            obstime=Time("J2016"),
        )  # fmt: skip

    arrived = find_images(butler, moving(start, center))
    assert len(arrived) == 2 * len(OBS_IDS)
    assert len(find_images(butler, moving(center, start))) == 0
    assert len(find_images(butler, start)) == 0
    assert SkyCoord(arrived["ra"], arrived["dec"]).separation(center).max() < 1 * u.arcmin  # the star turned a corner


def test_star_is_where_astropy_takes_it():
    star = SkyCoord(
        269.452 * u.deg, 4.693 * u.deg, distance=1.828 * u.pc, pm_ra_cosdec=-802 * u.mas / u.yr,
        pm_dec=10362 * u.mas / u.yr, radial_velocity=-110 * u.km / u.s, obstime=Time("J2016"),
    )  # fmt: skip
    times = Time("2025-05-01") + np.arange(0, 700, 50) * u.day
    (motion,) = stars(star.reshape(1))
    found = SkyCoord(*motion.at(nanoseconds_of(times)).T, representation_type="cartesian")
    earth = get_body_barycentric("earth", times)
    for time, there, here in zip(times, found, earth, strict=True):
        seen = star.apply_space_motion(new_obstime=time).cartesian.without_differentials() - here
        assert SkyCoord(seen).separation(SkyCoord(there.cartesian)) < 1 * u.mas


def test_parallax_moves_a_star():
    star = SkyCoord(10 * u.deg, 20 * u.deg, distance=1 * u.pc, pm_ra_cosdec=0 * u.mas / u.yr, pm_dec=0 * u.mas / u.yr,
                    obstime=Time("J2016"))  # fmt: skip
    (near,) = stars(star.reshape(1))
    there = near.at(nanoseconds_of(Time(["2025-06-30", "2025-12-30"])))
    moved = np.degrees(np.linalg.norm(there[1] - there[0])) * 3600
    assert 1.5 < moved < 2.0


def masked(values: list[float]) -> Masked:
    """Return numbers of which the last is masked."""
    return Masked(values, mask=[False] * (len(values) - 1) + [True])


ONES = np.ones(5)
NAMES = {"icrs": ("ra", "dec", "pm_ra_cosdec", "pm_dec"), "galactic": ("l", "b", "pm_l_cosb", "pm_b")}


def second(unit: u.UnitBase, values: float, other: float) -> u.Quantity:
    return np.where(np.arange(5) == 1, other, values) * unit


SPEED = 50 * ONES * u.mas / u.yr
FAR = 100 * ONES * u.pc


@pytest.mark.parametrize(
    ("frame", "across", "options", "same"),
    [
        ("icrs", second(u.mas / u.yr, 50, np.nan), {}, False),
        ("galactic", second(u.mas / u.yr, 50, np.nan), {}, False),
        ("icrs", SPEED, {"distance": second(u.pc, 100, np.nan)}, True),
        ("icrs", SPEED, {"distance": second(u.pc, 100, np.inf)}, True),
        ("icrs", SPEED, {"distance": FAR, "radial_velocity": second(u.km / u.s, 100, np.nan)}, True),
        ("galactic", SPEED, {"distance": FAR, "radial_velocity": second(u.km / u.s, 100, np.nan)}, True),
        ("icrs", SPEED, {"radial_velocity": 100 * ONES * u.km / u.s}, True),
        ("galactic", SPEED, {"radial_velocity": 100 * ONES * u.km / u.s}, True),
    ],
)
def test_star_of_which_something_is_not_known_does_not_end_the_catalogue(butler, frame, across, options, same):
    at = START.transform_to(frame).spherical
    values = (at.lon.deg * ONES * u.deg, at.lat.deg * ONES * u.deg, across, 0 * ONES * u.mas / u.yr)
    named = dict(zip(NAMES[frame], values, strict=True))
    found = find_images(butler, SkyCoord(frame=frame, obstime=Time("J2016"), **named, **options))
    assert np.unique(found["source"], return_counts=True)[1].tolist() == [2 * len(OBS_IDS)] * 5
    apart = SkyCoord(found["ra"], found["dec"]).separation(START).arcsec
    np.testing.assert_allclose(apart[found["source"] != 1], 0.5, atol=0.02)
    np.testing.assert_allclose(apart[found["source"] == 1], 0.5 if same else 0, atol=0.02)


def test_speed_along_the_line_of_sight_alone_moves_nothing(butler):
    away = SkyCoord(START.ra, START.dec, radial_velocity=100 * u.km / u.s, obstime=Time("J2016"))
    found = find_images(butler, away)
    assert len(found) == 2 * len(OBS_IDS)
    assert SkyCoord(found["ra"], found["dec"]).separation(START).max() < 1e-6 * u.arcsec


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ephemeris(Time(["2025-01-01"]), SkyCoord([1], [2], unit="deg")), "at least two"),
        (lambda: Ephemeris(Time(["2025-01-01"] * 2), SkyCoord([1, 2], [2, 2], unit="deg")), "has a time twice"),
        (
            lambda: Ephemeris(Time(["2025-01-01", "2025-01-02"]), SkyCoord([1, np.nan], [2, 2], unit="deg")),
            "is not finite",
        ),
        (
            lambda: Ephemeris(Time(["2025-01-01", "2025-01-02"]), SkyCoord(masked([1.0, 2.0]) * u.deg, [2, 2] * u.deg)),
            "is not finite",
        ),
        (
            lambda: Ephemeris(Time(masked([60000.0, 60001.0]), format="mjd"), SkyCoord([1, 2], [2, 2], unit="deg")),
            "1 of 2 times of the ephemeris are not known; leave such rows out",
        ),
        *(
            (
                lambda name=name, times=times: Ephemeris.from_table(
                    Table({name: MaskedColumn(times, mask=[False, True]), "ra": [1, 2], "dec": [2, 3]})
                ),
                "1 of 2 times of the ephemeris are not known",
            )
            for name, times in [("mjd", [60000, 60001]), ("time", ["2025-01-01", "2025-01-02"])]
        ),
        (
            lambda: Ephemeris.from_table(
                QTable({"mjd": masked([60000.0, 60001.0]) * u.day, "ra": [1, 2] * u.deg, "dec": [2, 3] * u.deg})
            ),
            "1 of 2 times of the ephemeris are not known",
        ),
        (lambda: Ephemeris.from_table(Table({"ra": [1], "dec": [2]})), "expected one for the time"),
        (lambda: Ephemeris.from_table(Table({"time": ["x"], "ra": [1], "dec": [2]})), "does not hold times"),
        (lambda: Ephemeris.from_table(Table({"mjd": [1, 2], "a": [1, 2]})), "expected one that holds SkyCoord"),
    ],
)
def test_ephemeris_that_is_none_is_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


@pytest.mark.parametrize("distance", [0.5 * u.au, 3 * u.kpc])
def test_distance_without_motion_changes_nothing(butler, distance):
    expected = find_images(butler, START)
    assert len(expected) > 0
    times = middle_of(OBS_IDS[0]) + np.array([-1, 24]) * u.hour
    far = SkyCoord(START.ra, START.dec, distance=distance)
    for given in (far, lambda moments: far[np.newaxis][np.zeros(len(moments), int)]):
        found = find_images(butler, given)
        assert list(found["dataset_id"]) == list(expected["dataset_id"])
        np.testing.assert_allclose(found["x"], expected["x"], atol=1e-6)
    along = find_images(butler, Ephemeris(times, SkyCoord([START.ra] * 2, [START.dec] * 2, distance=[distance] * 2)))
    assert list(along["dataset_id"]) == list(expected["dataset_id"])


def test_function_that_returns_something_else_is_refused(butler):
    with pytest.raises(ParameterError, match="returned a int for"):
        find_images(butler, lambda _: 3)
    with pytest.raises(ParameterError, match=r"returned \(\) positions for"):
        find_images(butler, lambda _: START)
