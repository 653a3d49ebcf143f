"""The point-spread function of a Level 2 image: one kernel a zone, in either release's form.

QR2 carries a cube of 11 x 11 zones of 101 x 101 samples, ten a pixel, zone
boxes in the header cards ``XCTR_i``, ``YCTR_i``, ``XWID_i``, ``YWID_i``
(0-based full-frame pixels).  QR3 carries a table of effective PSFs, 33 x 33
samples, five a pixel, already integrated over a pixel.
"""

from __future__ import annotations

__all__ = ("CUBE", "TABLE", "DeferredPSF", "SpectralImagePSF", "zones_are_swapped")

from collections.abc import Callable
from copy import copy
from functools import cache, cached_property
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from packaging.version import InvalidVersion, Version

from ..errors import FormatError, ParameterError
from ..formats.fits.lazy_header import LazyHeader

CUBE = "PSF"
"""Name of the HDU in QR2."""

TABLE = "EPSF"
"""Name of the HDU in QR3."""

_LAST_SWAPPED = Version("6.5.5")
_CUBE_OVERSAMPLING = 10
_TABLE_OVERSAMPLING = 5


def zones_are_swapped(version: object) -> bool:
    """Whether a QR2 file's zone cards have x and y exchanged.

    They have in files of a pipeline ``VERSION`` up to 6.5.5, unless its local
    part holds ``psffix1``; a file without a version was not fixed (IRSA
    Explanatory Supplement, erratum on the PSF).
    """
    if version is None:
        return True
    try:
        parsed = Version(str(version))
    except InvalidVersion:
        raise FormatError(f"VERSION is {version!r}; expected a pipeline version such as '6.5.5+psffix1'.") from None
    return Version(parsed.public) <= _LAST_SWAPPED and "psffix1" not in (parsed.local or "")


class SpectralImagePSF:
    """Kernels of an image's zones.

    Parameters
    ----------
    data
        The cube (zones, rows, columns) of QR2, or the table of QR3.
    header
        Header of the HDU they came from.
    origin
        Full-frame pixel (x, y) of the image's first pixel.
    swapped
        Whether the zone cards of a cube have x and y exchanged.
    """

    def __init__(
        self,
        data: NDArray[Any],
        header: LazyHeader,
        *,
        origin: tuple[int, int] = (0, 0),
        swapped: bool = False,
    ) -> None:
        self.data = data
        self.header = header
        self.origin = origin
        self.swapped = swapped

    def __repr__(self) -> str:
        kernels = f"{len(self.data)} zones, {self.oversampling} samples a pixel"
        return f"<SpectralImagePSF {kernels}, {'effective' if self.is_effective else 'not pixel-integrated'}>"

    @property
    def is_effective(self) -> bool:
        """Whether the kernels are already integrated over a pixel (QR3)."""
        return self.data.dtype.names is not None

    @property
    def oversampling(self) -> int:
        """Samples a detector pixel: 10 in QR2, 5 in QR3."""
        return _TABLE_OVERSAMPLING if self.is_effective else _CUBE_OVERSAMPLING

    @property
    def kernels(self) -> NDArray[Any]:
        """Kernels of all zones, shape (zones, rows, columns)."""
        return np.asarray(self.data["EPSF"]) if self.is_effective else self.data

    @cached_property
    def zones(self) -> NDArray[np.float64]:
        """Center x, center y, width x, width y of each zone, in 0-based full-frame pixels; shape (zones, 4)."""
        if self.is_effective:
            return np.array([self.data[name] for name in ("XCENTER", "YCENTER", "XWIDTH", "YWIDTH")], float).T
        header = self.header.header
        names = ("YCTR", "XCTR", "YWID", "XWID") if self.swapped else ("XCTR", "YCTR", "XWID", "YWID")
        try:
            cards = [[header[f"{name}_{zone + 1}"] for name in names] for zone in range(len(self.data))]
        except KeyError as error:
            raise FormatError(f"The {CUBE} header has no zone card {error}; expected {len(self.data)} zones.") from None
        return np.array(cards, float)

    def zone(self, x: float, y: float) -> int:
        """Return the number of the zone that holds the image's own 0-based pixel (x, y).

        A pixel outside every zone belongs to the one whose edge is nearest.
        """
        if not (np.isfinite(x) and np.isfinite(y)):
            raise ParameterError(f"({x!r}, {y!r}) is not a pixel position.")
        full = np.array([x + self.origin[0], y + self.origin[1]])
        beyond = np.abs(full - self.zones[:, :2]) - self.zones[:, 2:] / 2
        return int(np.argmin(beyond.max(axis=1)))

    def at(self, x: float, y: float) -> NDArray[Any]:
        """Return the kernel of the zone that holds the image's own 0-based pixel (x, y).

        Returns
        -------
        kernel
            Samples, `oversampling` a pixel, centred on the array's middle;
            shape (101, 101) in QR2, (33, 33) in QR3.
        """
        kernel = np.asarray(self.kernels[self.zone(x, y)])
        return kernel.astype(kernel.dtype.newbyteorder("="))

    def detector_kernel(self, x: float, y: float) -> NDArray[np.float64]:
        """Return what the detector's pixels see of a point source at (x, y), normalised to unit sum.

        The kernel of QR2 is integrated over each pixel; that of QR3, already
        integrated, is sampled at the pixels' centers (linearly between its samples).

        Parameters
        ----------
        x, y
            Position of the source in the image's own 0-based pixels; the
            middle of the array returned is the pixel that holds it.

        Returns
        -------
        kernel
            Odd square array of pixels.
        """
        kernel = self.at(x, y).astype(float)
        weigh = _sampling_weights if self.is_effective else _integration_weights
        columns = weigh(kernel.shape[1], self.oversampling, x - np.floor(x + 0.5))
        rows = weigh(kernel.shape[0], self.oversampling, y - np.floor(y + 0.5))
        pixels = rows @ kernel @ columns.T
        return np.asarray(pixels / pixels.sum())

    def cutout(self, origin: tuple[int, int]) -> SpectralImagePSF:
        """Return the PSF of a cutout whose first pixel is ``origin`` (x, y) of this image."""
        x, y = self.origin[0] + origin[0], self.origin[1] + origin[1]
        return SpectralImagePSF(self.data, self.header, origin=(x, y), swapped=self.swapped)

    def copy(self) -> SpectralImagePSF:
        """Return an independent PSF."""
        return SpectralImagePSF(self.data.copy(), self.header.copy(), origin=self.origin, swapped=self.swapped)

    def to_hdu(self) -> fits.ImageHDU | fits.BinTableHDU:
        """Return the PSF as it stands in a file."""
        cls = fits.BinTableHDU if self.is_effective else fits.ImageHDU
        return cls(self.data, header=self.header.header.copy())


class DeferredPSF:
    """The PSF of a remote cutout, loaded when it is first used, and once for all cutouts of it.

    Parameters
    ----------
    load
        Returns the PSF of the file.
    origin
        Full-frame pixel (x, y) of the cutout's first pixel.
    """

    def __init__(self, load: Callable[[], SpectralImagePSF], origin: tuple[int, int]) -> None:
        self._load = cache(load)
        self._origin = origin

    def loaded(self) -> SpectralImagePSF:
        """Return the PSF."""
        psf = self._load()
        return SpectralImagePSF(psf.data, psf.header, origin=self._origin, swapped=psf.swapped)

    def cutout(self, origin: tuple[int, int]) -> DeferredPSF:
        """Return the PSF of a cutout whose first pixel is ``origin`` (x, y) of this one."""
        return DeferredPSF(self._load, (self._origin[0] + origin[0], self._origin[1] + origin[1]))

    def to_hdu(self) -> fits.ImageHDU | fits.BinTableHDU:
        """Return the PSF as it stands in a file."""
        return self.loaded().to_hdu()

    def __reduce__(self) -> tuple[Any, ...]:
        return copy, (self.loaded(),)  # which needs the file no more


def _pixel_centers(samples: int, oversampling: int, phase: float) -> NDArray[np.float64]:
    """Return the centers of the pixels round a source, in samples from the kernel's middle."""
    reach = int(np.ceil(samples / 2 / oversampling))
    return (np.arange(-reach, reach + 1, dtype=float) - phase) * oversampling


def _integration_weights(samples: int, oversampling: int, phase: float) -> NDArray[np.float64]:
    """Return how much of each sample's width lies in each pixel; shape (pixels, samples)."""
    middles = np.arange(samples) - (samples - 1) / 2
    distance = np.abs(_pixel_centers(samples, oversampling, phase)[:, np.newaxis] - middles)
    return np.asarray(np.clip((oversampling + 1) / 2 - distance, 0, 1))


def _sampling_weights(samples: int, oversampling: int, phase: float) -> NDArray[np.float64]:
    """Return the weights of linear interpolation at each pixel's center; shape (pixels, samples)."""
    middles = np.arange(samples) - (samples - 1) / 2
    distance = np.abs(_pixel_centers(samples, oversampling, phase)[:, np.newaxis] - middles)
    return np.asarray(np.clip(1 - distance, 0, None))
