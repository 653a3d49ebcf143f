"""Positions on the sky from what users have: text, names, and tables with columns of coordinates."""

from __future__ import annotations

__all__ = ("coordinates_in", "names_in", "parse_position")

from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.coordinates.name_resolve import NameResolveError
from astropy.table import Table

from ..errors import ParameterError

_COLUMNS = (("ra", "dec"), ("raj2000", "dej2000"), ("_raj2000", "_dej2000"), ("ra_icrs", "de_icrs"), ("s_ra", "s_dec"))
_NAMES = ("source", "name", "main_id", "target", "targetname", "source_id", "id")


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
                f"The position {text!r} is not understood ({error}); expected '10.684 41.269' (degrees), "
                "'00h42m44.3s +41d16m09s' or a name."
            ) from None
    try:
        return SkyCoord.from_name(text)
    except NameResolveError as error:
        raise ParameterError(
            f"The position {text!r} is no pair of coordinates, and as a name it was not resolved: "
            f"{' '.join(str(error).split()).rstrip('.')}. Expected '10.684 41.269' (degrees), "
            "'00h42m44.3s +41d16m09s', or the name of an object and a network connection."
        ) from None


def _parsed(text: str) -> SkyCoord:
    """Return coordinates; numbers without units are degrees, or hours if they are sexagesimal."""
    sexagesimal = len(text.split()) > 2 or ":" in text
    return SkyCoord(text, unit=(u.hourangle if sexagesimal else u.deg, u.deg))


def coordinates_in(table: Table) -> SkyCoord:
    """Return the positions in a table, by a column that holds SkyCoord or by columns for ICRS coordinates.

    Raises
    ------
    ParameterError
        Raised if there are no such columns.
    """
    for column in table.itercols():
        if isinstance(column, SkyCoord):
            return column
    by_name = {name.lower(): name for name in table.colnames}
    pair = next((names for names in _COLUMNS if by_name.keys() >= set(names)), None)
    if pair is None:
        known = ", ".join(" and ".join(names) for names in _COLUMNS)
        raise ParameterError(
            f"The table has the columns {', '.join(table.colnames)}; expected one that holds SkyCoord, or two in "
            f"degrees: {known}."
        )
    return SkyCoord(*(_angle(table[by_name[name]]) for name in pair), frame="icrs")


def names_in(table: Table) -> list[str] | None:
    """Return what the rows of a table are called, `None` if no column says so; one without a name is its number."""
    by_name = {name.lower(): name for name in table.colnames}
    found = next((by_name[name] for name in _NAMES if name in by_name), None)
    if found is None:
        return None
    return [str(row if value is np.ma.masked else value) for row, value in enumerate(table[found])]


def _angle(column: Any) -> u.Quantity:
    values = column.filled(np.nan) if hasattr(column, "filled") else column
    unit = getattr(values, "unit", None) or u.deg
    try:
        return u.Quantity(np.asarray(values, float), unit).to(u.deg)
    except (TypeError, ValueError, u.UnitsError) as error:
        raise ParameterError(f"The column {column.info.name!r} holds no angles ({error}); expected degrees.") from None
