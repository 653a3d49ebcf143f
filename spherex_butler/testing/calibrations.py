"""Simulated calibration files in the archive's format: every product, a release's tokens, the archive's folders.

Shapes, units and names of HDUs are those of the archive's user guide and of
the one real product that this package holds.  In which HDU an image lies the
guide does not say: public readers take ``IMAGE`` or HDU 1 of gain matrices,
flux corrections and solid angles; for the others every place that a reader
has to cope with occurs once.
"""

from __future__ import annotations

__all__ = ("CALIBRATION_TYPES", "calibration_tokens", "write_calibration", "write_calibrations")

import datetime as dt
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from astropy.io import fits
from numpy.typing import NDArray

from ..constants import DETECTORS, FULL_FRAME
from ..errors import ParameterError
from ..formats.fits.boxes import Box
from ..images.wavelengths import WavelengthTable
from ..names import ProcessingToken, ProductName
from .level2 import level2_hdulist
from .spectral_channels import channel_hdus

_READOUT_CHANNELS = 32
_DICHROIC_BANDS = (3, 4)
_SPECTRAL_WCS_RELEASES = {"cal-wcs": "qr2", "cal-swcs": "qr3"}


@dataclass(frozen=True, slots=True)
class _Frame:
    """One file to be simulated."""

    name: ProductName
    shape: tuple[int, int]
    rng: np.random.Generator

    @property
    def detector(self) -> int:
        """Its detector."""
        return int(self.name.detector or 0)

    @property
    def date(self) -> str:
        """When it was made."""
        token = self.name.token
        return f"{dt.date(token.year, 1, 1) + dt.timedelta(token.day - 1)}T00:00:00"

    @property
    def box(self) -> Box:
        """Its part of the full frame, from the middle."""
        y, x = ((FULL_FRAME - length) // 2 for length in self.shape)
        return Box(x, x + self.shape[1], y, y + self.shape[0])

    def about(self, level: float, spread: float) -> NDArray[np.float32]:
        """Return pixels about a level."""
        return self.rng.normal(level, spread, self.shape).astype(np.float32)

    def rare(self, fraction: float, dtype: type[np.integer]) -> NDArray[Any]:
        """Return pixels that are 0, or now and then 1."""
        return (self.rng.random(self.shape) < fraction).astype(dtype)


def _header(frame: _Frame) -> fits.Header:
    return fits.Header([("DETECTOR", frame.detector, "1-3: SWIR, 4-6: MWIR"), ("DETCOORD", "sky")])


def _image_hdu(frame: _Frame, pixels: NDArray[Any], name: str, unit: str | None = None) -> fits.ImageHDU:
    hdu = fits.ImageHDU(pixels, _header(frame), name=name)
    if unit is not None:
        hdu.header["BUNIT"] = unit
    return hdu


def _abs_gain_matrix(frame: _Frame) -> list[Any]:
    return [_image_hdu(frame, frame.about(1.3, 0.05), "IMAGE", "(MJy/sr)/(electron/s)")]


def _average_psf(frame: _Frame) -> list[Any]:
    hdu = level2_hdulist(detector=frame.detector, size=4, full_psf=_is_full(frame))["PSF"]
    hdu.name = "PSF-DATA-CUBE"
    return [hdu]


def _dark(frame: _Frame) -> list[Any]:
    return [_image_hdu(frame, frame.about(0.02, 0.005), "DARK", "electron/s")]


def _dichroic(frame: _Frame) -> list[Any]:
    pixels = frame.rare(0.05 if frame.detector in _DICHROIC_BANDS else 0.0, np.int32)
    return [fits.PrimaryHDU(pixels, _header(frame))]


def _epsf(frame: _Frame) -> list[Any]:
    hdu = level2_hdulist(release="qr3", detector=frame.detector, size=4, full_psf=_is_full(frame))["EPSF"]
    hdu.header["DETECTOR"] = frame.detector
    return [hdu]


def _flux_corrections(frame: _Frame) -> list[Any]:
    hdu = _image_hdu(frame, frame.about(0.97, 0.01), "IMAGE")
    hdu.header["DETECTOR"] = str(frame.detector)
    hdu.header["COMMENT"] = "Multiplicative flux correction factor for pre-QR3 data"
    return [hdu]


def _nonfunc(frame: _Frame) -> list[Any]:
    return [_image_hdu(frame, frame.rare(0.01, np.int64), "NONFUNC", " ")]


def _nonlinear_pars(frame: _Frame) -> list[Any]:
    levels = {"Q_nl": 7e4, "b1": 1e-6, "b2": 1e-11, "b3": 1e-16, "Qmax": 9e4}
    return [_image_hdu(frame, frame.about(level, 0.1 * level), name) for name, level in levels.items()]


def _readnoise_pars(frame: _Frame) -> list[Any]:
    return [_image_hdu(frame, frame.about(12, 1), f"READNOISE-{n}", "electron") for n in (1, 2)]


def _solid_angle_pixel_map(frame: _Frame) -> list[Any]:
    return [_image_hdu(frame, frame.about(37.8, 0.1), "IMAGE", "arcsec2")]


def _spectral_channels(frame: _Frame) -> list[Any]:
    return channel_hdus(frame.box)


def _spectral_wcs(frame: _Frame) -> list[Any]:
    wavelengths = WavelengthTable.of_detector(frame.detector, _SPECTRAL_WCS_RELEASES[frame.name.token.process])
    planes = {name: wavelengths.grid(frame.box, which) for which, name in enumerate(("CWAVE", "CBAND"))}
    images = [_image_hdu(frame, plane.astype(np.float32), name, "um") for name, plane in planes.items()]
    return [*images, wavelengths.to_hdu()]


def _gain_factors(frame: _Frame) -> bytes:
    gains = frame.rng.normal(2.0, 0.05, (len(DETECTORS), _READOUT_CHANNELS)).round(4).tolist()
    provenance = {"created": frame.date, "source": "simulated"}
    content = {f"D{detector}": {"provenance": dict(provenance), "gains": gains[detector - 1]} for detector in DETECTORS}
    return yaml.safe_dump(content, sort_keys=False).encode()


def _is_full(frame: _Frame) -> bool:
    return frame.shape == (FULL_FRAME, FULL_FRAME)


def _fits(make: Callable[[_Frame], list[Any]], frame: _Frame) -> bytes:
    hdus = make(frame)
    if not isinstance(hdus[0], fits.PrimaryHDU):
        hdus.insert(0, fits.PrimaryHDU())
    cards = [("DATE", frame.date), ("TELESCOP", "SPHEREx"), ("INSTRUME", "SPHEREx")]
    hdus[0].header.extend(cards)
    stream = io.BytesIO()
    fits.HDUList(hdus).writeto(stream)
    return stream.getvalue()


def _zipped_fits(make: Callable[[_Frame], list[Any]], frame: _Frame) -> bytes:
    return gzip.compress(_fits(make, frame), mtime=0)


@dataclass(frozen=True, slots=True)
class _Product:
    """One type of calibration: how a file of it is made, and the tokens that releases hold, qr2's and qr3's."""

    content: Callable[[_Frame], bytes]
    qr2: str | None = None
    qr3: str | None = None
    extension: str = "fits"
    one_file: bool = False


_BASE = "base-2025-158"
_PRODUCTS = {
    "abs_gain_matrix": _Product(partial(_fits, _abs_gain_matrix), "cal-agm-v4-2025-161", "cal-agm-v4-2025-161"),
    "average_psf": _Product(partial(_fits, _average_psf), "cal-psf-v5-2026-082"),
    "dark": _Product(partial(_fits, _dark), "cal-drk-v4-2025-161", "cal-drk-v4-2025-161"),
    "dichroic": _Product(partial(_fits, _dichroic), _BASE, _BASE),
    "epsf": _Product(partial(_fits, _epsf), None, "cal-epsf-v1-2026-191"),
    "gain_factors": _Product(_gain_factors, _BASE, _BASE, extension="yaml", one_file=True),
    "l3_flux_corrections": _Product(partial(_fits, _flux_corrections), None, "cal-flxc-v1-2026-191"),
    "nonfunc": _Product(partial(_fits, _nonfunc), _BASE, _BASE),
    "nonlinear_pars": _Product(partial(_fits, _nonlinear_pars), _BASE, _BASE),
    "readnoise_pars": _Product(partial(_fits, _readnoise_pars), _BASE, _BASE),
    "solid_angle_pixel_map": _Product(
        partial(_fits, _solid_angle_pixel_map), "cal-sapm-v2-2025-164", "cal-sapm-v3-2026-191"
    ),
    "spectral_channels": _Product(
        partial(_zipped_fits, _spectral_channels), None, "cal-sch-v1-2026-106", extension="fits.gz", one_file=True
    ),
    "spectral_wcs": _Product(partial(_fits, _spectral_wcs), "cal-wcs-v4-2025-254", "cal-swcs-v5-2026-191"),
}
_REISSUED = {("epsf", 3, "cal-epsf-v1-2026-191"): "cal-epsf-v2-2026-191"}

CALIBRATION_TYPES = tuple(_PRODUCTS)
"""The dataset types of the archive's calibrations."""


def calibration_tokens(release: str, detector: int) -> dict[str, str]:
    """Return the token that each type of calibration of a detector has in a release, ``"qr2"`` or ``"qr3"``.

    Raises
    ------
    ParameterError
        Raised if there is no such release.
    """
    if release not in {"qr2", "qr3"}:
        raise ParameterError(f"release={release!r} has no simulated calibrations; expected 'qr2' or 'qr3'.")
    tokens = {name: getattr(product, release) for name, product in _PRODUCTS.items()}
    return {name: _REISSUED.get((name, detector, token), token) for name, token in tokens.items() if token}


def write_calibration(
    folder: str | os.PathLike[str],
    dataset_type: str,
    token: str,
    *,
    detector: int | None = None,
    release: str = "qr2",
    shape: tuple[int, int] = (48, 48),
) -> Path:
    """Write one simulated calibration file to its place in the archive's tree.

    Parameters
    ----------
    folder
        Root of the tree.
    dataset_type, token
        Which product, of which processing.
    detector
        1 to 6; `None` for ``gain_factors`` and ``spectral_channels``, which
        have one file for all.
    release
        The folder that the product is in.
    shape
        Of images; (2040, 2040) also gives PSFs their full size.

    Returns
    -------
    path
        The file, ``{release}/{type}/{token}/{detector}/{type}_D{detector}_spx_{token}.fits``.

    Raises
    ------
    FormatError
        Raised if it is not a processing token.
    ParameterError
        Raised if there is no such product or detector, or the shape is larger than a frame.

    Notes
    -----
    The same options give the same bytes, whatever the release.
    """
    product = _require(dataset_type, detector, shape)
    name = ProductName(dataset_type, ProcessingToken.parse(token), None, detector, product.extension)
    parts = [release, dataset_type, token, *([] if detector is None else [str(detector)])]
    path = Path(folder, *parts, str(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = zlib.crc32(str(name).encode())
    path.write_bytes(product.content(_Frame(name, shape, np.random.default_rng(seed))))
    return path


def _require(dataset_type: str, detector: int | None, shape: tuple[int, int]) -> _Product:
    product = _PRODUCTS.get(dataset_type)
    if product is None:
        raise ParameterError(f"There is no calibration {dataset_type!r}; known ones are {list(_PRODUCTS)}.")
    if (detector is None) != product.one_file or detector not in {None, *DETECTORS}:
        expected = "None: one file is for all" if product.one_file else "1 to 6"
        raise ParameterError(f"detector={detector!r} has no {dataset_type!r}; expected {expected}.")
    if not all(0 < length <= FULL_FRAME for length in shape):
        raise ParameterError(f"shape={shape!r} is not a part of a frame; expected lengths of 1 to {FULL_FRAME}.")
    return product


def write_calibrations(
    folder: str | os.PathLike[str],
    *,
    detectors: Iterable[int] = DETECTORS,
    release: str = "qr2",
    shape: tuple[int, int] = (48, 48),
) -> list[Path]:
    """Write every calibration of a release, of the tokens the archive has.

    Parameters
    ----------
    folder
        Root of the archive's tree.
    detectors
        Which detectors.
    release
        ``"qr2"`` or ``"qr3"``.  Which of a release's calibrations the archive
        holds in whose folder is not known of all: those without a token of
        their own in QR3 are written with QR2's, the same bytes.
    shape
        As for `write_calibration`.

    Returns
    -------
    paths
        The files.

    Raises
    ------
    ParameterError
        Raised if there is no such release or detector, or the shape is larger than a frame.
    """
    wanted = {
        (name, token, None if _PRODUCTS[name].one_file else detector)
        for detector in detectors
        for name, token in calibration_tokens(release, detector).items()
    }
    return [
        write_calibration(folder, name, token, detector=detector, release=release, shape=shape)
        for name, token, detector in sorted(wanted, key=str)
    ]
