"""What a table asks cutouts of: a dataset and a position in each row, whatever kind of file the table comes from."""

from __future__ import annotations

__all__ = ("CutoutRow", "Position", "cutout_rows")

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from numpy.typing import NDArray

from ..errors import ParameterError
from .cutout_report import FailedCutout

_SAME_ANGLE = 1e-6  # degrees; 1/1700 of a pixel
_SAME_PIXEL = 1e-3


@dataclass(frozen=True, slots=True)
class Position:
    """Where a cutout is: right ascension and declination in degrees, or a 0-based full-frame pixel x and y."""

    first: float
    second: float
    on_sky: bool

    @property
    def center(self) -> SkyCoord:
        """A position on the sky."""
        return SkyCoord(self.first, self.second, unit="deg", frame="icrs")

    def __str__(self) -> str:
        if self.on_sky:
            return f"RA, Dec {self.first:.6f} {self.second:+.6f}"
        return f"pixel {self.first:.3f} {self.second:.3f}"

    def is_near(self, other: Position) -> bool:
        """Whether both are the same position, as far as tables keep digits."""
        most = _SAME_ANGLE if self.on_sky else _SAME_PIXEL
        apart = abs(self.first - other.first)
        turned = min(apart, 360 - apart) if self.on_sky else apart
        return self.on_sky == other.on_sky and turned <= most and abs(self.second - other.second) <= most


@dataclass(frozen=True, slots=True)
class CutoutRow:
    """One row of a table: its number, its dataset, where in that, and what the position is called, if anything."""

    number: int
    dataset: uuid.UUID
    position: Position
    source: str | None


def cutout_rows(table: Table) -> list[CutoutRow | FailedCutout]:
    """Return what each row of a table asks for, or why that cannot be told.

    Raises
    ------
    ParameterError
        Raised if the table lacks columns.
    """
    columns = _Columns(table)
    return [columns.row(number) for number in range(len(table))]


class _Columns:
    def __init__(self, table: Table) -> None:
        by_name = {name.lower(): table[name] for name in reversed(table.colnames)}
        sky = next((column for column in table.itercols() if isinstance(column, SkyCoord)), None)
        if "dataset_id" not in by_name or not (
            sky is not None or {"ra", "dec"} <= set(by_name) or {"x", "y"} <= set(by_name)
        ):
            raise ParameterError(
                f"The table has the columns {', '.join(table.colnames) or 'of none'}; expected dataset_id, and ra and "
                "dec (degrees) or x and y (pixels of the full frame), as find_images returns."
            )
        nowhere = np.full(len(table), np.nan)
        self._datasets = [_text(value) for value in by_name["dataset_id"]]
        self._sources = [_text(value) for value in by_name["source"]] if "source" in by_name else None
        self._sky: Sequence[NDArray[np.float64]] = (nowhere, nowhere)
        if {"ra", "dec"} <= set(by_name):
            self._sky = [_numbers(by_name[name], u.deg) for name in ("ra", "dec")]
        elif sky is not None:
            self._sky = [np.ma.filled(angle.to_value(u.deg), np.nan) for angle in (sky.icrs.ra, sky.icrs.dec)]
        in_pixels = {"x", "y"} <= set(by_name)
        self._pixels = [_numbers(by_name[name], u.pix) for name in ("x", "y")] if in_pixels else (nowhere, nowhere)

    def row(self, number: int) -> CutoutRow | FailedCutout:
        text = self._datasets[number]
        subject = f"dataset {text}" if text else "no dataset"
        try:
            dataset = uuid.UUID(text)
        except ValueError:
            return FailedCutout(number, subject, f"dataset_id is {text!r}; expected the id of a dataset.")
        position = self._position(number)
        if position is None:
            (ra, dec), (x, y) = ([float(column[number]) for column in pair] for pair in (self._sky, self._pixels))
            found = f"ra, dec are {ra}, {dec} and x, y are {x}, {y}"
            return FailedCutout(number, subject, f"There is no position: {found}; expected one of both.")
        return CutoutRow(number, dataset, position, (self._sources or {number: None})[number] or None)

    def _position(self, number: int) -> Position | None:
        ra, dec = (float(column[number]) for column in self._sky)
        if math.isfinite(ra) and abs(dec) <= 90:
            return Position(ra % 360, dec, on_sky=True)
        x, y = (float(column[number]) for column in self._pixels)
        return Position(x, y, on_sky=False) if math.isfinite(x) and math.isfinite(y) else None


def _text(value: Any) -> str:
    if value is np.ma.masked or value is None:
        return ""
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()


def _numbers(column: Any, unit: u.UnitBase) -> NDArray[np.float64]:
    """Return the values of a column in a unit, that it has if it says nothing, NaN where there is none."""
    own = column.unit or unit
    try:
        factor = u.Unit(own).to(unit)
    except (ValueError, TypeError, u.UnitsError) as error:
        raise ParameterError(f"The column {column.info.name!r} is in {str(own)!r}; expected {unit}.") from error
    values = np.ma.asanyarray(getattr(column, "value", column))
    if values.dtype.kind in "fiu":
        numbers = np.ma.filled(values.astype(float), np.nan)
    else:
        numbers = np.array([_number(value) for value in values.tolist()], float)
    return np.asarray(numbers * factor, float)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
