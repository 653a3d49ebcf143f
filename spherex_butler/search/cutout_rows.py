"""What a table asks cutouts of: a dataset and a position in each row, whatever kind of file the table comes from."""

from __future__ import annotations

__all__ = ("CutoutRow", "Position", "cutout_rows")

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from numpy.typing import NDArray

from ..errors import ParameterError
from ..images.positions import as_seen
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


class _NoPositionError(Exception):
    """A row has no position; its text says why."""


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
        self._by_name = by_name
        self._number = len(table)
        self._datasets = [_text(value) for value in by_name["dataset_id"]]
        self._sources = [_text(value) for value in by_name["source"]] if "source" in by_name else None
        self._sky = self._numbers(("ra", "dec"), u.deg)
        if sky is not None and not {"ra", "dec"} <= set(by_name):
            seen = as_seen(sky)
            self._sky = _Numbers("ra", seen.ra.deg), _Numbers("dec", seen.dec.deg)

    @cached_property
    def _pixels(self) -> tuple[_Numbers, _Numbers]:
        """Columns that no row may need: they are not looked at before."""
        return self._numbers(("x", "y"), u.pix)

    def _numbers(self, names: tuple[str, str], unit: u.UnitBase) -> tuple[_Numbers, _Numbers]:
        """Return two columns, of NaN if the table has not both."""
        first, second = names
        if {first, second} <= set(self._by_name):
            return _numbers(self._by_name[first], unit), _numbers(self._by_name[second], unit)
        nowhere = np.full(self._number, np.nan)
        return _Numbers(first, nowhere), _Numbers(second, nowhere)

    def row(self, number: int) -> CutoutRow | FailedCutout:
        text = self._datasets[number]
        subject = f"dataset {text}" if text else "no dataset"
        try:
            dataset = uuid.UUID(text)
        except ValueError:
            return FailedCutout(number, subject, f"dataset_id is {text!r}; expected the id of a dataset.")
        try:
            position = self._position(number)
        except _NoPositionError as error:
            return FailedCutout(number, subject, str(error))
        return CutoutRow(number, dataset, position, (self._sources or {number: None})[number] or None)

    def _position(self, number: int) -> Position:
        ra, dec = (column.at(number) for column in self._sky)
        if math.isfinite(ra) and abs(dec) <= 90:
            return Position(ra % 360, dec, on_sky=True)
        if not (math.isnan(ra) and math.isnan(dec)):
            raise _NoPositionError(
                f"There is no position: ra, dec are {ra}, {dec}; expected degrees, dec from -90 to 90, or neither if x "
                "and y are meant."
            )
        x, y = (column.at(number) for column in self._pixels)
        if not (math.isfinite(x) and math.isfinite(y)):
            raise _NoPositionError(
                f"There is no position: ra, dec are {ra}, {dec} and x, y are {x}, {y}; expected one of both."
            )
        return Position(x, y, on_sky=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Numbers:
    """A column of numbers, NaN where there is nothing, and what other rows have that is no number."""

    name: str
    values: NDArray[np.float64]
    others: Mapping[int, str] = field(default_factory=dict)

    def at(self, row: int) -> float:
        if row in self.others:
            raise _NoPositionError(f"The column {self.name!r} has {self.others[row]!r}; expected a number.")
        return float(self.values[row])


def _text(value: Any) -> str:
    if value is np.ma.masked or value is None:
        return ""
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()


def _numbers(column: Any, unit: u.UnitBase) -> _Numbers:
    """Return the values of a column in a unit, that it has if it says nothing."""
    name, own = column.info.name, column.unit or unit
    try:
        factor = u.Unit(own).to(unit)
    except (ValueError, TypeError, u.UnitsError) as error:
        raise ParameterError(f"The column {name!r} is in {str(own)!r}; expected {unit}.") from error
    values = np.ma.asanyarray(getattr(column, "value", column))
    if values.dtype.kind in "fiu":
        return _Numbers(name, np.asarray(np.ma.filled(values.astype(float), np.nan) * factor))
    read = [_number(value) for value in values.tolist()]
    others = {row: _text(values[row]) for row, number in enumerate(read) if number is None}
    if others and len(others) == len(read):
        raise ParameterError(f"The column {name!r} has no number, but {others[0]!r} and the like; expected {unit}.")
    return _Numbers(name, np.array([math.nan if number is None else number for number in read]) * factor, others)


def _number(value: Any) -> float | None:
    """Return a number from a cell, NaN of an empty one, `None` of one that has something else."""
    if value is None or (isinstance(value, str | bytes) and not value.strip()):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
