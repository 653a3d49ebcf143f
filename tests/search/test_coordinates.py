"""Positions as people write them, and catalogues as others make them."""

from __future__ import annotations

import logging
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.coordinates.name_resolve import sesame_url
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time

from spherex_butler.errors import ParameterError
from spherex_butler.search import Ephemeris
from spherex_butler.search.coordinates import coordinates_in, moving_coordinates_in, parse_position
from spherex_butler.search.targets import Fixed, Moving, as_targets

M31 = SkyCoord(10.684583, 41.269167, unit="deg")
GAIA = {
    "source_id": [1, 2, 3],
    "ra": [10.0, 11.0, 12.0],
    "dec": [-5.0, 41.0, 80.0],
    "pmra": MaskedColumn([800.0, 0.0, -3.0], mask=[False, True, False]),
    "pmdec": MaskedColumn([10300.0, 0.0, np.nan], mask=[False, True, False]),
    "parallax": MaskedColumn([547.0, -0.3, 2.0], mask=[False, False, True]),
    "ref_epoch": [2016.0, 2016.0, 2016.0],
}


@pytest.mark.parametrize(
    "text",
    [
        "10.684583 41.269167",
        "10.684583,41.269167",
        "10.684583, +41.269167",
        "10.684583deg 41.269167deg",
        "10.684583 deg, 41.269167 deg",
        "10.684583° 41.269167°",
        "10.684583d 41.269167d",
        "00 42 44.3 +41 16 09",
        "00:42:44.3,+41:16:09",
        "00h42m44.3s +41d16m09s",
    ],
)
def test_positions_are_read_as_people_write_them(text):
    assert parse_position(text).separation(M31) < 0.01 * u.arcsec


def test_name_that_cannot_be_resolved_says_so_without_addresses():
    looked_up = r"^The position 'M31' is not a pair of coordinates, so it was looked up as a name: the name resolver"
    with sesame_url.set(["http://127.0.0.1:9/"]), pytest.raises(ParameterError, match=looked_up) as raised:
        parse_position("M31")
    assert "could not be reached; is there a network connection?" in str(raised.value)
    assert "127.0.0.1" not in str(raised.value)


@pytest.mark.parametrize("kind", ["text", "masked text", "bytes"])
def test_columns_may_be_sexagesimal(kind):
    ra, dec = np.array(["00:42:44.3", "00h42m44.3s"]), np.array(["+41:16:09", "41.269167"])
    columns = {
        "text": (ra, dec),
        "masked text": (MaskedColumn(ra), MaskedColumn(dec)),
        "bytes": (ra.astype(bytes), dec.astype(bytes)),
    }[kind]
    found = coordinates_in(Table(dict(zip(("ra", "dec"), columns, strict=True))))
    assert found.separation(M31).max() < 0.01 * u.arcsec


def test_angle_that_is_not_one_is_told_with_its_row():
    table = Table({"ra": ["1.0", "x"], "dec": ["2.0", "3.0"]})
    with pytest.raises(ParameterError, match="The column 'ra' has 'x' in row 1, which is not an angle"):
        coordinates_in(table)


def test_column_of_another_unit_is_refused():
    table = Table({"ra": [1.0] * u.m, "dec": [2.0] * u.deg})
    with pytest.raises(ParameterError, match=r"The column 'ra' has the unit m .*; expected deg"):
        coordinates_in(table)


def test_masked_whole_number_is_a_position_that_is_not_known():
    table = Table({"ra": MaskedColumn([1, 2, 3], mask=[False, True, False]), "dec": [1, 2, 3]})
    with pytest.raises(
        ParameterError, match=r"1 of 3 positions are not finite, or masked: 1 \(from 0\)\. Leave them out"
    ):
        as_targets(table)


@pytest.mark.parametrize("as_quantities", [False, True])
def test_stars_of_a_catalogue_move(as_quantities):
    table = Table(GAIA)
    units = {"ra": u.deg, "dec": u.deg, "pmra": u.mas / u.yr, "pmdec": u.mas / u.yr, "parallax": u.mas}
    for name, unit in units.items():
        table[name].unit = unit if as_quantities else None
    found = moving_coordinates_in(QTable(table) if as_quantities else table)
    assert found.pm_ra_cosdec.to_value(u.mas / u.yr)[0] == pytest.approx(800)
    assert found.distance.to_value(u.pc)[0] == pytest.approx(1.828, abs=1e-3)
    assert found.obstime.jyear.tolist() == [2016.0] * 3
    targets = as_targets(table)
    assert isinstance(targets, Moving)
    assert targets.names == ["1", "2", "3"]
    here, later = (Time(text).unix_tai * 1e9 for text in ("2016-01-01T12:00:00", "2026-01-01T12:00:00"))
    moved = [np.ptp(motion.at(np.array([here, later], np.int64)), axis=0).max() for motion in targets.motions]
    assert np.degrees(moved[0]) * 3600 == pytest.approx(103, rel=0.05)
    assert moved[1:] == pytest.approx([0, 0], abs=1e-12)


def test_catalogue_without_an_epoch_has_stars_that_stay(caplog):
    table = Table({name: values for name, values in GAIA.items() if name != "ref_epoch"})
    with caplog.at_level(logging.WARNING):
        assert isinstance(as_targets(table), Fixed)
    assert "no column ref_epoch that tells for when" in caplog.text


def test_stars_with_a_radius_stay():
    targets = as_targets(Table(GAIA), 1 * u.arcmin)
    assert isinstance(targets, Fixed)
    assert targets.radius == pytest.approx(np.radians(1 / 60))


def test_star_without_an_epoch_is_refused():
    table = Table(GAIA | {"ref_epoch": MaskedColumn([2016.0] * 3, mask=[False, True, False])})
    with pytest.raises(ParameterError, match="The column ref_epoch has rows without an epoch; expected a Julian year"):
        as_targets(table)


def horizons() -> Table:
    """Return an ephemeris as astroquery gives it."""
    return Table(
        {
            "targetname": ["1 Ceres"] * 3,
            "datetime_str": ["2025-Dec-18 05:12", "2025-Dec-18 06:12", "2025-Dec-18 07:12:30.5"],
            "RA": [10.0, 10.1, 10.2] * u.deg,
            "DEC": [5.0, 5.1, 5.2] * u.deg,
        }
    )


def test_ephemeris_is_not_taken_for_a_catalogue():
    with pytest.raises(ParameterError, match=r"has the column 'datetime_str', as ephemerides have.*Ephemeris.from"):
        as_targets(horizons())


def test_times_of_horizons_are_read(tmp_path: Path):
    horizons().write(tmp_path / "ceres.ecsv")
    for table in (horizons(), Table.read(tmp_path / "ceres.ecsv")):
        first, last = Ephemeris.from_table(table).span
        assert (first.utc.iso, last.utc.iso) == ("2025-12-18 05:12:00.000", "2025-12-18 07:12:30.500")


@pytest.mark.parametrize(
    ("position", "words"),
    [(Ephemeris.from_table(horizons()), "an ephemeris"), (lambda _times: M31, "a function of time")],
    ids=["ephemeris", "function"],
)
def test_radius_goes_with_positions_alone(position, words):
    with pytest.raises(ParameterError, match=f"was given together with {words}; only positions that do not move"):
        as_targets(position, 1 * u.arcmin)


@pytest.mark.parametrize("dec", [[1.0, 100.0], ["1", "-100"]])
def test_declinations_beyond_a_pole_are_refused(dec):
    with pytest.raises(
        ParameterError, match=r"The column 'dec' has -?100 deg in row 1; expected declinations from -90"
    ):
        as_targets(Table({"ra": [1.0, 2.0], "dec": dec}))
