"""What a query of the Simple Image Access protocol asks for, from the texts of its parameters.

SIA 2.0, https://www.ivoa.net/documents/SIA/: the values of one parameter are alternatives, and all parameters have to
be met. An image for which a value is not known meets none that asks for it. Names, and identifiers (``ID``), are read
in any case; unknown names are ignored, as the protocol has it.
"""

from __future__ import annotations

__all__ = ("INTERVALS", "TEXTS", "SIAQuery", "parse_query", "shorten")

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lsst.sphgeom import Box, Region

from ..errors import ParameterError

Interval = tuple[float, float]

INTERVALS: Mapping[str, tuple[str, str]] = {
    "BAND": ("em_min", "em_max"),
    "TIME": ("t_min", "t_max"),
    "EXPTIME": ("t_exptime", "t_exptime"),
    "FOV": ("s_fov", "s_fov"),
    "SPATRES": ("s_resolution", "s_resolution"),
    "SPECRP": ("em_res_power", "em_res_power"),
    "TIMERES": ("t_resolution", "t_resolution"),
}
"""Parameters that give an interval, in the unit of ObsCore, and the columns with which it has to overlap."""

TEXTS: Mapping[str, str] = {
    "ID": "obs_publisher_did",
    "COLLECTION": "obs_collection",
    "FACILITY": "facility_name",
    "INSTRUMENT": "instrument_name",
    "DPTYPE": "dataproduct_type",
    "CALIB": "calib_level",
    "TARGET": "target_name",
    "POL": "pol_states",
    "FORMAT": "access_format",
}
"""Parameters that give a value, and the columns that have to have it."""

_POLYGON = "'CIRCLE 10.7 41.3 0.5', 'RANGE 10 11 41 42' or 'POLYGON 10 41 11 41 11 42'"
_EXPECTED: Mapping[str, str] = {
    "BAND": "metres such as '1.2e-6 1.4e-6', '1.2e-6 +Inf' or '1.2e-6'",
    "TIME": "MJD such as '61027 61028', '61027 +Inf' or '61027'",
}
_NUMBERS = "'1.2 1.4', '1.2 +Inf' or '1.2'"
_HALF_TURN = 180.0
_SHOWN = 100  # characters of a value in a message
_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|Inf(?:inity)?|NaN)", re.IGNORECASE)
"""As DALI writes numbers, in any case; Python reads more, such as 1_0 and digits of other scripts."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SIAQuery:
    """A query.

    Parameters
    ----------
    regions
        Which the image has to overlap one of; none if any place will do.
    intervals
        By the name of a parameter in `INTERVALS`.
    texts
        By the name of a parameter in `TEXTS`.
    most
        How many rows to return at most; `None` if that was not said.
    format
        Of the answer, as it was given.
    """

    regions: tuple[Region, ...] = ()
    intervals: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    texts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    most: int | None = None
    format: str | None = None

    def meets(self, row: Mapping[str, Any]) -> bool:
        """Return whether the values of a row are as asked for, apart from its region."""
        return all(_overlaps(row, INTERVALS[name], given) for name, given in self.intervals.items()) and all(
            _has(row, name, given) for name, given in self.texts.items()
        )


def _overlaps(row: Mapping[str, Any], columns: tuple[str, str], intervals: Iterable[Interval]) -> bool:
    low, high = (row.get(column) for column in columns)
    return low is not None and high is not None and any(low <= last and high >= first for first, last in intervals)


def _has(row: Mapping[str, Any], name: str, texts: frozenset[str]) -> bool:
    value = row.get(TEXTS[name])
    return value is not None and _compared(name, str(value)) in texts


def _compared(name: str, text: str) -> str:
    return text.lower() if name == "ID" else text


def parse_query(parameters: Iterable[tuple[str, str]]) -> SIAQuery:
    """Return what a query asks for.

    Parameters
    ----------
    parameters
        Names and values, as they were sent.

    Raises
    ------
    ParameterError
        Raised if a value is not as the protocol has it; it says which, and what would be.
    """
    given: dict[str, list[str]] = {}
    for name, value in parameters:
        if value.strip():
            given.setdefault(name.upper(), []).append(value.strip())
    if "UPLOAD" in given:
        raise ParameterError("UPLOAD is not supported here; query for one position after the other.")
    return SIAQuery(
        regions=tuple(_parsed("POS", given.get("POS", ()), _region, _POLYGON)),
        intervals={
            name: tuple(_parsed(name, given[name], _interval, _EXPECTED.get(name, _NUMBERS)))
            for name in INTERVALS
            if name in given
        },
        texts={name: frozenset(_compared(name, text) for text in given[name]) for name in TEXTS if name in given},
        most=_single("MAXREC", given.get("MAXREC", ()), _whole, "a whole number from 0"),
        format=_single("RESPONSEFORMAT", given.get("RESPONSEFORMAT", ()), str, "a format"),
    )


def _parsed(name: str, texts: Iterable[str], parse: Callable[[str], _T], expected: str) -> list[_T]:
    found = []
    for text in texts:
        try:
            found.append(parse(text))
        except (ValueError, RuntimeError) as error:
            reason = shorten(str(error).rstrip("."))
            raise ParameterError(f"{name}={shorten(text)!r}: {reason}; expected {expected}.") from None
    return found


def shorten(text: str) -> str:
    """Return the beginning of a text, as messages show it."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _region(text: str) -> Region:
    shape, *words = text.split()
    if any(math.isnan(_real(word)) for word in words):
        raise ValueError("a number is NaN")
    region = Region.from_ivoa_pos(text)
    if shape == "CIRCLE" and not 0 <= float(words[-1]) <= _HALF_TURN:
        raise ValueError("the radius has to be from 0 to 180 degrees")
    if isinstance(region, Box) and region.isEmpty():
        raise ValueError("it is empty; the lower latitude has to come first")
    return region


def _single(name: str, texts: Iterable[str], parse: Callable[[str], _T], expected: str) -> _T | None:
    found = _parsed(name, texts, parse, expected)
    if len(found) > 1:
        raise ParameterError(f"{name} was given {len(found)} times; expected it once.")
    return found[0] if found else None


def _interval(text: str) -> Interval:
    numbers = [_real(word) for word in text.split()]
    if len(numbers) not in {1, 2}:
        raise ValueError(f"these are {len(numbers)} numbers")
    first, last = numbers[0], numbers[-1]
    if math.isnan(first) or math.isnan(last) or first > last:
        raise ValueError("the first has to be the smaller one")
    return first, last


def _real(word: str) -> float:
    if _NUMBER.fullmatch(word) is None:
        raise ValueError("these are not numbers")
    return float(word)


def _whole(text: str) -> int:
    if re.fullmatch("[+-]?[0-9]{1,18}", text) is None:
        raise ValueError("it is not a whole number")
    number = int(text)
    if number < 0:
        raise ValueError("it is negative")
    return number
