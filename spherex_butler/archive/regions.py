"""Footprints as services write them: corners in degrees, from text or arrays.

Polygons of ICRS positions are understood: STC-S (``POLYGON ICRS 6.9 41.7 …``,
with or without a reference position), ADQL (``POLYGON('ICRS', 6.9, 41.7, …)``),
and bare numbers as text, JSON or an array (DALI 1.1, xtype ``polygon``).
"""

from __future__ import annotations

__all__ = ("parse_corners",)

import math
import re
from typing import Any

from ..errors import FormatError

_PUNCTUATION = re.compile(r"[(),'\"\[\]]")
_WORDS = re.compile(
    r"(polygon )?(icrs )?((geocenter|barycenter|heliocenter|topocenter|unknownrefpos) )?(spherical2 )?(?=[-+.\d])"
)


def parse_corners(region: Any) -> tuple[tuple[float, float], ...] | None:
    """Return the corners of a footprint, ICRS right ascension and declination in degrees.

    There are three or more different corners, in the order given; `None` if the region is absent, blank or only
    NaN.
    """
    try:
        values = _numbers(region)
    except (TypeError, ValueError):
        raise FormatError(
            f"The region {_shown(region)} is not understood; expected a polygon such as 'POLYGON ICRS 6.9 41.7 …'."
        ) from None
    if all(map(math.isnan, values)):
        return None
    corners = tuple(zip(values[::2], values[1::2], strict=False))
    if len(values) % 2 or not all(0 <= ra <= 360 and -90 <= dec <= 90 for ra, dec in corners):
        raise FormatError(
            f"The region {_shown(region)} is not a polygon of right ascensions and declinations (degrees)."
        )
    if corners[0] == corners[-1]:
        corners = corners[:-1]
    if len(corners) < 3 or len(set(corners)) < len(corners):
        raise FormatError(f"The region {_shown(region)} has the corners {corners}; expected three or more, none twice.")
    return corners


def _numbers(region: Any) -> list[float]:
    if region is None:
        return []
    if not isinstance(region, str):
        return [math.nan if value is None else float(value) for value in region]
    if region.startswith("POLYGON ICRS "):  # what the archive writes
        return list(map(float, region[13:].split()))
    text = " ".join(_PUNCTUATION.sub(" ", region).lower().split())
    if text in {"", "nan", "null"}:
        return []
    match = _WORDS.match(text)
    if not match:
        raise ValueError
    return list(map(float, text[match.end() :].split()))


def _shown(region: Any) -> str:
    text = repr(region)
    return text if len(text) < 300 else f"{text[:297]}…"
