"""The sky in a picture of an image: axes in degrees, where North and East are, and a mark at a position."""

from __future__ import annotations

__all__ = ("draw_compass", "draw_mark", "label_sky", "require_position")

from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.visualization.wcsaxes import WCSAxes
from astropy.wcs import WCS
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from ..errors import ParameterError
from ..images.positions import Outside, require_celestial, sky_pixels
from .colors import MARK, outlined

_NAMES = {"RA": "right ascension", "DEC": "declination", "GLON": "Galactic longitude", "GLAT": "Galactic latitude"}
_LONG, _SHORT = 26, 18  # points
_POINTS = 72  # of an inch
_STEP = 1 * u.arcsec


def label_sky(ax: WCSAxes) -> None:
    """Label axes by longitude and latitude in degrees, with as many digits as the image needs."""
    for coordinate, kind in zip(ax.coords, (ax.wcs.wcs.lngtyp, ax.wcs.wcs.lattyp), strict=True):
        coordinate.set_format_unit(u.deg, decimal=True, show_decimal_unit=False)
        coordinate.set_axislabel(f"{_NAMES.get(kind.strip(), kind)} [deg]")


def draw_compass(ax: Axes, wcs: WCS, shape: tuple[int, ...], *, small: bool = False) -> list[Annotation]:
    """Draw arrows to North and East, as they are in the middle of an image, into the lower right corner.

    If ``small``, it is one arrow, to North: letters would run into each other.
    """
    length, names, font = (_SHORT, "N", 7) if small else (_LONG, "NE", 9)
    inch = 1.6 * length / _POINTS
    place = ax.transAxes + ScaledTranslation(-inch, inch, ax.figure.dpi_scale_trans)
    drawn = []
    for name, direction in zip(names, _directions(wcs, shape), strict=False):
        arrow = ax.annotate(
            name,
            (1, 0),
            xycoords=place,
            xytext=tuple(length * direction),
            textcoords="offset points",
            arrowprops={
                "arrowstyle": "<-",
                "color": "white",
                "shrinkA": 0.55 * font,
                "shrinkB": 0,
                "path_effects": outlined(),
            },
            color="white",
            fontsize=font,
            ha="center",
            va="center",
        )
        arrow.set_path_effects(outlined(1.2))
        drawn.append(arrow)
    return drawn


def _directions(wcs: WCS, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the directions to North and East in the middle of an image: unit vectors (x, y) of pixels."""
    middle = (np.array(shape[::-1]) - 1) / 2
    here = wcs.pixel_to_world(*middle)
    there = here.directional_offset_by([0, 90] * u.deg, _STEP)
    offsets = np.stack(sky_pixels(there, shape, wcs), axis=-1) - np.stack(sky_pixels(here, shape, wcs), axis=-1)
    return np.asarray(offsets / np.linalg.norm(offsets, axis=-1, keepdims=True), float)


def draw_mark(
    ax: Axes, mark: SkyCoord, wcs: WCS | None, shape: tuple[int, ...], *, outside: Outside = "raise"
) -> Line2D | None:
    """Draw circles at positions on the sky, those outside the image left out.

    Raises
    ------
    ParameterError
        Raised if it is no SkyCoord, the image has no WCS, or, unless ``outside="nan"``, no position is in it.
    """
    require_position(mark)
    celestial = require_celestial(wcs, "mark on the sky", "ax.plot(x, y, 'o') with pixels")
    x, y = (np.atleast_1d(axis).ravel() for axis in sky_pixels(mark, shape, celestial))
    inside = (x >= -0.5) & (x <= shape[1] - 0.5) & (y >= -0.5) & (y <= shape[0] - 0.5)
    if not inside.any() and outside == "nan":
        return None
    if not inside.any():
        where = mark.reshape(-1)[0].icrs.to_string("decimal", precision=5) if mark.size else "of no position"
        raise ParameterError(
            f"mark (RA, Dec {where}) is outside the image of {shape[1]} x {shape[0]} pixels; expected a position in it."
        )
    style: dict[str, Any] = {"mec": MARK, "mfc": "none", "ms": 14, "mew": 1.5, "path_effects": outlined(3)}
    (drawn,) = ax.plot(x[inside], y[inside], "o", scalex=False, scaley=False, label="mark", zorder=3, **style)
    return drawn


def require_position(mark: object) -> None:
    """Refuse what is no position on the sky, or several."""
    if not isinstance(mark, SkyCoord):
        raise ParameterError(f"mark={mark!r} is no position on the sky; expected a SkyCoord, of one or many.")
