"""Where the pixels of an image are: on the detector, on the sky, in wavelength."""

from __future__ import annotations

__all__ = ("ImageCoordinates",)

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from numpy.typing import ArrayLike

from ..formats.fits.boxes import Box
from .geometry import celestial_wcs, sky_corners
from .planes import ImagePlanes


class ImageCoordinates(ImagePlanes):
    """The part of `~spherex_butler.SpectralImage` that is about coordinates."""

    _derived_wcs: WCS | None = None
    _own_wcs: WCS | None = None
    _has_own_wcs: bool = False

    @property
    def box(self) -> Box:
        """Where the image lies in the full frame."""
        return Box.of_shape(self.data.shape, self.origin)

    @property
    def wcs(self) -> WCS | None:
        """Celestial WCS with SIP, in the image's own pixels; `None` where the header has none.

        One that was assigned is written in place of the header's.
        """
        if self._has_own_wcs:
            return self._own_wcs
        if self._derived_wcs is None:
            self._derived_wcs = celestial_wcs(self._image_facts)
        return self._derived_wcs

    @wcs.setter
    def wcs(self, value: WCS | None) -> None:
        if value is not None and not isinstance(value, WCS):
            raise TypeError(f"wcs is {value!r}; expected an astropy.wcs.WCS.")
        self._own_wcs, self._has_own_wcs = value, True

    @property
    def spectral_wcs(self) -> WCS:
        """Alternate WCS ``W``: the image's own pixels to wavelength and bandwidth."""
        return self.wavelength_table.wcs(self._image_facts)

    @property
    def wavelength(self) -> u.Quantity:
        """Central wavelength of each pixel, in µm, computed when asked for."""
        return self.wavelength_table.grid(self.box, 0) << u.um

    @property
    def bandwidth(self) -> u.Quantity:
        """Bandwidth of each pixel, in µm, computed when asked for."""
        return self.wavelength_table.grid(self.box, 1) << u.um

    def wavelength_at(self, x: ArrayLike, y: ArrayLike) -> u.Quantity:
        """Return the central wavelength at the image's own 0-based pixels (x, y), in µm."""
        return self._spectral_at(x, y, 0)

    def bandwidth_at(self, x: ArrayLike, y: ArrayLike) -> u.Quantity:
        """Return the bandwidth at the image's own 0-based pixels (x, y), in µm."""
        return self._spectral_at(x, y, 1)

    def _spectral_at(self, x: ArrayLike, y: ArrayLike, which: int) -> u.Quantity:
        x0, y0 = self.origin
        return self.wavelength_table.at(np.asarray(x, float) + x0, np.asarray(y, float) + y0)[which] << u.um

    @property
    def footprint(self) -> SkyCoord:
        """Outer corners of the image on the sky: (x, y) lower left, lower right, upper right, upper left."""
        return sky_corners(self.wcs, self.data.shape)
