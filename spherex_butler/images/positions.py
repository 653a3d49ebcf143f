"""Positions in an image, given as pixels or on the sky: where its own pixels they are, and whether they are inside."""

from __future__ import annotations

__all__ = ("Bounds", "Frame", "Outside", "as_seen", "inner_pixels", "require_celestial", "sky_pixels")

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self, TypeAlias, get_args

import astropy.units as u
import numpy as np
from astropy.coordinates import (
    CIRS,
    GCRS,
    ICRS,
    ITRS,
    TEME,
    TETE,
    AltAz,
    GeocentricMeanEcliptic,
    GeocentricTrueEcliptic,
    HADec,
    PrecessedGeocentric,
    SkyCoord,
    UnitSphericalRepresentation,
)
from astropy.wcs import WCS, NoConvergence
from astropy.wcs.utils import wcs_to_celestial_frame
from numpy.typing import ArrayLike, NDArray

from ..errors import ParameterError
from ..formats.fits.lazy_header import LazyHeader
from .derived import DERIVED, Default
from .geometry import celestial_wcs

Outside: TypeAlias = Literal["raise", "nan"]
"""What becomes of positions outside an image: an error, or NaN for those."""

Pixels: TypeAlias = NDArray[np.float64]

_DISTORTED_MARGIN = 1000  # pixels around the image in which distortion may decide what is inside
_SKY_SLACK = 1e-3  # pixels; the inverse of the distortion is good to 1e-4, so that corners on the sky stay inside

_OF_OBSERVERS = (
    *(AltAz, CIRS, GCRS, HADec, ITRS, TEME, TETE),
    *(GeocentricMeanEcliptic, GeocentricTrueEcliptic, PrecessedGeocentric),
)
"""Frames with their origin in the Earth or on it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The first and the last position along both axes that count as inside, and of what, for messages."""

    x_min: float
    x_max: float
    y_min: float
    y_max: float
    of: str

    @classmethod
    def of_image(cls, shape: tuple[int, ...], origin: tuple[int, int]) -> Self:
        """Return those of an image: from the outer edges of its first pixels to those of its last."""
        rows, columns = shape
        moved = "" if origin == (0, 0) else f" and whose first pixel is {origin} of the full frame"
        return cls(-0.5, columns - 0.5, -0.5, rows - 0.5, f"the image, whose shape is {(rows, columns)}{moved}")


def inner_pixels(
    x: ArrayLike | SkyCoord,
    y: ArrayLike | None,
    *,
    bounds: Bounds,
    to_pixels: Callable[[SkyCoord], tuple[Pixels, Pixels]],
    outside: Outside = "raise",
) -> tuple[Pixels, Pixels]:
    """Return pixels x and y of positions, NaN for those outside if ``outside="nan"`` allows such.

    ``x`` is a sky position alone, which ``to_pixels`` converts, or goes with ``y``.
    """
    if outside not in get_args(Outside):
        raise ParameterError(f"outside={outside!r} is not known; expected one of {list(get_args(Outside))}.")
    if isinstance(x, SkyCoord):
        if y is not None:
            raise ParameterError(f"y={y!r} was given with a SkyCoord, which stands for x and y.")
        px, py = to_pixels(x)
        slack = _SKY_SLACK
    else:
        if y is None:
            raise ParameterError(f"x={x!r} was given without y; expected pixels x and y, or a SkyCoord.")
        px, py = _as_pixels(x, y)
        slack = 0.0
    inside = (px >= bounds.x_min - slack) & (px <= bounds.x_max + slack)
    inside &= (py >= bounds.y_min - slack) & (py <= bounds.y_max + slack)
    if inside.all():
        return px, py
    if outside == "raise":
        raise ParameterError(_message(px, py, ~inside, x if isinstance(x, SkyCoord) else None, bounds))
    return np.where(inside, px, np.nan), np.where(inside, py, np.nan)


def _as_pixels(x: ArrayLike, y: ArrayLike) -> tuple[Pixels, Pixels]:
    numbers = []
    for name, value in (("x", x), ("y", y)):
        unit = getattr(value, "unit", None)
        if unit not in {None, u.one, u.pixel}:
            raise ParameterError(f"{name} is in {unit}; expected pixels, or a SkyCoord for a position on the sky.")
        try:
            numbers.append(np.asarray(value, float))
        except (TypeError, ValueError):
            raise ParameterError(f"{name}={value!r} is no number of pixels, nor an array of such.") from None
    try:
        px, py = np.broadcast_arrays(*numbers)
    except ValueError:
        shapes = " and ".join(str(array.shape) for array in numbers)
        raise ParameterError(f"x and y have shapes {shapes}; expected one shape, or shapes that broadcast.") from None
    return px, py


def _message(x: Pixels, y: Pixels, outside: NDArray[np.bool_], sky: SkyCoord | None, bounds: Bounds) -> str:
    first = tuple(index[0] for index in np.nonzero(np.atleast_1d(outside)))
    pixel = f"({np.atleast_1d(x)[first]:.6g}, {np.atleast_1d(y)[first]:.6g})"
    where = f"Pixel {pixel}"
    if sky is not None:
        found = (sky if sky.shape else sky.reshape(1))[first]
        where = f"The position RA, Dec {as_seen(found).to_string('decimal', precision=5)} (pixel {pixel})"
    if (count := int(outside.sum())) > 1:
        where = f"{where} and {count - 1} more of {outside.size} positions are outside"
    else:
        where = f"{where} is outside"
    return (
        f"{where} {bounds.of}: x runs from {bounds.x_min:g} to {bounds.x_max:g}, y from {bounds.y_min:g} to "
        f"{bounds.y_max:g}. Leave such positions out, or pass outside='nan' to get NaN for them."
    )


def as_seen(position: SkyCoord) -> SkyCoord:
    """Return the directions of positions, ICRS, as observers see them, and NaN for masked ones.

    A position that has a distance from the Earth is where it is seen from there. Converted with its distance, it would
    be where the barycentre of the solar system sees it: Mars is tens of degrees elsewhere.
    """
    frame = position.frame
    if type(frame) is ICRS and not position.masked:
        return position
    data = frame.data.without_differentials().represent_as(UnitSphericalRepresentation)
    seen = SkyCoord(frame.realize_frame(data))
    # Not all of astropy's transformations take masked values.
    found = (seen if isinstance(frame, _OF_OBSERVERS) else position).unmasked.icrs.spherical
    lon, lat = (np.where(seen.mask, np.nan, angle.deg) for angle in (found.lon, found.lat))
    return SkyCoord(lon, lat, unit="deg", frame="icrs")


def sky_pixels(position: SkyCoord, shape: tuple[int, ...], wcs: WCS) -> tuple[Pixels, Pixels]:
    """Return the pixels of sky positions in an image of ``shape``; infinity or NaN where the projection has none.

    Far from the image the distortion is left out: its inverse diverges there,
    with warnings, or converges to pixels of the image, and the position is
    outside with or without it.
    """
    found = as_seen(position).transform_to(wcs_to_celestial_frame(wcs)).spherical
    world = np.array([np.ravel(found.lon.deg), np.ravel(found.lat.deg)])[:: 1 if wcs.wcs.lng < wcs.wcs.lat else -1]
    x, y = (np.array(axis, float) for axis in wcs.wcs_world2pix(*world, 0))
    margin = max(shape) + _DISTORTED_MARGIN
    near = (-margin < x) & (x < shape[1] + margin) & (-margin < y) & (y < shape[0] + margin)
    if near.any():
        x[near], y[near] = _distorted(wcs, world[:, near])
    return x.reshape(position.shape), y.reshape(position.shape)


def _distorted(wcs: WCS, world: NDArray[np.float64]) -> tuple[Pixels, Pixels]:
    try:
        x, y = wcs.all_world2pix(*world, 0)
    except NoConvergence as error:  # for some of them, which are far outside
        x, y = np.array(error.best_solution, float).T
        for failed in (error.divergent, error.slow_conv):
            if failed is not None:
                x[failed], y[failed] = np.nan, np.nan
    return np.asarray(x, float), np.asarray(y, float)


def require_celestial(wcs: WCS | None, what: str, instead: str) -> WCS:
    """Return the celestial part of a WCS; a `ParameterError` says what needed it, and what to use instead."""
    if wcs is None or not wcs.has_celestial:
        raise ParameterError(f"{what} needs an image with a celestial WCS, and this one has none; use {instead}.")
    return wcs.celestial


class Frame:
    """The pixels of an image, for a part of it that is asked about positions: how many, and where on the sky.

    Parameters
    ----------
    shape
        (rows, columns).
    header
        The image's header, which describes its WCS.
    assigned_wcs
        Used in place of the header's.
    """

    def __init__(
        self, shape: tuple[int, ...], header: LazyHeader, assigned_wcs: WCS | Default | None = DERIVED
    ) -> None:
        self.shape = shape
        self.assigned_wcs = assigned_wcs
        self._header = header

    @cached_property
    def wcs(self) -> WCS | None:
        """Celestial WCS."""
        return celestial_wcs(self._header) if self.assigned_wcs is DERIVED else self.assigned_wcs

    def pixels(self, position: SkyCoord) -> tuple[Pixels, Pixels]:
        """Return the pixels of sky positions."""
        return sky_pixels(position, self.shape, require_celestial(self.wcs, "A position on the sky", "pixels"))
