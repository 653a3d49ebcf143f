"""The axes that a picture is drawn into: those of the caller, if it can be drawn there, or those of a new figure."""

from __future__ import annotations

__all__ = ("given_axes", "new_axes", "new_grid", "require_image_axes")

from typing import Any

import numpy as np
from astropy.visualization.wcsaxes import WCSAxes
from astropy.wcs import WCS
from matplotlib.axes import Axes

from ..errors import ParameterError

_SAME = 0.1  # pixels


def new_axes(width: float, height: float, **options: Any) -> Axes:
    """Return the axes of a new figure of pyplot, so many inches wide and high."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 - it may choose a backend, which is for callers without axes

    ax: Axes = plt.figure(figsize=(width, height), layout="constrained").add_subplot(**options)
    return ax


def new_grid(number: int, columns: int, side: float) -> list[Axes]:
    """Return the axes of a new figure of pyplot, so many inches wide and high, in rows of so many."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    columns = min(columns, number)
    rows = -(-number // columns)
    figure = plt.figure(figsize=(side * columns + 1, (side + 0.3) * rows + 0.4), layout="constrained")
    return [figure.add_subplot(rows, columns, place) for place in range(1, number + 1)]


def given_axes(ax: object, projection: str = "rectilinear") -> Axes:
    """Return axes that a caller gave, of one of matplotlib's own projections.

    Raises
    ------
    ParameterError
        Raised if they are none, or of another projection.
    """
    make = f"plt.subplot(projection={projection!r})" if projection != "rectilinear" else "plt.subplot()"
    if not isinstance(ax, Axes):
        raise ParameterError(f"ax is a {type(ax).__name__}; expected the Axes of matplotlib, such as {make}.")
    if isinstance(ax, WCSAxes) or ax.name != projection:
        found = "WCSAxes" if isinstance(ax, WCSAxes) else f"of the projection {ax.name!r}"
        raise ParameterError(f"ax is {found}; expected {make}, or no ax for a new figure.")
    return ax


def require_image_axes(ax: object, wcs: WCS | None, shape: tuple[int, ...]) -> Axes:
    """Return axes that a caller gave for an image of ``shape``: plain ones, or WCSAxes of its WCS.

    Raises
    ------
    ParameterError
        Raised if they are others, in which the image would be at the wrong place.
    """
    if not isinstance(ax, WCSAxes):
        return given_axes(ax)
    if wcs is None or not _same_pixels(ax.wcs, wcs, shape):
        raise ParameterError(
            "ax has another WCS than the image, whose pixels would be at wrong places; expected plain axes, or "
            "those of plt.subplot(projection=image.wcs), for each image its own."
        )
    return ax  # type: ignore[no-any-return]  # WCSAxes are untyped


def _same_pixels(first: WCS, second: WCS, shape: tuple[int, ...]) -> bool:
    rows, columns = shape
    x, y = np.array([0, columns, columns, 0]) - 0.5, np.array([0, 0, rows, rows]) - 0.5
    if not (isinstance(first, WCS) and first.has_celestial and first.naxis == second.naxis == 2):
        return False
    there = first.all_world2pix(*second.all_pix2world(x, y, 0), 0, quiet=True)
    return bool(np.allclose(there, (x, y), rtol=0, atol=_SAME))
