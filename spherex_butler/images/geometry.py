"""Where an image lies on the detector and on the sky, from its header alone."""

from __future__ import annotations

__all__ = (
    "celestial_wcs",
    "corners_and_center",
    "describe_corners",
    "direction_of",
    "frame_axes",
    "frame_origin",
    "longitude_latitude",
    "replace_celestial",
    "sky_corners",
    "tangents_of",
)

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from astropy.coordinates import BaseCoordinateFrame, CartesianRepresentation, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, Sip
from numpy.typing import ArrayLike, NDArray

from ..errors import FormatError
from ..formats.fits.lazy_header import LazyHeader
from ..formats.fits.wcs import require_small

_CELESTIAL_CARDS = re.compile(
    r"NAXIS[12]|WCSAXES|CRPIX\d|PC\d_\d|CD\d_\d|CDELT\d|CUNIT\d|CTYPE\d|CRVAL\d|PV\d_\d"
    r"|LONPOLE|LATPOLE|RADESYS|EQUINOX|[AB]P?_ORDER|[AB]P?_\d_\d"
)
_FORWARD_CARDS = re.compile(rf"(?![AB]P_)(?:{_CELESTIAL_CARDS.pattern})")  # without SIP from the sky to pixels
_SIMPLE_CARDS = re.compile(
    r"NAXIS[12]|WCSAXES|(CRPIX|CDELT|CUNIT|CTYPE|CRVAL)[12]|PC[12]_[12]|LONPOLE|LATPOLE|RADESYS|EQUINOX"
    r"|[AB]P?_ORDER|[AB]P?_\d_\d"
)
_REQUIRED = {f"{name}{axis}" for name in ("CRPIX", "CDELT", "CUNIT", "CTYPE", "CRVAL") for axis in (1, 2)}


_FARTHEST = 20_000
"""Pixels: of the focal plane, which is three detectors wide, the reference point can be no farther from an image."""

_SMALLEST, _LARGEST = 1, 10
"""Arcseconds, and degrees: a pixel is 6.2 arcseconds wide, a detector 3.5 degrees."""


def frame_origin(header: LazyHeader) -> tuple[int, int]:
    """Return the full-frame pixel (x, y) of an image's first pixel, 0-based.

    The alternate WCS ``A`` counts full-frame pixels from 0, so an archive
    cutout begins at ``1 - CRPIXnA``; without it the image is the full frame.
    """
    first, second = header.get("CRPIX1A", 1), header.get("CRPIX2A", 1)
    try:
        return round(1 - first), round(1 - second)
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"The header has CRPIX1A={first!r}, CRPIX2A={second!r}; expected pixels.") from error


def celestial_wcs(header: LazyHeader) -> WCS | None:
    """Return the primary WCS with SIP, or `None` where there is none.

    It is built from its own cards alone, which takes a third of the time that
    the whole header takes; and without astropy's parser if they are the cards
    of every Level 2 file, which takes a third of that.
    """
    return _wcs_of(header, _CELESTIAL_CARDS)


def _wcs_of(header: LazyHeader, cards: re.Pattern[str]) -> WCS | None:
    values = header.values(cards)
    if "CTYPE1" not in values:
        return None
    require_small(values)
    try:
        return _simple_wcs(values) if _are_simple(frozenset(values)) else WCS(header.selected(cards))
    except Exception as error:  # wcslib's errors have no common base, nor what values of the wrong type raise
        raise FormatError(
            f"The header's celestial WCS (CTYPE1={values['CTYPE1']!r}) cannot be read: {' '.join(str(error).split())}"
        ) from error


@lru_cache  # the images of a release have the same cards
def _are_simple(keywords: frozenset[str]) -> bool:
    return keywords >= _REQUIRED and all(_SIMPLE_CARDS.fullmatch(keyword) for keyword in keywords)


def _simple_wcs(cards: Mapping[str, Any]) -> WCS:
    """Return the WCS of cards that all match `_SIMPLE_CARDS`."""
    wcs = WCS(naxis=2)
    for name, length in (("ctype", 2), ("cunit", 2), ("crpix", 2), ("crval", 2), ("cdelt", 2)):
        setattr(wcs.wcs, name, [cards[f"{name.upper()}{axis + 1}"] for axis in range(length)])
    wcs.wcs.pc = [[cards.get(f"PC{i}_{j}", float(i == j)) for j in (1, 2)] for i in (1, 2)]
    for name in ("lonpole", "latpole", "radesys", "equinox"):
        if name.upper() in cards:
            setattr(wcs.wcs, name, cards[name.upper()])
    if "A_ORDER" in cards and "B_ORDER" in cards:
        wcs.sip = Sip(*(_polynomial(cards, name) for name in ("A", "B", "AP", "BP")), wcs.wcs.crpix)
    if "NAXIS1" in cards and "NAXIS2" in cards:
        wcs.pixel_shape = (cards["NAXIS1"], cards["NAXIS2"])
    wcs.wcs.set()
    return wcs


def _polynomial(cards: Mapping[str, Any], name: str) -> NDArray[np.float64] | None:
    """Return the coefficients of a SIP polynomial: a square matrix, by powers of x and y."""
    if f"{name}_ORDER" not in cards:
        return None
    size = cards[f"{name}_ORDER"] + 1
    return np.array([[cards.get(f"{name}_{i}_{j}", 0.0) for j in range(size)] for i in range(size)], float)


def replace_celestial(header: fits.Header, wcs: WCS | None) -> None:
    """Replace a header's primary WCS, or remove it if the new one is `None`."""
    old = [keyword for keyword in header if _CELESTIAL_CARDS.fullmatch(keyword) and not keyword.startswith("NAXIS")]
    place = header.index(old[0]) if old else len(header)
    for keyword in old:
        header.remove(keyword)
    cards = [] if wcs is None else wcs.to_header(relax=True).cards
    for number, card in enumerate(card for card in cards if _CELESTIAL_CARDS.fullmatch(card.keyword)):
        header.insert(place + number, card)


def sky_corners(wcs: WCS | None, shape: tuple[int, ...]) -> SkyCoord:
    """Return the outer corners of an image of ``shape`` on the sky, in the order of the archive's ``s_region``.

    That is lower left, lower right, upper right, upper left as the array is indexed.
    """
    if wcs is None:
        raise FormatError("The IMAGE header has no celestial WCS; expected CTYPE1 and CTYPE2.")
    return _on_sky(wcs, _corner_pixels(shape))


def _on_sky(wcs: WCS, pixels: NDArray[np.float64]) -> SkyCoord:
    found = wcs.pixel_to_world(*pixels.T)
    if not isinstance(found, SkyCoord):  # of a frame that astropy does not know
        raise FormatError(
            f"The IMAGE header has RADESYS={wcs.wcs.radesys!r} with CTYPE {', '.join(wcs.wcs.ctype)}; expected a frame "
            "on the sky, as RADESYS='ICRS'."
        )
    return found


def _corner_pixels(shape: tuple[int, ...]) -> NDArray[np.float64]:
    rows, columns = shape
    return np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)]) - 0.5


def corners_and_center(
    header: LazyHeader, shape: tuple[int, ...]
) -> tuple[tuple[tuple[float, float], ...], tuple[float, float]] | None:
    """Return the corners of `sky_corners` and the middle of the image, `None` without a WCS.

    They are ICRS right ascension and declination in degrees.
    """
    wcs = _wcs_of(header, _FORWARD_CARDS)
    if wcs is None:
        return None
    _require_reference(wcs)
    if (wcs.wcs.lng, wcs.wcs.lngtyp, wcs.wcs.radesys) == (0, "RA", "ICRS"):
        # Without a SkyCoord, which would take twice as long as the rest.
        found = wcs.all_pix2world(_outer_and_middle_pixels(shape), 0)
    else:
        places = _on_sky(wcs, _outer_and_middle_pixels(shape)).icrs
        found = np.transpose([places.ra.deg, places.dec.deg])
    if not np.isfinite(found).all():
        raise FormatError(f"The WCS puts the image's corners at {found[:4].tolist()}; expected finite positions.")
    _require_extent(found[:4])
    *corners, center = [(ra % 360, dec) for ra, dec in found.tolist()]
    return tuple(corners), center


def _outer_and_middle_pixels(shape: tuple[int, ...]) -> NDArray[np.float64]:
    corners = _corner_pixels(shape)
    return np.concatenate([corners, [corners[2] / 2 - 0.25]])


def _require_reference(wcs: WCS) -> None:
    """Refuse a reference point that is no place on the sky, or far from the image."""
    for axis, most in ((wcs.wcs.lng, 360), (wcs.wcs.lat, 90)):
        if axis >= 0 and not abs(value := float(wcs.wcs.crval[axis])) <= most:
            raise FormatError(f"CRVAL{axis + 1} is {value!r}; expected degrees from {-most} to {most}.")
    for axis, value in enumerate(map(float, wcs.wcs.crpix)):
        if not abs(value) <= _FARTHEST:
            raise FormatError(f"CRPIX{axis + 1} is {value!r}; expected a pixel within {_FARTHEST} of the image.")


def _require_extent(corners: NDArray[np.float64]) -> None:
    """Refuse corners, in degrees, that enclose no area or are farther apart than those of any detector."""
    points = direction_of(*corners.T).T
    length = max(np.linalg.norm(points - np.roll(points, by, axis=0), axis=1).max() for by in (1, 2))
    area = np.linalg.norm(np.cross(points[2] - points[0], points[3] - points[1])) / 2
    if np.degrees(length) > _LARGEST or area <= length * np.radians(_SMALLEST / 3600):
        raise FormatError(
            f"The WCS puts the image's corners at {corners.tolist()}; expected an image at least {_SMALLEST} arcsecond "
            f"wide, and at most {_LARGEST} degrees from corner to corner. Check CDELT, PC or CD, and SIP."
        )


def direction_of(longitude: ArrayLike, latitude: ArrayLike) -> NDArray[np.float64]:
    """Return unit vectors, shape (3, …), from degrees."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    return np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def frame_axes(frame: BaseCoordinateFrame) -> NDArray[np.float64]:
    """Return the axes of a frame of directions in ICRS, a row each: the rotation that astropy applies."""
    axes = SkyCoord(CartesianRepresentation(np.eye(3)), frame=frame)
    return np.array(axes.icrs.cartesian.xyz.value.T)


def longitude_latitude(direction: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return degrees from vectors of any length, shape (3, …)."""
    x, y, z = direction
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def tangents_of(longitude: ArrayLike, latitude: ArrayLike) -> NDArray[np.float64]:
    """Return the unit vectors to the East and to the North at positions in degrees, shape (2, 3, …)."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    east = [-np.sin(lon), np.cos(lon), np.zeros_like(lon)]
    north = [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)]
    return np.array([east, north])


def describe_corners(wcs: WCS | None, shape: tuple[int, ...]) -> str:
    """Return the corners of an image on the sky as text for an error message."""
    if wcs is None:
        return "which has no celestial WCS"
    return "corners at RA, Dec " + "; ".join(sky_corners(wcs, shape).to_string("decimal", precision=5))
