"""Cutouts: which pixels they hold, asked for by corners or by a center and a size, and what becomes of each part."""

from __future__ import annotations

__all__ = (
    "CutoutOptions",
    "Size",
    "box_around",
    "cutout",
    "part",
    "requested_box",
    "separate",
    "share_psf",
    "sides_of",
    "sliced_box",
)

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from ..errors import ParameterError, SpherexButlerWarning
from ..formats.fits.boxes import Box
from .derived import DERIVED
from .geometry import describe_corners
from .positions import require_celestial, sky_pixels
from .psf import DeferredPSF

Image = TypeVar("Image", bound=CCDData)

Center: TypeAlias = SkyCoord | tuple[float, float]
"""A position on the sky, or a pixel (x, y)."""

Size: TypeAlias = u.Quantity | float | tuple[float, float] | tuple[u.Quantity, u.Quantity]
"""A full side, or (height, width): angles, or numbers of pixels."""

Mode: TypeAlias = Literal["trim", "strict"]
"""What becomes of a cutout that is partly outside: it is clipped, or refused."""


class CutoutOptions(TypedDict, total=False):
    """What says which part of an image is wanted: ``bbox``, or ``center`` and ``size``."""

    center: Center | None
    size: Size | None
    bbox: tuple[int, int, int, int] | None
    mode: Mode


_LARGEST = 2**31  # side of a cutout
_SMALL_SHARE = 0.25  # of a box around a pixel of the image, a larger part is in the image
_PIXELS_HINT = "center={!r} is in pixels, not degrees: pass a SkyCoord for a position on the sky."


def cutout(
    image: Image,
    center: Center | None = None,
    size: Size | None = None,
    *,
    bbox: tuple[int, int, int, int] | None = None,
    mode: Mode = "trim",
) -> Image:
    """Return a part of the image, with the same part of every plane and a shifted WCS.

    Parameters
    ----------
    center
        Sky position, or full-frame pixel (x, y); two plain numbers are pixels, never degrees.
    size
        Full side: an angle or pixels, a scalar or (height, width).
    bbox
        Instead of both: x_min, x_max, y_min, y_max; half-open, 0-based, of the full frame.
    mode
        ``"trim"`` clips a cutout partly outside, ``"strict"`` refuses it.

    Raises
    ------
    ParameterError
        Raised if the part lies outside the image.

    Warns
    -----
    SpherexButlerWarning
        Issued if ``center`` is two numbers that are probably degrees: of the
        box around that pixel less than a quarter is in the image, or as right
        ascension and declination they are in it.
    """
    wanted = {"center": center, "size": size, "bbox": bbox, "mode": mode}
    footprint = partial(describe_corners, image.wcs, image.data.shape)
    box = requested_box(wanted, bounds=image.box, wcs=image.wcs, footprint=footprint)
    if box is None:
        raise ParameterError("A cutout needs center and size, or bbox.")
    x0, y0 = image.origin
    return part(image, box.shifted(-x0, -y0))


def part(image: Image, box: Box) -> Image:
    """Return the part of an image in a box of its own pixels."""
    parts = image._parts()
    corner = (box.x_min, box.y_min)
    for name in ("data", "variance", "flags", "zodi", "mask", "wcs"):
        if parts[name] is not None and parts[name] is not DERIVED:
            parts[name] = parts[name][box.slices]
    parts["header"] = parts["header"].cutout(corner, box.shape)
    parts["plane_headers"] = {n: header.cutout(corner, box.shape) for n, header in parts["plane_headers"].items()}
    parts["psf"] = None if parts["psf"] is None else parts["psf"].cutout(corner)
    cut: Image = type(image)(**parts)
    return cut


def separate(image: Image) -> Image:
    """Return a part of an image by itself, so that it does not keep the whole in memory."""
    parts = image._parts()
    for name in ("data", "variance", "flags", "zodi", "mask"):
        if isinstance(parts[name], np.ndarray):
            parts[name] = parts[name].copy()
    alone: Image = type(image)(**parts)
    return alone


def share_psf(image: Image, known: list[DeferredPSF]) -> None:
    """Let the cutouts of a remote image share its PSF, which is loaded when one of them uses it.

    ``known`` is that of the first of them, and empty before.
    """
    psf = image._parts()["psf"]
    if not isinstance(psf, DeferredPSF):
        return
    if known:
        image.psf = known[0].moved(psf)
    else:
        known.append(psf)


def requested_box(
    parameters: Mapping[str, Any],
    *,
    bounds: Box,
    wcs: WCS | None = None,
    footprint: Callable[[], str] | None = None,
) -> Box | None:
    """Return the box of pixels that the parameters of `cutout` ask for, `None` if they ask for no subset.

    Box and ``bounds``, where the image lies, count the same pixels.  Pixel
    (0, 0) of ``wcs`` is the corner of ``bounds``; it is needed where ``center``
    is on the sky or ``size`` is an angle.  ``footprint`` says in an error where
    on the sky the image is.
    """
    mode = parameters.get("mode") or "trim"
    if mode not in {"trim", "strict"}:
        raise ParameterError(f"mode={mode!r} is not known; expected 'trim' or 'strict'.")

    def image() -> str:
        return f"the image, {bounds}{', ' + footprint() if footprint else ''}"

    box = _unclipped_box(parameters, bounds, wcs, image)
    if box is None:
        return None
    clipped = box.clipped(bounds)
    if clipped is None or (mode == "strict" and clipped != box):
        how = "wholly" if clipped is None else "partly"
        hint = "." if clipped is None else f"; mode='trim' would return {clipped}."
        if clipped is None and _is_pixel(parameters.get("center")):
            hint = f". {_PIXELS_HINT.format(parameters['center'])}"
        raise ParameterError(f"The requested {box} lies {how} outside {image()}{hint}")
    if _is_pixel(parameters.get("center")):
        _warn_of_degrees(parameters["center"], box, clipped, bounds, wcs)
    return clipped


def _is_pixel(center: Any) -> bool:
    return center is not None and not isinstance(center, SkyCoord)


def _warn_of_degrees(center: Any, box: Box, clipped: Box, bounds: Box, wcs: WCS | None) -> None:
    """Warn if a center in pixels was probably meant in degrees."""
    hint = _PIXELS_HINT.format(center)
    share = clipped.size / box.size
    if share < _SMALL_SHARE:
        warnings.warn(f"Only {share:.1%} of the requested {box} is in the image. {hint}", SpherexButlerWarning, 4)
        return
    ra, dec = (float(coordinate) for coordinate in center)
    if wcs is None or not wcs.has_celestial or not (-180 <= ra <= 360 and -90 <= dec <= 90):
        return
    x, y = sky_pixels(SkyCoord(ra, dec, unit="deg"), bounds.shape, wcs.celestial)
    if 0 <= x < bounds.shape[1] and 0 <= y < bounds.shape[0]:
        at = f"({x + bounds.x_min:.0f}, {y + bounds.y_min:.0f})"
        warnings.warn(f"{hint} As RA and Dec it is in this image, at pixel {at}.", SpherexButlerWarning, 4)


def _unclipped_box(parameters: Mapping[str, Any], bounds: Box, wcs: WCS | None, image: Callable[[], str]) -> Box | None:
    bbox, center, size = (parameters.get(name) for name in ("bbox", "center", "size"))
    if bbox is not None:
        if center is not None or size is not None:
            raise ParameterError("bbox cannot be combined with center and size; give one or the other.")
        return _box_from_corners(bbox)
    if center is None and size is None:
        return None
    if center is None or size is None:
        missing, given = ("center", "size") if center is None else ("size", "center")
        raise ParameterError(f"{given} was given without {missing}; a cutout needs both.")
    x, y = _center_pixel(center, bounds, wcs)
    if not (np.isfinite(x) and np.isfinite(y)):
        raise ParameterError(f"center={_describe(center)} lies wholly outside {image()}.")
    return box_around(x, y, size, wcs)


def box_around(x: float, y: float, size: Any, wcs: WCS | None = None) -> Box:
    """Return the box of a size around a pixel; an angle needs the ``wcs``."""
    height, width = _size_pixels(size, wcs)
    # The same rounding as astropy's Cutout2D (astropy.nddata.overlap_slices).
    x_min, y_min = int(np.ceil(x - width / 2)), int(np.ceil(y - height / 2))
    return Box(x_min, x_min + width, y_min, y_min + height)


def _box_from_corners(bbox: Any) -> Box:
    if isinstance(bbox, Box):
        return bbox
    try:
        corners = [int(corner) for corner in bbox]
        exact = len(corners) == 4 and all(a == b for a, b in zip(corners, bbox, strict=True))
    except (TypeError, ValueError, OverflowError):
        exact = False
    if not exact:
        raise ParameterError(f"bbox={bbox!r} is not four whole numbers (x_min, x_max, y_min, y_max).")
    return Box(*corners)


def _center_pixel(center: Any, bounds: Box, wcs: WCS | None) -> tuple[float, float]:
    if isinstance(center, SkyCoord):
        if not center.isscalar:
            raise ParameterError(f"center holds {center.size} positions; a cutout has one center.")
        found = sky_pixels(center, bounds.shape, require_celestial(wcs, "center on the sky", "bbox"))
        return float(found[0]) + bounds.x_min, float(found[1]) + bounds.y_min
    try:
        x, y = (float(coordinate) for coordinate in center)
    except (TypeError, ValueError):
        raise ParameterError(f"center={center!r} is neither a SkyCoord nor a pixel (x, y).") from None
    return x, y


def _describe(center: Any) -> str:
    return repr(center.to_string("decimal") if isinstance(center, SkyCoord) else center)


def sides_of(size: Any) -> u.Quantity:
    """Return height and width, in a unit of angle or without one, which means pixels.

    Raises
    ------
    ParameterError
        Raised if it is no size.
    """
    try:
        sides = u.Quantity(size) * np.ones(2)
    except (TypeError, ValueError):
        raise ParameterError(f"size={size!r} is neither an angle nor a number of pixels.") from None
    if sides.shape != (2,):
        raise ParameterError(f"size={size!r} has shape {sides.shape}; expected one side, or height and width.")
    if sides.unit.is_equivalent(u.deg):
        return sides
    if sides.unit not in {u.dimensionless_unscaled, u.pixel}:
        raise ParameterError(f"size={size!r} has unit {sides.unit}; expected an angle or pixels.")
    return u.Quantity(sides.value, u.dimensionless_unscaled)


def _size_pixels(size: Any, wcs: WCS | None) -> tuple[int, int]:
    sides = sides_of(size)
    if sides.unit.is_equivalent(u.deg):
        # proj_plane_pixel_scales gives (x, y); a size is (height, width).
        scale = proj_plane_pixel_scales(require_celestial(wcs, "size as an angle", "bbox"))[::-1]
        pixels = sides.to_value(u.deg) / scale
    else:
        pixels = sides.value
    if not np.all((np.round(pixels) >= 1) & (pixels < _LARGEST)):
        raise ParameterError(f"size={size!r} is {pixels} pixels; expected at least one, and a finite number.")
    height, width = (int(side) for side in np.round(pixels))
    return height, width


def sliced_box(item: Any, shape: tuple[int, int]) -> Box:
    """Return the box of pixels that an index of an array of ``shape`` asks for."""
    items = item if isinstance(item, tuple) else (item,)
    if len(items) > 2 or not all(isinstance(i, slice) and i.step in {None, 1} for i in items):
        raise ParameterError(f"An image cannot be indexed by {item!r}, only by contiguous slices; index its data.")
    y_min, y_max, _ = items[0].indices(shape[0])
    x_min, x_max, _ = (items[1] if len(items) == 2 else slice(None)).indices(shape[1])
    return Box(x_min, x_max, y_min, y_max)
