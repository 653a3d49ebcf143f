"""Which spectral channel each place of a detector has, looked up for many places at once."""

from __future__ import annotations

__all__ = ("MIXED", "ChannelMap")

import numpy as np
from numpy.typing import NDArray

from ..constants import FULL_FRAME
from ..images.wavelengths import WavelengthTable
from .frames import DetectorPlane
from .wavelengths import channels_of

_CELL = 4  # places
_MARGIN = 32  # places around the detector, as far as distortion may move one
MIXED = -1
"""What a cell has that does not lie in one channel whole: its places are to be computed one by one."""


class ChannelMap:
    """The channels of one detector with some control points.

    Parameters
    ----------
    detector
        1 to 6.
    plane
        The detector's.
    wavelengths
        The control points.
    """

    def __init__(self, detector: int, plane: DetectorPlane, wavelengths: WavelengthTable) -> None:
        self._detector = detector
        self._plane = plane
        self._wavelengths = wavelengths
        edges = np.arange(-_MARGIN - 0.5, FULL_FRAME + _MARGIN, _CELL)
        corners = self.computed(*(axis.ravel() for axis in np.meshgrid(edges, edges))).reshape(len(edges), -1)
        around = np.stack([corners[:-1, :-1], corners[:-1, 1:], corners[1:, :-1], corners[1:, 1:]])
        # A channel is some 120 pixels high and bends by less than one in a cell, so that corners tell of all of it.
        self._cells = np.where((around == around[0]).all(axis=0), around[0], MIXED).astype(np.int8)

    def looked_up(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int8]:
        """Return the channels of places, which without distortion are in the image; 0 outside all, or `MIXED`."""
        column, row = (((axis + _MARGIN + 0.5) / _CELL).astype(np.intp) for axis in (x, y))
        return self._cells[row, column]

    def computed(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the channels of any places; 0 is outside all channels."""
        wavelength, _ = self._wavelengths.interpolated(*self._plane.pixels(x, y))
        return channels_of(np.full(len(x), self._detector), wavelength)
