"""Wavelength and bandwidth of every pixel, from the control points in a Level 2 file.

The WCS-WAVE table has one row: control points ``X`` and ``Y`` in 1-based
full-frame pixels and ``VALUES`` of shape (len(Y), len(X), 2), wavelength and
bandwidth in µm, between which the FITS ``-TAB`` algorithm interpolates linearly
(FITS WCS Paper III, section 6.1).  The grid belongs to the detector.
"""

from __future__ import annotations

__all__ = ("WavelengthTable",)

import re
from functools import lru_cache
from typing import Any, Self

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from ..errors import FormatError, ParameterError
from ..formats.fits.boxes import Box
from ..formats.fits.lazy_header import LazyHeader
from ..formats.fits.wcs import require_small
from ..paths import config_path
from .positions import Bounds, Outside, inner_pixels

EXTNAME = "WCS-WAVE"
_SPECTRAL_CARDS = re.compile(
    r"(WCSAXES|WCSNAME|CNAME\d|CRPIX\d|CDELT\d|CUNIT\d|CTYPE\d|CRVAL\d|PC\d_\d|PV\d_\d|PS\d_\d)W"
)


class WavelengthTable:
    """The wavelength control points of one image.

    Parameters
    ----------
    x, y
        Control points, ascending, in 1-based full-frame pixels; shapes (nx,) and (ny,).
    values
        Wavelength and bandwidth at each, in µm; shape (ny, nx, 2).

    Raises
    ------
    FormatError
        Raised if the shapes do not fit together or the points do not ascend.
    """

    def __init__(self, x: ArrayLike, y: ArrayLike, values: ArrayLike) -> None:
        self.x = np.asarray(x)
        self.y = np.asarray(y)
        self.values = np.asarray(values)
        self.header: LazyHeader | None = None
        """Header of the table's HDU, kept for writing; `None` for a table that was in no file."""
        self._stored: fits.FITS_rec | None = None
        expected = (self.y.size, self.x.size, 2)
        if self.values.shape != expected:
            raise FormatError(
                f"{EXTNAME} VALUES has shape {self.values.shape}; expected {expected} for its X and Y columns."
            )
        for name, points in (("X", self.x), ("Y", self.y)):
            if points.size < 2 or np.any(np.diff(points) <= 0):
                raise FormatError(f"{EXTNAME} {name} is {points.tolist()}; expected at least two ascending points.")

    @classmethod
    def from_table(cls, table: fits.FITS_rec, header: LazyHeader | None = None) -> Self:
        """Return the control points in the one row of a WCS-WAVE table.

        Raises
        ------
        FormatError
            Raised if the table has no row or lacks a column.
        """
        missing = {"X", "Y", "VALUES"} - set(table.names)
        if missing or len(table) != 1:
            raise FormatError(
                f"{EXTNAME} has {len(table)} rows and columns {table.names}; expected one row of X, Y, VALUES."
            )
        x, y, values = (_native(table[name][0]) for name in ("X", "Y", "VALUES"))
        wavelengths = cls(x, y, values)
        wavelengths.header, wavelengths._stored = header, table
        return wavelengths

    @classmethod
    def of_detector(cls, detector: int, release: str) -> Self:
        """Return the control points that the real files of a detector and release hold.

        Parameters
        ----------
        detector
            1 to 6.
        release
            ``qr2`` or ``qr3``, whose detectors 5 and 6 are 6.4 nm apart.

        Raises
        ------
        ParameterError
            Raised if there are none.
        """
        known = _known()
        if (release, detector) not in known:
            releases, detectors = (sorted(set(values)) for values in zip(*known, strict=True))
            raise ParameterError(
                f"There are no wavelengths of detector {detector!r} in release {release!r}; "
                f"expected a detector of {detectors} and a release of {releases}."
            )
        x, y, wavelength, bandwidth = known[release, detector]
        return cls(x, y, np.stack([wavelength, bandwidth], axis=-1).reshape(len(y), len(x), 2))

    def at(
        self, x: ArrayLike, y: ArrayLike, *, outside: Outside = "raise"
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return wavelength and bandwidth in µm at full-frame pixels.

        Parameters
        ----------
        x, y
            0-based full-frame pixels, which broadcast.
        outside
            Of positions more than half an interval beyond the outermost
            control points, to where the FITS algorithm extends the intervals:
            ``"raise"`` refuses them, ``"nan"`` gives NaN.

        Raises
        ------
        ParameterError
            Raised if a position is that far outside.
        """
        bounds = Bounds(*_reach(self.x), *_reach(self.y), of="what the wavelength control points span")
        return self.interpolated(*inner_pixels(x, y, bounds=bounds, to_pixels=_no_sky_positions, outside=outside))

    def interpolated(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return wavelength and bandwidth in µm at 0-based full-frame pixels, wherever they are.

        Beyond the outermost control points the last interval is extended.
        """
        i, fx = _interval(x + 1, self.x)
        j, fy = _interval(y + 1, self.y)
        v = self.values.astype(float)
        fx, fy = fx[..., np.newaxis], fy[..., np.newaxis]
        low = v[j, i] * (1 - fx) + v[j, i + 1] * fx
        high = v[j + 1, i] * (1 - fx) + v[j + 1, i + 1] * fx
        both = low * (1 - fy) + high * fy
        return both[..., 0], both[..., 1]

    def span(self, box: Box) -> tuple[float, float]:
        """Return the shortest and the longest wavelength of the pixels in a full-frame box, in µm."""
        x, y = (
            np.array([low, high - 1, *(point - 1 for point in control if low < point - 1 < high - 1)], float)
            for low, high, control in ((box.x_min, box.x_max, self.x), (box.y_min, box.y_max, self.y))
        )
        found, _ = self.interpolated(*np.meshgrid(x, y))
        return float(found.min()), float(found.max())

    def grid(self, box: Box, which: int) -> NDArray[np.float64]:
        """Return one quantity in µm at every pixel of a full-frame box.

        Parameters
        ----------
        box
            Pixels to compute.
        which
            0 for wavelength, 1 for bandwidth.

        Returns
        -------
        values
            Array of the box's shape.

        Notes
        -----
        Interpolation on a grid is separable: two small matrix products take
        the place of one look-up for each pixel.
        """
        across = _weights(np.arange(box.x_min + 1, box.x_max + 1, dtype=float), self.x)
        along = _weights(np.arange(box.y_min + 1, box.y_max + 1, dtype=float), self.y)
        return along @ (self.values[..., which].astype(float) @ across.T)

    def wcs(self, image_header: LazyHeader) -> WCS:
        """Return the alternate WCS ``W`` of an image: pixels to wavelength and bandwidth.

        SIP is removed from it, as astropy applies the celestial distortion to
        every alternate WCS (https://github.com/astropy/astropy/issues/13105,
        https://github.com/astropy/astropy/issues/18404).
        """
        header = image_header.selected(_SPECTRAL_CARDS)
        if "CTYPE1W" not in header:
            raise FormatError("The IMAGE header has no CTYPE1W; expected the alternate WCS 'W' of wavelengths.")
        require_small(header)
        wcs = WCS(header, fobj=fits.HDUList([fits.PrimaryHDU(), self.to_hdu()]), key="W")
        wcs.sip = None
        return wcs

    def to_hdu(self) -> fits.BinTableHDU:
        """Return the table as it stands in a file."""
        if self._stored is not None:
            table = self._stored.copy()
            for name, values in (("X", self.x), ("Y", self.y), ("VALUES", self.values)):
                table[name][0] = values
            return fits.BinTableHDU(table, header=None if self.header is None else self.header.header.copy())
        ny, nx, _ = self.values.shape
        columns = [
            fits.Column("X", f"{nx}J", array=[self.x]),
            fits.Column("Y", f"{ny}J", array=[self.y]),
            fits.Column("VALUES", f"{self.values.size}E", dim=f"(2,{nx},{ny})", unit="um", array=[self.values]),
        ]
        return fits.BinTableHDU.from_columns(columns, name=EXTNAME)


@lru_cache
def _known() -> dict[tuple[str, int], tuple[NDArray[Any], ...]]:
    """Return what real files hold, by release and detector: X, Y, and wavelength and bandwidth in µm, flat."""
    table = Table.read(f"{config_path()}/repository/wavelengths.ecsv", format="ascii.ecsv")
    names = ("x", "y", "wavelength", "bandwidth")
    return {(str(row["release"]), int(row["detector"])): tuple(row[name] for name in names) for row in table}


def _reach(control: NDArray[Any]) -> tuple[float, float]:
    """Return the 0-based pixels half an interval beyond the outermost control points."""
    points = control.astype(float) - 1
    return float(1.5 * points[0] - 0.5 * points[1]), float(1.5 * points[-1] - 0.5 * points[-2])


def _no_sky_positions(_: SkyCoord) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    raise ParameterError("Control points are in pixels; SpectralImage.wavelength_at takes a SkyCoord.")


def _native(stored: NDArray[Any]) -> NDArray[Any]:
    return np.array(stored, dtype=stored.dtype.newbyteorder("="))


def _interval(points: NDArray[np.float64], control: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the control interval of each point, and how far along it the point lies."""
    index = np.clip(np.searchsorted(control, points, side="right") - 1, 0, control.size - 2)
    left, right = control[index].astype(float), control[index + 1].astype(float)
    return index, (points - left) / (right - left)


def _weights(points: NDArray[np.float64], control: NDArray[Any]) -> NDArray[np.float64]:
    """Return the matrix that interpolates values at ``control`` to ``points``."""
    index, fraction = _interval(points, control)
    weights = np.zeros((points.size, control.size))
    rows = np.arange(points.size)
    weights[rows, index] = 1 - fraction
    weights[rows, index + 1] = fraction
    return weights
