"""Lines of equal wavelength over an image: at the edges of the spectral channels."""

from __future__ import annotations

__all__ = ("draw_channels",)

import numpy as np
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..constants import DETECTORS
from ..images.channels import channel_edges
from ..images.spectral_image import SpectralImage
from .colors import LINES, outlined

_POINTS = 65  # along each side: between control points, which are farther apart, wavelengths are nearly linear
_OTHERS = 8
_LABELLED = 9  # at most


def draw_channels(ax: Axes, image: SpectralImage) -> ContourSet | None:
    """Draw the wavelengths at which channels meet as lines with their wavelengths, `None` if none is in the image.

    Of an image of no known detector, lines are at round wavelengths.

    Raises
    ------
    ParameterError
        Raised if the image has no wavelengths.
    """
    x, y, wavelength = _grid(image)
    levels = _levels(image.detector, float(wavelength.min()), float(wavelength.max()))
    if not levels.size:
        return None
    lines = ax.contour(x, y, wavelength, levels=levels, colors=LINES, linewidths=0.6, alpha=0.8, zorder=2)
    labelled = levels[:: -(-levels.size // _LABELLED)]
    for text in ax.clabel(lines, levels=labelled, fmt="%.3f µm", fontsize=8):
        text.set_path_effects(outlined(1.5))
    return lines


def _grid(image: SpectralImage) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return pixels x and y along the sides of an image, to its outer edges, and the wavelengths there in µm."""
    x, y = (np.linspace(-0.5, length - 0.5, _POINTS) for length in image.data.shape[::-1])
    wavelength, _ = image.wavelength_table.interpolated(*np.meshgrid(x + image.origin[0], y + image.origin[1]))
    return x, y, wavelength


def _levels(detector: int | None, low: float, high: float) -> NDArray[np.float64]:
    known = detector if detector in DETECTORS else None
    found = (
        channel_edges(known) if known is not None else np.asarray(MaxNLocator(_OTHERS).tick_values(low, high), float)
    )
    return found[(found > low) & (found < high)]
