"""Positions on the sky from what users have: text, names, and tables with columns of coordinates."""

from __future__ import annotations

__all__ = ("coordinates_in", "moving_coordinates_in", "names_in", "parse_position", "require_own_names")

import logging
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import Angle, SkyCoord
from astropy.coordinates.name_resolve import NameResolveError
from astropy.table import Table
from astropy.time import Time

from ..errors import ParameterError

_EXAMPLES = "'10.684 41.269' (degrees), '00h42m44.3s +41d16m09s'"
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_DEGREES = re.compile(r"(?<=[\d.])\s*(?:degrees|degree|degs|deg|°)", re.IGNORECASE)
_COLUMNS = (("ra", "dec"), ("raj2000", "dej2000"), ("_raj2000", "_dej2000"), ("ra_icrs", "de_icrs"), ("s_ra", "s_dec"))
_NAMES = ("source", "name", "main_id", "target", "targetname", "source_id", "id")

_log = logging.getLogger(__name__)


def parse_position(text: str) -> SkyCoord:
    """Return a position that is written as coordinates or as a name, which astropy asks CDS, NED and VizieR for.

    Raises
    ------
    ParameterError
        Raised if it is neither.
    """
    try:
        return _parsed(text)
    except ValueError as error:
        if not any(letter.isalpha() for letter in text):
            raise ParameterError(
                f"The position {text!r} is not understood ({error}); expected {_EXAMPLES} or a name."
            ) from None
    try:
        return SkyCoord.from_name(text)
    except (NameResolveError, OSError) as error:  # such as of a connection that is reset, which astropy lets through
        raise ParameterError(
            f"The position {text!r} is not a pair of coordinates, so it was looked up as a name: {_unresolved(error)} "
            f"Expected {_EXAMPLES}, or the name of an object."
        ) from None


def _unresolved(error: Exception) -> str:
    """Say why a name was not resolved, without the addresses that astropy asked."""
    if "Unable to find coordinates" in str(error):
        return "the name resolver Sesame knows no such object."
    return "the name resolver Sesame could not be reached; is there a network connection?"


def _parsed(text: str) -> SkyCoord:
    """Return coordinates; numbers without units are degrees, or hours if they are sexagesimal."""
    text = _DEGREES.sub("d", text.strip())
    if text.count(",") == 1:
        text = text.replace(",", " ")
    sexagesimal = len(text.split()) > 2 or ":" in text
    return SkyCoord(text, unit=(u.hourangle if sexagesimal else u.deg, u.deg))


def coordinates_in(table: Table) -> SkyCoord:
    """Return the positions in a table, by a column that holds SkyCoord or by columns for ICRS coordinates.

    Text in such columns may be sexagesimal, right ascension then in hours.

    Raises
    ------
    ParameterError
        Raised if there are no such columns, or a declination is beyond a pole.
    """
    for column in table.itercols():
        if isinstance(column, SkyCoord):
            return column
    by_name = _by_name(table)
    pair = next((names for names in _COLUMNS if by_name.keys() >= set(names)), None)
    if pair is None:
        known = ", ".join(" and ".join(names) for names in _COLUMNS)
        raise ParameterError(
            f"The table has the columns {', '.join(table.colnames)}; expected one that holds SkyCoord, or two in "
            f"degrees: {known}."
        )
    ra, dec = (table[by_name[name]] for name in pair)
    longitudes, latitudes = _angle(ra, u.hourangle), _angle(dec, u.deg)
    if (beyond := np.flatnonzero(np.abs(latitudes) > 90 * u.deg)).size:
        raise ParameterError(
            f"The column {dec.info.name!r} has {latitudes[beyond[0]]:g} in row {beyond[0]}; expected declinations from "
            "-90 to 90 degrees."
        )
    return SkyCoord(longitudes, latitudes, frame="icrs")


def moving_coordinates_in(table: Table) -> SkyCoord:
    """Return the positions in a table with the proper motions and parallaxes that it has, as Gaia's tables do.

    Columns are ``pmra`` and ``pmdec`` (mas/yr where there is no unit), ``ref_epoch`` (a Julian year) and, if there is
    one, ``parallax`` (mas). What is masked or not positive there is not known, and then neither moves the star nor
    brings it near. A table without an epoch has positions that stay.
    """
    place, by_name = coordinates_in(table), _by_name(table)
    if not by_name.keys() >= {"pmra", "pmdec"} or "s" in place.data.differentials:
        return place
    if "ref_epoch" not in by_name:
        _log.warning(
            "The table has proper motions, pmra and pmdec, but no column ref_epoch that tells for when its positions "
            "are; they are searched for where they are in it."
        )
        return place
    east, north = (_numbers(table[by_name[name]], u.mas / u.yr) for name in ("pmra", "pmdec"))
    epoch = _numbers(table[by_name["ref_epoch"]], u.yr).to_value(u.yr)
    if not np.isfinite(epoch).all():
        raise ParameterError("The column ref_epoch has rows without an epoch; expected a Julian year in each.")
    distance = np.full(len(table), np.nan)
    if "parallax" in by_name:
        parallax = _numbers(table[by_name["parallax"]], u.mas).to_value(u.mas)
        distance[parallax > 0] = 1000 / parallax[parallax > 0]
    return SkyCoord(
        place.ra,
        place.dec,
        distance=distance * u.pc,
        pm_ra_cosdec=east,
        pm_dec=north,
        obstime=Time(epoch, format="jyear", scale="tcb"),
        frame="icrs",
    )


def names_in(table: Table) -> list[str] | None:
    """Return what the rows of a table are called, `None` if no column says so; one without a name is its number."""
    by_name = _by_name(table)
    found = next((by_name[name] for name in _NAMES if name in by_name), None)
    if found is None:
        return None
    return [str(row if value is np.ma.masked else value) for row, value in enumerate(table[found])]


def require_own_names(names: Sequence[object]) -> None:
    """Refuse names of sources of which one is there twice: their spectra would be one.

    Raises
    ------
    ParameterError
        Raised if there is one.
    """
    for name, number in Counter(map(str, names)).items():
        if number > 1:
            raise ParameterError(
                f"The catalogue has {number} sources of the name {name!r}; expected a name of its own for each, by "
                "which its spectrum is found."
            )


def _by_name(table: Table) -> dict[str, str]:
    return {name.lower(): name for name in table.colnames}


def _angle(column: Any, sexagesimal: u.UnitBase) -> u.Quantity:
    """Return the angles in a column; text without a unit is in ``sexagesimal``, or in degrees where it is a number."""
    if column.dtype.kind not in "OUS":
        return _numbers(column, u.deg)
    texts = np.char.strip(np.ma.filled(_plain(column).astype(str), "")).tolist()
    return [_degrees_of(text, row, column.info.name, sexagesimal) for row, text in enumerate(texts)] * u.deg


def _degrees_of(text: str, row: int, name: str, sexagesimal: u.UnitBase) -> float:
    """Return one angle that is written as text, NaN if there is none."""
    if not text:
        return np.nan
    try:
        return float(Angle(text, u.deg if _NUMBER.fullmatch(text) else sexagesimal).deg)
    except (TypeError, ValueError, u.UnitsError) as error:
        raise ParameterError(
            f"The column {name!r} has {text!r} in row {row}, which is not an angle ({error}); expected degrees, or "
            "such as 00:42:44.3 (hours) and +41:16:09."
        ) from None


def _numbers(column: Any, unit: u.UnitBase) -> u.Quantity:
    """Return the numbers of a column, in a unit where it has none; NaN where they are masked."""
    values = u.Quantity(np.ma.filled(_plain(column).astype(float), np.nan), getattr(column, "unit", None) or unit)
    try:
        return values.to(unit)
    except u.UnitsError as error:
        raise ParameterError(
            f"The column {column.info.name!r} has the unit {values.unit} ({error}); expected {unit}."
        ) from None


def _plain(column: Any) -> Any:
    """Return what a column holds without its unit, as numpy knows masked arrays."""
    values = getattr(column, "value", column)
    if hasattr(values, "unmasked"):  # astropy's Masked
        return np.ma.MaskedArray(values.unmasked, values.mask)
    return np.ma.asarray(values)
