"""Footprints as services write them: corners in degrees, from text or arrays.

Understood are polygons of ICRS positions: STC-S (``POLYGON ICRS 6.9 41.7 …``,
with or without a reference position), ADQL (``POLYGON('ICRS', 6.9, 41.7, …)``),
and bare numbers as text, JSON or an array (DALI 1.1, xtype ``polygon``).
"""

from __future__ import annotations

__all__ = ("parse_corners",)

import math
import re
from collections.abc import Sequence
from typing import Any

from ..errors import FormatError

_PUNCTUATION = re.compile(r"[(),'\"\[\]]")
_WORDS = re.compile(
    r"\s*(?:polygon\b\s*(?:icrs\b\s*)?(?:(?:geocenter|barycenter|heliocenter|topocenter|unknownrefpos)\b\s*)?"
    r"(?:spherical2\b\s*)?)?(?=[-+.\d]|$)",
    re.IGNORECASE,
)


def parse_corners(region: Any) -> tuple[tuple[float, float], ...] | None:
    """Return the corners of a footprint, ICRS right ascension and declination in degrees.

    Parameters
    ----------
    region
        Text, or a sequence of numbers.

    Returns
    -------
    corners
        At least three, in the order given, none twice; `None` if there is no
        region: nothing, blank, or only NaN.

    Raises
    ------
    FormatError
        Raised if the region is anything else.
    """
    values = _numbers(region)
    if not values:
        return None
    longitudes, latitudes = values[::2], values[1::2]
    if len(values) % 2 or not _on_the_sphere(longitudes, latitudes):
        raise FormatError(f"The region {_shown(region)} is no polygon of right ascensions and declinations in degrees.")
    corners = tuple(zip(longitudes, latitudes, strict=True))
    if corners[0] == corners[-1]:
        corners = corners[:-1]
    if len(corners) < 3 or len(set(corners)) < len(corners):
        raise FormatError(f"The region {_shown(region)} has the corners {corners}; expected three or more, none twice.")
    return corners


def _numbers(region: Any) -> list[float]:
    try:
        if region is None:
            return []
        if isinstance(region, str):
            return _numbers_of_text(region)
        values = [math.nan if value is None else float(value) for value in region]
    except (TypeError, ValueError):
        raise FormatError(
            f"The region {_shown(region)} is not understood; expected a polygon such as 'POLYGON ICRS 6.9 41.7 …'."
        ) from None
    return [] if all(map(math.isnan, values)) else values


def _numbers_of_text(text: str) -> list[float]:
    if text.startswith("POLYGON ICRS "):  # what the archive writes
        return list(map(float, text[13:].split()))
    text = _PUNCTUATION.sub(" ", text).strip()
    if text.lower() in {"", "nan", "null"}:
        return []
    match = _WORDS.match(text)
    if not match:
        raise ValueError
    return list(map(float, text[match.end() :].split()))


def _on_the_sphere(longitudes: Sequence[float], latitudes: Sequence[float]) -> bool:
    return (
        math.isfinite(sum(longitudes) + sum(latitudes))
        and min(longitudes) >= 0
        and max(longitudes) <= 360
        and min(latitudes) >= -90
        and max(latitudes) <= 90
    )


def _shown(region: Any) -> str:
    text = repr(region)
    return text if len(text) < 300 else f"{text[:297]}…"
