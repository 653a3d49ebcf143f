"""A stored `~astropy.nddata.CCDData`, of which each part is read alone; `.ccddata` describes the format."""

from __future__ import annotations

__all__ = ("StoredCCDData", "check_image")

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData, NDUncertainty
from astropy.wcs import WCS
from numpy.typing import NDArray

from ..errors import FormatError, ParameterError
from ..formats.fits.boxes import Box
from ..formats.fits.cards import strip_provenance
from ..formats.fits.file import FitsFile
from ..formats.fits.hdu import HduInfo, to_native
from ..formats.fits.lazy_header import shift_header
from ..formats.fits.units import read_unit_text
from ..formats.fits.wcs import read_wcs
from .ccddata import UNCERTAINTIES
from .cutouts import requested_box

_NOT_THE_IMAGE = frozenset({"MASK", "UNCERT", "UNCERTAINTY", "FLAGS", "PSFIMAGE"})


class StoredCCDData:
    """A file of which each property reads only what it is named after, cut to the box that was asked for."""

    def __init__(self, file: FitsFile, parameters: Mapping[str, Any]) -> None:
        if not file.remote:
            file.check_complete(padded=False)
        self._file = file
        self._parameters = parameters

    @cached_property
    def _image(self) -> HduInfo:
        info = self._find_image()
        if 0 in info.shape:
            raise FormatError(f"HDU {info.name!r} has shape {info.shape}; expected one pixel or more.")
        return info

    def _find_image(self) -> HduInfo:
        if _is_image(self._file.primary):
            return self._file.primary
        named = self._file.find("IMAGE")
        if named is not None and _is_image(named):
            return named
        infos = self._file.hdus()
        images = [info for info in infos if _is_image(info) and info.name not in _NOT_THE_IMAGE]
        if len(images) == 1:
            return images[0]
        found = ", ".join(f"{info.index} {info.name!r}" for info in images or infos)
        raise FormatError(
            f"The file holds {'images' if images else 'no image'} in {found}; expected one image, or an image in "
            "HDU 0 or 'IMAGE'; read a file of several images as HDUList."
        )

    @cached_property
    def _image_header(self) -> fits.Header:
        return self._image.header.header

    @cached_property
    def _box(self) -> Box | None:
        if not self._parameters:
            return None
        shape = self._image.shape
        if len(shape) < 2:
            raise ParameterError(
                f"{sorted(self._parameters)} need an image of two axes or more; this has shape {shape}."
            )
        wcs = read_wcs(self._image_header) if "center" in self._parameters else None
        return requested_box(self._parameters, bounds=Box.of_shape(shape), wcs=wcs)

    @property
    def shape(self) -> list[int]:
        """Shape of the image."""
        shape = list(self._image.shape)
        return shape if self._box is None else [*shape[:-2], *self._box.shape]

    @property
    def unit(self) -> u.UnitBase:
        """Unit of the pixels."""
        return _read_unit(self._image) or u.dimensionless_unscaled

    @property
    def wcs(self) -> WCS | None:
        """Celestial or other WCS."""
        wcs = read_wcs(self._cut(self._image_header.copy()))
        if wcs is not None and wcs.naxis == len(self._image.shape):
            wcs.array_shape = tuple(self.shape)
        return wcs

    @property
    def header(self) -> fits.Header:
        """The metadata."""
        return self._cut(self._full_header())

    def _full_header(self) -> fits.Header:
        if (meta := self._file.find("META")) is not None:
            return fits.Header.fromstring("".join(card.ljust(80) for card in self._file.table(meta)["CARD"]))
        header = self._image_header.copy()
        if self._image.index:
            header.extend(self._file.primary.header.header, strip=True, unique=True)
        strip_provenance(header)
        return header

    def _cut(self, header: fits.Header) -> fits.Header:
        if self._box is not None:
            shift_header(header, (self._box.x_min, self._box.y_min))
        return header

    @property
    def image(self) -> NDArray[Any]:
        """The pixels."""
        return self._pixels(self._image)

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """The mask."""
        info = self._file.find("MASK")
        return None if info is None else self._pixels(info, default="bool")

    @property
    def flags(self) -> NDArray[Any] | None:
        """The flags."""
        info = self._file.find("FLAGS")
        return None if info is None else self._pixels(info)

    @property
    def uncertainty(self) -> NDUncertainty | None:
        """The uncertainty, in a unit of its own only where the file states one."""
        info = self._file.find("UNCERT") or self._file.find("UNCERTAINTY")
        if info is None:
            return None
        # astropy's reader takes an uncertainty without UTYPE as a standard deviation.
        kind = info.value("UTYPE", "StdDevUncertainty")
        if kind not in UNCERTAINTIES:
            raise FormatError(f"HDU {info.name!r} has UTYPE={kind!r}; expected one of {sorted(UNCERTAINTIES)}.")
        return UNCERTAINTIES[kind](self._pixels(info), unit=_read_unit(info), copy=False)

    @property
    def ccddata(self) -> CCDData:
        """All of it."""
        info = self._file.find("PSFIMAGE")
        psf = None if info is None else to_native(self._file.image(info), info.value("NPDTYPE"))
        parts = {name: getattr(self, name) for name in ("unit", "mask", "uncertainty", "flags", "wcs")}
        return CCDData(self.image, meta=self.header, psf=psf, **parts)

    def _pixels(self, info: HduInfo, *, default: str | None = None) -> NDArray[Any]:
        shape = self._image.shape
        if info.shape != shape:
            raise FormatError(f"HDU {info.name!r} has shape {info.shape}; expected {shape}, the shape of the image.")
        dtype = info.value("NPDTYPE", default)
        if info.value("NPSCALAR", False):
            return to_native(self._cut_pixels(info, Box(0, 1, 0, 1)).flat[:1], dtype).reshape(())
        return to_native(self._cut_pixels(info, self._box), dtype)

    def _cut_pixels(self, info: HduInfo, box: Box | None) -> NDArray[Any]:
        if box is None or len(info.shape) == 2:
            return self._file.image(info, box)
        index: Any = (..., *box.slices[-len(info.shape) :])
        # A copy, so that a small cutout does not keep the cube alive.
        return np.array(self._file.image(info)[index])


def _is_image(info: HduInfo) -> bool:
    return bool(info.shape) and not info.is_table


def _read_unit(info: HduInfo) -> u.UnitBase | None:
    """Return the unit that ``BUNIT`` names, `None` where it is missing or blank."""
    value = info.value("BUNIT")
    text = "" if value is None or isinstance(value, fits.card.Undefined) else str(value).strip()
    if not text:
        return None
    # The two things that astropy's own CCDData reader forgives.
    known = CCDData.known_invalid_fits_unit_strings.get(text, "adu" if text.lower() == "adu" else text)
    try:
        return read_unit_text(known) if isinstance(known, str) else known
    except (ArithmeticError, ValueError) as error:
        raise FormatError(
            f"HDU {info.name!r} has BUNIT={text!r}, which astropy does not know as a unit: {error}"
        ) from error


def check_image(file: FitsFile) -> list[str]:
    """Check that a file holds one image; return why its unit cannot be read, if it cannot."""
    stored = StoredCCDData(file, {})
    _ = stored.shape
    try:
        _ = stored.unit
    except FormatError as error:
        return [f"{error}; only its components other than unit can be read."]
    return []
