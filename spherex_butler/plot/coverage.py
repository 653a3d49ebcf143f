"""A picture of how often the whole sky was seen."""

from __future__ import annotations

__all__ = ("plot_coverage",)

from collections.abc import Mapping
from typing import Any

import astropy.units as u
import hpgeom
import matplotlib as mpl
import numpy as np
from astropy.coordinates import ICRS, BarycentricMeanEcliptic, BaseCoordinateFrame, Galactic, SkyCoord
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LogNorm, Normalize
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from ..errors import ParameterError, near
from ..images.geometry import direction_of, frame_axes
from ..search.coverage import Channel, Coverage
from ..summaries import number_of, percent_of
from .axes import given_axes, new_axes
from .colors import MARK, outlined
from .sky import require_position

_SIZE = 9.0, 5.2  # inches
_PROJECTION = "mollweide"
_FRAMES: Mapping[str, tuple[BaseCoordinateFrame, str]] = {
    "ecliptic": (BarycentricMeanEcliptic(), "ecliptic longitude and latitude"),
    "icrs": (ICRS(), "right ascension and declination"),
    "equatorial": (ICRS(), "right ascension and declination"),
    "galactic": (Galactic(), "Galactic longitude and latitude"),
}
_COLUMNS, _ROWS = 1600, 800
_FEW = 12
_LOWEST = 1  # percent of what was seen may be seen less often than the colours tell apart
_WIDE = 3
_UNSEEN = "0.85"


def plot_coverage(
    counted: Coverage,
    *,
    channel: Channel | None = None,
    frame: str = "ecliptic",
    ax: Axes | None = None,
    norm: Normalize | None = None,
    mark: SkyCoord | None = None,
) -> Axes:
    """Draw how often the sky was seen, all of it, with longitudes that grow to the left, as seen from below.

    Parameters
    ----------
    counted
        What `~spherex_butler.search.coverage` returned.
    channel
        The spectral channel whose depth is drawn, as (detector, channel); by default that of all images.
    frame
        ``"ecliptic"``, ``"icrs"``, which is also ``"equatorial"``, or ``"galactic"``. Longitude 0 is in the middle.
    ax
        Axes of the projection ``"mollweide"``; by default of a new figure of pyplot.
    norm
        A norm of matplotlib for the number of images. By default each number up to 12 has a colour of its own; where
        there are more the scale is logarithmic, as some places were seen a hundred times as often as most.
    mark
        Positions to draw circles at.

    Returns
    -------
    ax
        The axes. What no image saw is grey.

    Raises
    ------
    ParameterError
        Raised if an argument makes no sense, or the channel was not counted.
    """
    if not isinstance(counted, Coverage):
        raise ParameterError(
            f"This is a {type(counted).__name__}; expected what spherex_butler.search.coverage returns."
        )
    system, name = _frame(frame)
    depth = counted.map(channel)
    if mark is not None:
        require_position(mark)
    ax = new_axes(*_SIZE, projection=_PROJECTION) if ax is None else given_axes(ax, _PROJECTION)
    drawn = _draw(ax, _projected(ax, counted.order, depth, system), _norm(depth) if norm is None else norm)
    lowest, fewest = drawn.get_clim()[0], float(depth[depth > 0].min(initial=1))
    _add_bar(ax, drawn, extend="min" if (lowest or 0) > max(1.0, fewest) else "neither")
    _label(ax)
    seen = percent_of(int((depth > 0).sum()), len(depth))
    of = "" if channel is None else f" in channel {channel[1]} of D{channel[0]}"
    ax.set_title(f"{seen} of the sky seen{of}, {number_of(counted.images, 'image')}; {name}", fontsize="medium")
    if mark is not None:
        _draw_mark(ax, mark, system)
    return ax


def _frame(name: str) -> tuple[BaseCoordinateFrame, str]:
    if name not in _FRAMES:
        raise ParameterError(
            f"frame={name!r} is not known{near(str(name), _FRAMES)} Expected one of {', '.join(_FRAMES)}."
        )
    return _FRAMES[name]


def _norm(depth: NDArray[np.int32]) -> Normalize:
    most = max(1, int(depth.max()))
    if most <= _FEW:
        return BoundaryNorm(np.arange(0.5, most + 1), 256)
    low = int(np.percentile(depth[depth > 0], _LOWEST))
    return LogNorm(min(low, most / 2), most)


def _add_bar(ax: Axes, drawn: AxesImage, extend: str) -> None:
    """Add a colour bar whose ticks are numbers of images."""
    bar = ax.figure.colorbar(
        drawn, ax=ax, label="images", orientation="horizontal", shrink=0.6, pad=0.04, extend=extend
    )
    if isinstance(drawn.norm, BoundaryNorm):
        bar.set_ticks(list(range(1, len(drawn.norm.boundaries))))
    elif isinstance(drawn.norm, LogNorm):
        decades = np.log10((drawn.norm.vmax or 1) / (drawn.norm.vmin or 1))
        bar.ax.xaxis.set(
            major_locator=LogLocator(subs=(1, 2, 5) if decades < _WIDE else (1,)),
            major_formatter=StrMethodFormatter("{x:,.0f}"),
            minor_formatter=NullFormatter(),
        )


def _projected(
    ax: Any, order: int, depth: NDArray[np.int32], system: BaseCoordinateFrame
) -> np.ma.MaskedArray[tuple[int, int], np.dtype[np.int32]]:
    """Return the depth at each place of the map, row by row from below; masked where nothing was seen, or no sky is."""
    width, height = 2 * np.sqrt(2), np.sqrt(2)
    x, y = np.meshgrid(_centers(width, _COLUMNS), _centers(height, _ROWS))
    inside = (x / width) ** 2 + (y / height) ** 2 < 1
    longitude, latitude = ax.transProjection.inverted().transform(np.stack([x[inside], y[inside]], axis=1)).T
    direction = frame_axes(system).T @ direction_of(-np.degrees(longitude), np.degrees(latitude))
    found = np.zeros(x.shape, depth.dtype)
    found[inside] = depth[hpgeom.vector_to_pixel(1 << order, *direction, nest=True)]
    return np.ma.masked_array(found, found == 0)


def _centers(half: float, number: int) -> NDArray[np.float64]:
    return (np.arange(number) + 0.5) / number * 2 * half - half


def _draw(ax: Any, image: np.ma.MaskedArray, norm: Normalize) -> AxesImage:
    """Draw an image in the plane of the projection, where axes draw nothing by themselves."""
    width, height = 2 * np.sqrt(2), np.sqrt(2)
    colors = mpl.colormaps["viridis"].with_extremes(bad=(0, 0, 0, 0))
    ax.set_facecolor(_UNSEEN)
    drawn = AxesImage(ax, cmap=colors, norm=norm, extent=(-width, width, -height, height), origin="lower")
    drawn.set(data=image, transform=ax.transAffine + ax.transAxes, clip_path=ax.patch, zorder=0)
    ax.add_image(drawn)
    return drawn


def _label(ax: Axes) -> None:
    ax.grid(True, color="0.5", lw=0.4, alpha=0.6)
    at = np.arange(-150, 180, 30)
    ax.set_xticks(np.radians(at), [f"{-degrees % 360}°" for degrees in at], fontsize="small")
    latitudes = np.arange(-60, 61, 30)
    ax.set_yticks(
        np.radians(latitudes), fontsize="small", labels=[f"{degrees}°".replace("-", "−") for degrees in latitudes]
    )
    for text in ax.get_xticklabels():
        text.set(color="white", path_effects=outlined())


def _draw_mark(ax: Axes, mark: SkyCoord, system: BaseCoordinateFrame) -> None:
    found = mark.transform_to(system).spherical
    longitude, latitude = (np.ravel(angle.rad) for angle in (found.lon.wrap_at(np.pi * u.rad), found.lat))
    ax.plot(-longitude, latitude, "o", mec=MARK, mfc="none", ms=10, mew=1.5, path_effects=outlined(3), label="mark")
