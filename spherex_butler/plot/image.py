"""A picture of one image: its brightness, its flags by name, where its spectral channels meet, and the sky."""

from __future__ import annotations

__all__ = ("SIZE", "draw_pixels", "plot_image", "projection_of")

from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.visualization.wcsaxes import WCSAxes
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from ..images.spectral_image import SpectralImage
from .axes import new_axes, require_image_axes
from .colors import NO_VALUE
from .flag_overlay import Flags, draw_flags, flag_layers, legend_columns, legend_handles, no_value_handles
from .image_planes import as_spectral_image, celestial_of, has_wavelengths, plane_of, warn_of_wcs
from .sky import draw_compass, draw_mark, label_sky
from .stretches import norm_of, set_ticks
from .wavelength_lines import draw_channels

SIZE = 8.0, 7.2
"""Width and height of the figure of an image, in inches."""

_STRIP = 8
_BELOW = 40 / 72  # inches, for tick labels and the label of an axis


def plot_image(
    image: SpectralImage | CCDData,
    *,
    plane: str = "image",
    ax: Axes | None = None,
    stretch: str | Normalize | None = None,
    limits: tuple[Any, Any] | None = None,
    flags: Flags = True,
    channels: bool | None = None,
    mark: SkyCoord | None = None,
) -> Axes:
    """Draw an image, with a colour bar, its flags by name, and lines where its spectral channels meet.

    Parameters
    ----------
    image
        A `~spherex_butler.SpectralImage`, or another `~astropy.nddata.CCDData` with two axes, such as a dark.
    plane
        What of it: ``"image"``, ``"zodi"``, ``"variance"``, ``"error"``, ``"wavelength"`` or ``"bandwidth"``.
    ax
        Where to draw: plain axes, for pixels, or axes with the image's WCS, ``plt.subplot(projection=image.wcs)``, for
        degrees on the sky. By default a new figure of pyplot, with the WCS if the image has one.
    stretch
        ``"asinh"``, which shows faint sources beside bright ones, ``"linear"``, ``"sqrt"``, ``"log"``, or a norm of
        matplotlib. By default ``"asinh"``, and for zodiacal light, wavelength and bandwidth ``"linear"``.
    limits
        What is drawn black and what white: numbers in the plane's unit, or quantities. By default they follow from all
        pixels that are neither masked nor NaN, but for the few that are wild.
    flags
        Which flags to draw over it: `True` for those that mask the image (see `~spherex_butler.SpectralImage.mask`),
        ``"all"`` for the harmless ones as well, a name or names, or `False` for none. The legend tells which share of
        the pixels has each. Where a pixel has several, it has the colour of the rarest.
    channels
        Whether to draw lines at the wavelengths where spectral channels meet. By default they are drawn if the image
        has wavelengths.
    mark
        Positions to draw circles at.

    Returns
    -------
    ax
        The axes. The pixels are ``ax.images[0]``, whose values are those of the plane, and whose ``colorbar`` is the
        colour bar; ``ax.images[1]`` are the flags, if a pixel has one.

    Raises
    ------
    ParameterError
        Raised if an argument makes no sense, or asks for what the image does not have.

    Warns
    -----
    SpherexButlerWarning
        Issued if the image has a WCS that cannot be used; it is then drawn in pixels.
    """
    shown = as_spectral_image(image)
    kind = plane_of(plane)
    values, unit = kind.of(shown)
    norm = norm_of(values, shown.mask, stretch=kind.stretch if stretch is None else stretch, limits=limits, unit=unit)
    (layers,) = flag_layers([shown], flags)
    warn_of_wcs(shown)
    wcs = celestial_of(shown)
    ax = new_axes(*SIZE, **projection_of(shown)) if ax is None else require_image_axes(ax, wcs, values.shape)
    drawn = draw_pixels(ax, values, norm, kind.colors)
    set_ticks(ax.figure.colorbar(drawn, ax=ax, label="".join(kind.labelled(unit)), fraction=0.046, pad=0.03))
    draw_flags(ax, layers)
    handles: list[Artist] = [*legend_handles(layers), *no_value_handles(values)]
    if channels or (channels is None and has_wavelengths(shown)):
        handles += _channel_handles(ax, shown)
    _draw_sky(ax, shown, mark)
    _label(ax, shown, handles)
    return ax


def _draw_sky(ax: Axes, image: SpectralImage, mark: SkyCoord | None) -> None:
    wcs = celestial_of(image)
    if wcs is not None:
        draw_compass(ax, wcs, image.data.shape)
    if mark is not None:
        draw_mark(ax, mark, wcs, image.data.shape)


def draw_pixels(ax: Axes, values: NDArray[Any], norm: Normalize, colors: str) -> AxesImage:
    """Draw the pixels of a plane; several that share a pixel of the figure are averaged, as a camera would do."""
    map_ = mpl.colormaps[colors].with_extremes(bad=NO_VALUE)
    finite = np.ma.masked_invalid(values, copy=False)
    return ax.imshow(finite, norm=norm, cmap=map_, origin="lower", interpolation_stage="data", zorder=0)


def projection_of(image: SpectralImage) -> dict[str, Any]:
    """Return what makes axes those of an image: its WCS, if it has one and is not too narrow for ticks on the sky."""
    wcs = celestial_of(image)
    return {} if wcs is None or min(image.data.shape) * _STRIP < max(image.data.shape) else {"projection": wcs}


def _channel_handles(ax: Axes, image: SpectralImage) -> list[Artist]:
    lines = draw_channels(ax, image)
    return [] if lines is None else [Line2D([], [], color="0.6", lw=1, label="channels meet")]


def _label(ax: Axes, image: SpectralImage, handles: Iterable[Artist]) -> None:
    ax.set_title(title_of(image))
    if isinstance(ax, WCSAxes):
        label_sky(ax)
    else:
        ax.set(xlabel="x [pixel]", ylabel="y [pixel]")
    if handles := list(handles):
        below = ax.transAxes + ScaledTranslation(0, -_BELOW, ax.figure.dpi_scale_trans)
        ax.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0, 0),
            bbox_transform=below,
            ncols=legend_columns(ax.get_window_extent().width / ax.figure.dpi),
            fontsize="small",
            borderaxespad=0,
            frameon=False,
        )


def title_of(image: SpectralImage) -> str:
    """Return what an image is of, and its wavelengths."""
    detector = None if image.detector is None else f"D{image.detector}"
    of = " ".join(filter(None, (image.obs_id, detector)))
    if not has_wavelengths(image):
        return of
    low, high = image.wavelength_table.span(image.box)
    return ", ".join(filter(None, (of, f"{low:.3f} to {high:.3f} µm")))
