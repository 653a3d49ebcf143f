"""The point-spread function of a Level 2 image: one kernel for each zone, in the form of either release.

QR2 has a cube of 11 x 11 zones with 101 x 101 samples each, ten samples to a
pixel; the header cards ``XCTR_i``, ``YCTR_i``, ``XWID_i``, ``YWID_i`` give the
box of each zone (0-based full-frame pixels).  QR3 has a table of effective
PSFs, already integrated over a pixel, with 33 x 33 samples, five to a pixel.
"""

from __future__ import annotations

__all__ = ("CUBE", "TABLE", "DeferredPSF", "SpectralImagePSF", "zones_are_swapped")

from collections.abc import Callable
from copy import copy
from functools import cache, cached_property
from typing import Any, overload

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from numpy.typing import ArrayLike, NDArray
from packaging.version import InvalidVersion, Version

from ..errors import FormatError, ParameterError
from ..formats.fits.lazy_header import LazyHeader
from .positions import Bounds, Frame, Outside, inner_pixels

CUBE = "PSF"
"""Name of the HDU in QR2."""

TABLE = "EPSF"
"""Name of the HDU in QR3."""

_LAST_SWAPPED = Version("6.5.5")
_CUBE_OVERSAMPLING = 10
_TABLE_OVERSAMPLING = 5


def zones_are_swapped(version: object) -> bool:
    """Whether the zone cards of a QR2 file have x and y exchanged.

    They are exchanged up to the pipeline ``VERSION`` 6.5.5, unless its local
    part holds ``psffix1``, and in a file without a version (IRSA Explanatory
    Supplement, erratum on the PSF).
    """
    if version is None:
        return True
    try:
        parsed = Version(str(version))
    except InvalidVersion:
        raise FormatError(f"VERSION is {version!r}; expected a pipeline version such as '6.5.5+psffix1'.") from None
    return Version(parsed.public) <= _LAST_SWAPPED and "psffix1" not in (parsed.local or "")


class SpectralImagePSF:
    """The kernels of an image's PSF zones.

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
    frame
        The image it belongs to, which tells what is inside and takes sky
        positions to pixels.  Without one, what is in a zone is inside.
    """

    __module__ = "spherex_butler.images"  # under which storage classes and pickles name it

    def __init__(
        self,
        data: NDArray[Any],
        header: LazyHeader,
        *,
        origin: tuple[int, int] = (0, 0),
        swapped: bool = False,
        frame: Frame | None = None,
    ) -> None:
        self.data = data
        self.header = header
        self.origin = origin
        self.swapped = swapped
        self.frame = frame

    def __repr__(self) -> str:
        kernels = f"{len(self.data)} zones, {self.oversampling} samples a pixel"
        return f"<SpectralImagePSF {kernels}, {'effective' if self.is_effective else 'not pixel-integrated'}>"

    @property
    def is_effective(self) -> bool:
        """Whether the kernels are already integrated over a pixel (QR3)."""
        return self.data.dtype.names is not None

    @property
    def oversampling(self) -> int:
        """Samples to a detector pixel: 10 in QR2, 5 in QR3."""
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

    @overload
    def zone(self, x: float, y: float) -> int: ...
    @overload
    def zone(self, x: ArrayLike | SkyCoord, y: ArrayLike | None = None) -> int | NDArray[np.intp]: ...
    def zone(self, x: ArrayLike | SkyCoord, y: ArrayLike | None = None) -> int | NDArray[np.intp]:
        """Return the number of the zone that holds a position.

        A pixel of the image outside every zone belongs to the one whose edge is nearest.

        Parameters
        ----------
        x, y
            The image's own 0-based pixels, which broadcast; or a SkyCoord alone.

        Raises
        ------
        ParameterError
            Raised if a position is outside the image.
        """
        zones = self._zones(*self._inner_pixels(x, y))
        return zones if zones.ndim else int(zones)

    def at(
        self, x: ArrayLike | SkyCoord, y: ArrayLike | None = None, *, outside: Outside = "raise"
    ) -> NDArray[np.floating[Any]]:
        """Return the kernel of the zone that holds a position.

        Parameters
        ----------
        x, y
            The image's own 0-based pixels, which broadcast; or a SkyCoord alone.
        outside
            Of positions outside the image: ``"raise"`` refuses them, ``"nan"`` gives NaN.

        Returns
        -------
        kernel
            Samples as they stand in the file, `oversampling` to a pixel, centered
            on the array's middle, in QR2 to about 0.05 pixel;
            shape (101, 101) in QR2, (33, 33) in QR3, behind the shape of the positions.

        Raises
        ------
        ParameterError
            Raised if a position is outside the image.
        """
        return self._kernels_at(*self._inner_pixels(x, y, outside))

    def detector_kernel(
        self, x: ArrayLike | SkyCoord, y: ArrayLike | None = None, *, outside: Outside = "raise"
    ) -> NDArray[np.float64]:
        """Return what the detector's pixels see of a point source, normalised to unit sum.

        QR2's kernel is integrated over each pixel, with its own centroid at the
        position: the samples' is off the middle by about 0.05 pixel.  QR3's is
        integrated already, and is interpolated at the centers of the pixels.
        Both are interpolated by cubic convolution (Keys 1981, IEEE Trans. ASSP
        29, 1153); linear interpolation would lose up to 3 % of the peak.

        Parameters
        ----------
        x, y
            Position of the source in the image's own 0-based pixels, which
            broadcast; or a SkyCoord alone.
        outside
            Of positions outside the image: ``"raise"`` refuses them, ``"nan"`` gives NaN.

        Returns
        -------
        kernel
            Odd square array of pixels, whose middle is the pixel that holds
            the source, behind the shape of the positions.

        Raises
        ------
        ParameterError
            Raised if a position is outside the image.
        """
        px, py = self._inner_pixels(x, y, outside)
        kernels = self._kernels_at(px, py).astype(float)
        rows, columns = self._weights(kernels.sum(axis=-1), py), self._weights(kernels.sum(axis=-2), px)
        pixels = rows @ kernels @ np.swapaxes(columns, -1, -2)
        return np.asarray(pixels / pixels.sum(axis=(-2, -1), keepdims=True))

    def _inner_pixels(
        self, x: ArrayLike | SkyCoord, y: ArrayLike | None, outside: Outside = "raise"
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self.frame is None:
            return inner_pixels(x, y, bounds=self._zone_bounds(), to_pixels=_no_sky_positions, outside=outside)
        bounds = Bounds.of_image(self.frame.shape, self.origin)
        return inner_pixels(x, y, bounds=bounds, to_pixels=self.frame.pixels, outside=outside)

    def _zone_bounds(self) -> Bounds:
        """Return what all zones together span; half a pixel more, whichever way their cards count edges."""
        reach = self.zones[:, 2:] / 2 + 0.5
        low, high = (self.zones[:, :2] - reach).min(axis=0), (self.zones[:, :2] + reach).max(axis=0)
        (x_min, y_min), (x_max, y_max) = (low - self.origin).tolist(), (high - self.origin).tolist()
        return Bounds(x_min, x_max, y_min, y_max, of="the zones of this PSF")

    def _zones(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.intp]:
        full = np.stack([x + self.origin[0], y + self.origin[1]], axis=-1)[..., np.newaxis, :]
        beyond = np.abs(full - self.zones[:, :2]) - self.zones[:, 2:] / 2
        return np.asarray(np.argmin(beyond.max(axis=-1), axis=-1))

    def _kernels_at(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.floating[Any]]:
        """Return a kernel for each position, NaN for a position that is."""
        kernels = np.asarray(self.kernels[self._zones(x, y)])
        kernels = kernels.astype(kernels.dtype.newbyteorder("="))
        kernels[np.isnan(x)] = np.nan
        return kernels

    def _weights(self, profiles: NDArray[np.float64], position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how much of each sample each pixel around a source sees along one axis; shape (…, pixels, samples).

        ``profiles`` are the sums of the kernels over the other axis.
        """
        samples = profiles.shape[-1]
        reach = int(np.ceil(samples / 2 / self.oversampling))
        pixels = np.arange(-reach, reach + 1) - (position - np.floor(position + 0.5))[..., np.newaxis]
        middles = np.arange(samples) - (samples - 1) / 2
        if self.is_effective:
            return _cubic_convolution(pixels[..., np.newaxis] * self.oversampling - middles)
        centroids = profiles @ middles / profiles.sum(axis=-1)
        places = pixels * self.oversampling + centroids[..., np.newaxis]
        return _below(places + self.oversampling / 2, samples) - _below(places - self.oversampling / 2, samples)

    def cutout(self, origin: tuple[int, int]) -> SpectralImagePSF:
        """Return the PSF of a cutout whose first pixel is ``origin`` (x, y) of this image, without a frame."""
        x, y = self.origin[0] + origin[0], self.origin[1] + origin[1]
        return SpectralImagePSF(self.data, self.header, origin=(x, y), swapped=self.swapped)

    def copy(self) -> SpectralImagePSF:
        """Return an independent PSF."""
        return SpectralImagePSF(
            self.data.copy(), self.header.copy(), origin=self.origin, swapped=self.swapped, frame=self.frame
        )

    def to_hdu(self) -> fits.ImageHDU | fits.BinTableHDU:
        """Return the PSF as it stands in a file."""
        cls = fits.BinTableHDU if self.is_effective else fits.ImageHDU
        return cls(self.data, header=self.header.header.copy())


def _cubic_convolution(offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of samples so far away, in samples."""
    distance = np.abs(offset)
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


def _below(place: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    """Return how much of each sample counts towards the sum up to a place; shape (…, samples).

    Sums up to the samples' edges are exact, and interpolated in between. The middle of all samples is at 0.
    """
    margin = 2  # edges beyond the samples, that interpolation has its four everywhere
    edges = np.arange(-margin, samples + margin + 1) - samples / 2
    inside = np.clip(place, -samples / 2, samples / 2)
    whole = np.arange(-margin, samples + margin + 1)[:, np.newaxis] > np.arange(samples)
    return np.asarray(_cubic_convolution(inside[..., np.newaxis] - edges) @ whole)


def _no_sky_positions(_: SkyCoord) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    raise ParameterError("This PSF belongs to no image, whose WCS would tell the pixel of a SkyCoord; use pixels.")


class DeferredPSF:
    """The PSF of a remote cutout that begins at ``origin``, loaded when first used, and once for all cutouts of it."""

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

    def moved(self, other: DeferredPSF) -> DeferredPSF:
        """Return the PSF of another cutout of the same image, loaded together with this one."""
        return DeferredPSF(self._load, other._origin)

    def to_hdu(self) -> fits.ImageHDU | fits.BinTableHDU:
        """Return the PSF as it stands in a file."""
        return self.loaded().to_hdu()

    def __reduce__(self) -> tuple[Any, ...]:
        return copy, (self.loaded(),)  # which needs the file no more
