"""The corners on the sky of an image in the projection of every Level 2 file, RA---TAN-SIP, without astropy's WCS.

With the formulae of the SIP convention (Shupe et al. 2005) and of the gnomonic
projection with the native pole at longitude 180° (Calabretta & Greisen 2002,
section 5.1.3), which is that of an image with the north direction of its
reference point: a point of the tangent plane is the direction of the
reference point plus its coordinates along east and north.
"""

from __future__ import annotations

__all__ = ("tangent_corners",)

import math
from collections.abc import Mapping
from typing import Any

_TYPES = {True: ("RA---TAN-SIP", "DEC--TAN-SIP"), False: ("RA---TAN", "DEC--TAN")}
"""By whether there is a SIP polynomial."""
_NUMBERS = [f"{name}{axis}" for name in ("CRPIX", "CDELT", "CRVAL") for axis in (1, 2)]


def tangent_corners(cards: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[tuple[float, float], ...] | None:
    """Return the outer corners of an image, or `None` where its projection is another.

    Parameters
    ----------
    cards
        Values of all cards of the WCS, by keyword.
    shape
        Array shape, (rows, columns).

    Returns
    -------
    corners
        ICRS right ascension and declination in degrees: lower left, lower
        right, upper right, upper left as the array is indexed.
    """
    if not _is_plain(cards):
        return None
    rows, columns = shape
    pixels = ((0.5, 0.5), (columns + 0.5, 0.5), (columns + 0.5, rows + 0.5), (0.5, rows + 0.5))
    return tuple(_sky(cards, *_plane(cards, *pixel)) for pixel in pixels)


def _is_plain(cards: Mapping[str, Any]) -> bool:
    """Whether the cards are of the projection above, with nothing odd about them."""
    return (
        (cards.get("CTYPE1"), cards.get("CTYPE2")) == _TYPES["A_ORDER" in cards]
        and ("A_ORDER" in cards) == ("B_ORDER" in cards)
        and all(cards.get(f"CUNIT{axis}", "deg") == "deg" for axis in (1, 2))
        and all(isinstance(cards.get(name), int | float) and math.isfinite(cards[name]) for name in _NUMBERS)
        and all(_is_coefficient(name, value) for name, value in cards.items() if name.startswith(("A_", "B_", "PC")))
        and abs(cards["CRVAL2"]) <= 90
        and abs(cards["CRVAL1"]) <= 360
        and cards.get("LONPOLE", 180.0) == 180.0
        and cards.get("RADESYS") == "ICRS"
        and not any(name.startswith(("CD1_", "CD2_", "PV")) for name in cards)
    )


def _is_coefficient(name: str, value: Any) -> bool:
    kind = int if name.endswith("_ORDER") else int | float
    return isinstance(value, kind) and math.isfinite(value)


def _plane(cards: Mapping[str, Any], x: float, y: float) -> tuple[float, float]:
    """Return where a pixel, counted from 1, lies in the tangent plane; radians."""
    x, y = x - cards["CRPIX1"], y - cards["CRPIX2"]
    x, y = x + _polynomial(cards, "A", x, y), y + _polynomial(cards, "B", x, y)
    scaled = (cards.get(f"PC{i}_1", float(i == 1)) * x + cards.get(f"PC{i}_2", float(i == 2)) * y for i in (1, 2))
    east, north = (math.radians(cards[f"CDELT{i + 1}"] * value) for i, value in enumerate(scaled))
    return east, north


def _polynomial(cards: Mapping[str, Any], name: str, x: float, y: float) -> float:
    powers = range(cards.get(f"{name}_ORDER", -1) + 1)
    return math.fsum(cards.get(f"{name}_{i}_{j}", 0.0) * x**i * y**j for i in powers for j in powers)


def _sky(cards: Mapping[str, Any], east: float, north: float) -> tuple[float, float]:
    """Return the right ascension and declination of a point of the tangent plane; degrees."""
    declination = math.radians(cards["CRVAL2"])
    along = math.cos(declination) - north * math.sin(declination)
    height = math.sin(declination) + north * math.cos(declination)
    ra = (cards["CRVAL1"] + math.degrees(math.atan2(east, along))) % 360
    return ra, math.degrees(math.atan2(height, math.hypot(along, east)))
