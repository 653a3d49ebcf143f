"""`~astropy.nddata.CCDData` as FITS, keeping what ``CCDData.write`` loses.

============  ==========  ====================================================
HDU           Form        Holds
============  ==========  ====================================================
PRIMARY       image       Data; the header has the cards of ``meta`` that are
                          not about an HDU, ``BUNIT`` and the cards of ``wcs``.
META          table       ``CARD``: the cards of ``meta``, verbatim.
MASK          image       ``mask``
UNCERT        image       ``uncertainty``; its class is ``UTYPE``, its unit
                          ``BUNIT``.  Called ``UNCERTAINTY`` where astropy's
                          own reader would take it for something else: of
                          unknown kind, or in a unit not the data's.
FLAGS         image       ``flags``
PSFIMAGE      image       ``psf``
============  ==========  ====================================================

``CCDData.read(path, format="fits")`` reads data, unit, mask, uncertainty, WCS
and PSF.  With a compressing recipe the primary HDU has no data, and the image
with its header is the HDU ``IMAGE``: there it needs ``hdu="IMAGE"``.

``NPDTYPE`` is the dtype in memory: bool is stored as uint8 and float16 as
float32.  ``NPSCALAR`` marks a plane of one value for all pixels.  Arrays come
back in this machine's byte order, ``meta`` as a `~astropy.io.fits.Header`; a
dict's keys become upper-case keywords, and a value that no card can hold is
refused: a list, infinity, a string with blanks at its end.  Butler's provenance
cards are in the primary header and never in ``meta``.

A cutout's ``meta`` has ``CRPIX`` cards of the cutout, as its ``wcs`` has.

Other files can be read too, gzipped ones included: those without ``META``, such
as ``CCDData.write`` makes, and those whose image is in an extension, such as the
archive's calibrations.  The image is in the primary HDU, else in ``IMAGE``, else
in the only other HDU that has one and is not in the table above.  A missing or
blank ``BUNIT`` is dimensionless; one may be written as ``(MJy/sr)/(e-/s)``.
"""

from __future__ import annotations

__all__ = ("UNCERTAINTIES", "ccddata_to_hdulist", "stored_hdus")

import re
from collections.abc import Mapping
from copy import copy
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    InverseVariance,
    NDUncertainty,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.wcs import WCS

from ..errors import FormatError
from ..formats.fits.cards import exact_images, strip_provenance
from ..formats.fits.tile_compression import compress_images
from ..formats.fits.wcs import put_wcs
from .spectral_image import SpectralImage

UNCERTAINTIES = {
    cls.__name__: cls for cls in (StdDevUncertainty, VarianceUncertainty, InverseVariance, UnknownUncertainty)
}
"""The kinds of uncertainty that a file can hold, by name."""

_POWER_OF_UNIT = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2}
_STORED_AS = {"bool": "uint8", "float16": "float32"}
_FITS_DTYPES = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"),
    *_STORED_AS,
)
# About an HDU, a table or tile compression rather than about the image.
_ABOUT_HDU = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|BLOCKED|[PG]COUNT|GROUPS|BSCALE|BZERO|BLANK|EXT(NAME|VER|LEVEL)|INHERIT"
    r"|CHECKSUM|DATASUM|NPDTYPE|NPSCALAR|THEAP|TFIELDS|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|BCOL|DIM)\d+"
    r"|Z(IMAGE|TENSION|SIMPLE|EXTEND|BLOCKED|BITPIX|NAXIS\d*|[PG]COUNT|HECKSUM|DATASUM|CMPTYPE|MASKCMP|QUANTIZ|DITHER0"
    r"|BLANK|SCALE|ZERO|TILE\d+|NAME\d+|VAL\d+)"
)


def ccddata_to_hdulist(ccd: CCDData) -> fits.HDUList:
    """Return the HDUs that hold everything a `~astropy.nddata.CCDData` has."""
    if isinstance(ccd, SpectralImage):
        return ccd.to_hdulist()  # a CCDData too, for which Butler may choose this converter
    data = _plane(ccd.data, "PRIMARY")
    meta = _meta_header(ccd.meta)
    header = _image_header(meta, ccd.unit, ccd.wcs)
    header.append(data.header.cards["NPDTYPE"])
    hdus = [fits.PrimaryHDU(data.data, header), _meta_table(meta)]
    if ccd.mask is not None:
        hdus.append(_plane(ccd.mask, "MASK", shape=ccd.data.shape))
    if ccd.uncertainty is not None:
        hdus.append(_uncertainty_plane(ccd.uncertainty, ccd.unit, ccd.data.shape))
    if ccd.flags is not None:
        hdus.append(_plane(ccd.flags, "FLAGS", shape=ccd.data.shape))
    if ccd.psf is not None:
        hdus.append(_plane(ccd.psf, "PSFIMAGE"))
    return fits.HDUList(hdus)


def stored_hdus(ccd: CCDData, recipe: Mapping[str, Any]) -> fits.HDUList:
    """Return the HDUs of an image to be written, compressed as a recipe says."""
    if isinstance(ccd, SpectralImage):
        raise FormatError(
            "A SpectralImage stored as CCDData would lose its flag definitions, zodi and psf; "
            "use the storage class SpectralImage, or read it with storageClass='HDUList'."
        )
    primary, *others = ccddata_to_hdulist(ccd)
    for hdu in (primary, *others):
        if hdu.is_image:
            # astropy swaps bytes in place where it may, even if other threads read them.
            hdu.data.flags.writeable = False
    if recipe.get("compression") is None:
        return fits.HDUList([primary, *others])
    return compress_images([*_image_as_extension(primary), *others], recipe)


def _plane(array: Any, name: str, *, shape: tuple[int, ...] | None = None) -> fits.ImageHDU:
    """Return an array as an HDU; one value for all pixels is given a ``shape``."""
    values = np.asarray(array)
    if values.dtype.name not in _FITS_DTYPES:
        raise FormatError(
            f"HDU {name!r} cannot hold {type(array).__name__} of dtype {values.dtype}; "
            f"FITS images hold {sorted(_FITS_DTYPES)}."
        )
    dtype, scalar = values.dtype.name, values.ndim == 0 and shape is not None
    if scalar:
        values = np.broadcast_to(values, shape or ())
    if shape is not None and values.shape != shape:
        raise FormatError(f"HDU {name!r} would have shape {values.shape}; expected {shape}, the shape of the data.")
    if values.ndim == 0 or values.size == 0:
        raise FormatError(
            f"HDU {name!r} would have shape {values.shape}, which holds no pixel; expected one pixel or more."
        )
    stored = values.astype(_STORED_AS[dtype]) if dtype in _STORED_AS else values.view()
    hdu = fits.ImageHDU(stored, name=name)
    hdu.header["NPDTYPE"] = (dtype, "dtype in memory")
    if scalar:
        hdu.header["NPSCALAR"] = (True, "one value for all pixels")
    return hdu


def _uncertainty_plane(uncertainty: NDUncertainty, unit: u.UnitBase, shape: tuple[int, ...]) -> fits.ImageHDU:
    kind = type(uncertainty)
    if kind not in UNCERTAINTIES.values():
        raise FormatError(f"uncertainty is {kind.__name__}; expected one of {sorted(UNCERTAINTIES)}.")
    power = _POWER_OF_UNIT.get(kind)
    own_unit = uncertainty.unit
    implied = power is not None and (own_unit is None or own_unit == (unit if power == 1 else unit**power))
    hdu = _plane(uncertainty.array, "UNCERT" if implied else "UNCERTAINTY", shape=shape)
    hdu.header["UTYPE"] = (kind.__name__, "class of the uncertainty")
    if own_unit is not None:
        hdu.header["BUNIT"] = _unit_text(own_unit, hdu.name)
    return hdu


def _unit_text(unit: u.UnitBase, name: str) -> str:
    text = str(unit.to_string())
    try:
        same = u.Unit(text) == unit
    except ValueError:
        same = False
    if not same:
        raise FormatError(
            f"BUNIT of HDU {name!r} cannot be {text!r}: it does not read back as the same unit; "
            "expected a unit that astropy.units.Unit reads, so convert to one."
        )
    return text


def _meta_header(meta: Mapping[str, Any]) -> fits.Header:
    """Return the metadata as a header, without Butler's own."""
    header = meta.copy() if isinstance(meta, fits.Header) else _header_from_mapping(meta)
    strip_provenance(header)
    return header


def _header_from_mapping(meta: Mapping[str, Any]) -> fits.Header:
    header = fits.Header()
    for key, value in meta.items():
        if isinstance(value, list | tuple | set | Mapping | np.ndarray):
            raise FormatError(
                f"meta[{key!r}] is {value!r}; a header card holds one string, number or truth value: "
                "make it several keys."
            )
        try:
            keyword = fits.Card.normalize_keyword(key)
            if keyword in header and keyword not in {"COMMENT", "HISTORY", ""}:
                raise ValueError(f"another key is {keyword!r} in upper case as well")  # noqa: TRY301
            if isinstance(value, str) and value.endswith(" "):
                raise ValueError("FITS drops blanks at the end of a string; strip them")  # noqa: TRY301
            header[f"HIERARCH {keyword}" if len(keyword) > 8 else keyword] = value
            exact_images(header[-1:])
        except (TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"meta[{key!r}] = {value!r} cannot be a FITS header card: {error}") from error
    return header


def _image_header(meta: fits.Header, unit: u.UnitBase, wcs: WCS | None) -> fits.Header:
    """Return the header for the image itself: what of ``meta`` it can hold, with the true unit and WCS."""
    header = fits.Header([copy(card) for card in meta.cards if not _ABOUT_HDU.fullmatch(card.keyword)])
    put_wcs(header, wcs)
    header["BUNIT"] = _unit_text(unit, "PRIMARY")
    return header


def _meta_table(meta: fits.Header) -> fits.BinTableHDU:
    images = np.array(exact_images(meta), dtype="S80")
    return fits.BinTableHDU.from_columns([fits.Column("CARD", "80A", array=images)], name="META")


def _image_as_extension(primary: fits.PrimaryHDU) -> tuple[fits.PrimaryHDU, fits.ImageHDU]:
    """Return an empty primary HDU, and the image as an extension: only those can be compressed."""
    return fits.PrimaryHDU(), fits.ImageHDU(primary.data, primary.header.copy(strip=True), name="IMAGE")
