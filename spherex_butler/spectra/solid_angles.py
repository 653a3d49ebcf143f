"""How much of the sky a pixel sees: as the archive measured it, else as the image's WCS says."""

from __future__ import annotations

__all__ = ("SolidAngles", "mapped_solid_angle", "wcs_solid_angle")

from typing import Any

import astropy.units as u
import numpy as np
from astropy.wcs import WCS
from lsst.daf.butler import Butler, DatasetRef
from numpy.typing import NDArray

from ..calibrations.certified import CertifiedCalibrations
from ..errors import ParameterError
from ..images.geometry import direction_of
from ..images.spectral_image import SpectralImage

_TYPE = "solid_angle_pixel_map"


class SolidAngles:
    """The solid angles of pixels, from the certified ``solid_angle_pixel_map``, and from the WCS where none is valid.

    Parameters
    ----------
    butler
        The repository.
    """

    def __init__(self, butler: Butler) -> None:
        self._butler = butler
        self._certified = CertifiedCalibrations(butler, _TYPE)
        self._maps: dict[Any, tuple[NDArray[np.floating], u.Quantity]] = {}
        self.sources: set[str] = set()
        """Where they came from: runs of maps, and ``"WCS"``."""

    def at(self, image: SpectralImage, x: float, y: float, time: int) -> float:
        """Return the solid angle of the pixel at a position in an image, in sr.

        Parameters
        ----------
        image
            Whose detector it is.
        x, y
            The image's own 0-based pixels.
        time
            When it was taken, in Butler's nanoseconds, TAI.
        """
        ref = None if image.detector is None else self._certified.at(image.detector, time)
        if ref is None:
            self.sources.add("WCS")
            return wcs_solid_angle(image.wcs, x, y)
        self.sources.add(ref.run)
        values, unit = self._map(ref)
        return mapped_solid_angle(values, unit, image, x, y)

    def _map(self, ref: DatasetRef) -> tuple[NDArray[np.floating], u.Quantity]:
        if ref.id not in self._maps:
            found = self._butler.get(ref)
            self._maps[ref.id] = np.asarray(found.data), 1 * found.unit
        return self._maps[ref.id]


def mapped_solid_angle(
    values: NDArray[np.floating], unit: u.Quantity, image: SpectralImage, x: float, y: float
) -> float:
    """Return the solid angle of a pixel in sr, by a map of its detector's full frame.

    Parameters
    ----------
    values, unit
        The map, and what 1 is in it.
    image
        Whose pixel it is.
    x, y
        The image's own 0-based pixels.
    """
    column, row = (int(np.floor(at + first + 0.5)) for at, first in zip((x, y), image.origin, strict=True))
    if not (0 <= row < values.shape[0] and 0 <= column < values.shape[1]):
        raise ParameterError(
            f"The map of solid angles has shape {values.shape} and no pixel (x, y) = {(column, row)}; expected one of "
            "the full frame, 2040 x 2040. Simulated ones have it by write_calibrations(..., shape=(2040, 2040))."
        )
    return float(values[row, column]) * float(unit.to_value(u.sr))


def wcs_solid_angle(wcs: WCS, x: float, y: float) -> float:
    """Return the solid angle of a pixel in sr, by the distances between the middles of its edges."""
    ra, dec = wcs.all_pix2world([x - 0.5, x + 0.5, x, x], [y, y, y - 0.5, y + 0.5], 0)
    left, right, bottom, top = direction_of(ra, dec).T
    return float(np.linalg.norm(np.cross(right - left, top - bottom)))
