"""`SpectralImage`: a Level 2 image in memory, every part consistent under cutouts and arithmetic."""

from __future__ import annotations

__all__ = ("SpectralImage",)

import uuid
from collections.abc import Iterable, Mapping
from copy import deepcopy
from os import PathLike
from typing import Any, Self

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from . import level2_io
from .boxes import Box, requested_box
from .errors import FormatError, ParameterError
from .flags import bit_mask, flagged, read_flag_definitions
from .geometry import celestial_wcs, describe_corners, frame_origin, sky_corners
from .lazy_header import LazyHeader
from .psf import SpectralImagePSF
from .wavelengths import WavelengthTable

_STRUCTURAL = frozenset({"SIMPLE", "BITPIX", "NAXIS", "EXTEND", "EXTNAME", "", "COMMENT", "HISTORY"})
_DERIVED: Any = object()


class SpectralImage(CCDData):
    """A SPHEREx spectral image: brightness, flags, variance, zodiacal light, PSF and wavelengths.

    Parameters
    ----------
    data
        Surface brightness, shape (rows, columns).
    unit
        Its unit; by default the header's ``BUNIT``.
    header
        Header of the IMAGE HDU.
    primary_header
        Header of the primary HDU.
    variance, flags, zodi
        Variance (square of ``unit``), flag bits and zodiacal-light model
        (``unit``), of the data's shape.
    psf
        Kernels of its zones.
    wavelengths
        Wavelength control points.
    plane_headers
        Headers of the FLAGS, VARIANCE and ZODI HDUs.  The flags are defined
        in that of FLAGS.

    Raises
    ------
    FormatError
        Raised if a plane has another shape than the data, or flags come
        without the header that defines them.

    Notes
    -----
    It is a `~astropy.nddata.CCDData`; ``uncertainty`` holds the variance and
    ``mask`` follows from the flags.  Mask, WCS, wavelengths and ``meta`` are
    computed on first use.  A part that was not loaded raises when asked for,
    except ``uncertainty`` and ``mask``, which are then `None` as CCDData has it.
    """

    def __init__(
        self,
        data: ArrayLike,
        *,
        unit: u.UnitBase | str | None = None,
        header: fits.Header | LazyHeader | None = None,
        primary_header: fits.Header | LazyHeader | None = None,
        variance: NDArray[Any] | None = None,
        flags: NDArray[Any] | None = None,
        zodi: NDArray[Any] | None = None,
        psf: SpectralImagePSF | None = None,
        wavelengths: WavelengthTable | None = None,
        plane_headers: Mapping[str, fits.Header | LazyHeader] | None = None,
    ) -> None:
        self._headers = {name: _lazy(value) for name, value in (plane_headers or {}).items()}
        self._headers["IMAGE"] = _lazy(header)
        self._headers["PRIMARY"] = _lazy(primary_header)
        self._merged_header: fits.Header | None = None
        self._bad_flags: tuple[str, ...] | None = None
        self._flags: NDArray[Any] | None
        self._psf: SpectralImagePSF | None
        array = np.asanyarray(data)
        if unit is None:
            unit = level2_io.parse_unit(self._headers["IMAGE"].get("BUNIT"))
        uncertainty = None if variance is None else VarianceUncertainty(variance, copy=False)
        super().__init__(array, unit=unit, uncertainty=uncertainty, flags=flags)
        self._zodi = zodi
        self._wavelengths = wavelengths
        self.psf = psf
        self._own_mask: Any = _DERIVED
        self._own_wcs: Any = _DERIVED
        self._check_planes()

    def _check_planes(self) -> None:
        variance = None if self.uncertainty is None else self.uncertainty.array
        for name, plane in (("VARIANCE", variance), ("FLAGS", self._flags), ("ZODI", self._zodi)):
            if plane is not None and plane.shape != self.data.shape:
                raise FormatError(f"{name} has shape {plane.shape}; expected that of IMAGE, {self.data.shape}.")
        if self._flags is not None and "FLAGS" not in self._headers:
            raise FormatError("Flags came without a FLAGS header; expected one that defines their bits.")

    # Where it comes from and goes to.

    @classmethod
    def read(cls, path: str | PathLike[str], *, planes: Iterable[str] | None = None, **cutout: Any) -> Self:
        """Read a Level 2 file or an archive cutout of one, of either release.

        Parameters
        ----------
        path
            A local file.
        planes
            HDUs to load besides IMAGE; by default all that are there.
        **cutout
            ``bbox``, or ``center`` and ``size``, and ``mode``, as for `cutout`;
            only that part of the file is read.

        Raises
        ------
        FormatError
            Raised if the file is not a Level 2 file, or is truncated.
        """
        return level2_io.read_file(cls, path, planes=planes, cutout=cutout)

    @classmethod
    def from_hdulist(cls, hdulist: fits.HDUList) -> Self:
        """Return the image in the HDUs of a Level 2 file."""
        return level2_io.from_hdulist(cls, hdulist)

    def to_hdulist(self, recipe: str = "none") -> fits.HDUList:
        """Return the HDUs of a Level 2 file, in the form the image came in.

        Parameters
        ----------
        recipe
            ``"none"``: no compression; ``"lossless"``: GZIP_2 for every plane;
            ``"archive"``: as in QR3, RICE_1 for the flags alone.
        """
        return level2_io.to_hdulist(self, level2_io.recipe_options(recipe))

    to_hdu = to_hdulist

    def write(self, path: str | PathLike[str], *, overwrite: bool = False, recipe: str = "lossless") -> None:
        """Write a Level 2 file; the file appears whole or not at all.

        Parameters
        ----------
        path
            Where to.
        overwrite
            Whether to replace a file that is there.
        recipe
            How to compress, as for `to_hdulist`.

        Raises
        ------
        FileExistsError
            Raised if the file is there and ``overwrite`` was not given.
        """
        level2_io.write_file(self.to_hdulist(recipe), path, overwrite=overwrite)

    def stored_planes(self) -> dict[str, tuple[NDArray[Any], fits.Header]]:
        """Return data and header of each plane as a file holds them, in the file's order."""
        header = self.image_header.copy()
        if level2_io.parse_unit(header.get("BUNIT")) != self.unit:
            header["BUNIT"] = self.unit.to_string("fits")
        planes = {"IMAGE": (self.data, header)}
        arrays = {"FLAGS": self._flags, "VARIANCE": self._variance_or_none, "ZODI": self._zodi}
        for name, plane in arrays.items():
            if plane is not None:
                planes[name] = (plane, self._headers[name].header.copy() if name in self._headers else fits.Header())
        return planes

    def stored_tables(self) -> list[SpectralImagePSF | WavelengthTable]:
        """Return the parts that follow the planes in a file."""
        return [part for part in (self._psf, self._wavelengths) if part is not None]

    # Headers and what they say.

    @property
    def meta(self) -> fits.Header:
        """The IMAGE header, with the cards that only the primary header has."""
        if self._merged_header is None:
            merged = self._headers["IMAGE"].header.copy()
            merged.extend(card for card in self.primary_header.cards if self._is_primary_only(card.keyword))
            self._merged_header = merged
        return self._merged_header

    @meta.setter
    def meta(self, value: Any) -> None:
        if value is not None:
            self._merged_header = value if isinstance(value, fits.Header) else fits.Header(value)

    @property
    def header(self) -> fits.Header:
        """The same as ``meta``, as in every CCDData."""
        return self.meta

    @header.setter
    def header(self, value: Any) -> None:
        self.meta = value

    @property
    def image_header(self) -> fits.Header:
        """The header of the IMAGE HDU alone."""
        if self._merged_header is None:
            return self._headers["IMAGE"].header
        cards = self._merged_header.cards
        return fits.Header([card for card in cards if not self._is_primary_only(card.keyword)], copy=True)

    def _is_primary_only(self, keyword: str) -> bool:
        if keyword in _STRUCTURAL or keyword not in self.primary_header:
            return False
        return self._headers["IMAGE"].get(keyword) is None

    @property
    def primary_header(self) -> fits.Header:
        """The header of the primary HDU."""
        return self._headers["PRIMARY"].header

    @property
    def obs_id(self) -> str | None:
        """Observation id, such as ``2025W51_1A_0684_2``; `None` where the header has none."""
        return self._text_card("IMAGE", "OBSID")

    @property
    def detector(self) -> int | None:
        """Detector number, 1 to 6; `None` where the header has none."""
        detector = self._headers["IMAGE"].get("DETECTOR")
        return None if detector is None else int(detector)

    @property
    def version(self) -> str | None:
        """Version of the pipeline that made it; `None` where the primary header has none."""
        return self._text_card("PRIMARY", "VERSION")

    def _text_card(self, name: str, keyword: str) -> str | None:
        value = self._headers[name].get(keyword)
        return None if value is None else str(value).strip()

    @property
    def calibrations(self) -> dict[str, uuid.UUID]:
        """Butler id of each calibration used, by dataset type, from the ``HISTORY [CALIB]`` cards."""
        return level2_io.read_calibrations(self._headers["IMAGE"].header)

    # Planes.

    @property
    def variance(self) -> NDArray[Any]:
        """Variance, in the square of ``unit``."""
        if self.uncertainty is None:
            raise self._absent("VARIANCE")
        return np.asarray(self.uncertainty.array)

    @property
    def flags(self) -> NDArray[Any]:
        """Flag bits of each pixel; `flag_definitions` names them."""
        if self._flags is None:
            raise self._absent("FLAGS")
        return self._flags

    @flags.setter
    def flags(self, value: NDArray[Any] | None) -> None:
        self._flags = value

    @property
    def zodi(self) -> NDArray[Any]:
        """Model of the zodiacal light that ``data`` still contains, in ``unit``."""
        if self._zodi is None:
            raise self._absent("ZODI")
        return self._zodi

    @property
    def psf(self) -> SpectralImagePSF:
        """Kernels of the PSF zones."""
        if self._psf is None:
            raise self._absent("PSF")
        return self._psf

    @psf.setter
    def psf(self, value: SpectralImagePSF | None) -> None:
        self._psf = value

    @property
    def wavelength_table(self) -> WavelengthTable:
        """Control points of wavelength and bandwidth."""
        if self._wavelengths is None:
            raise self._absent("WCS-WAVE")
        return self._wavelengths

    @staticmethod
    def _absent(name: str) -> ParameterError:
        return ParameterError(
            f"This image has no {name}: it was not loaded (planes=[…, {name!r}] loads it), "
            "or its file or an operation on it left it out."
        )

    @property
    def flag_definitions(self) -> dict[str, int]:
        """Bit number of each flag, as the file defines them."""
        if "FLAGS" not in self._headers:
            raise self._absent("FLAGS")
        return read_flag_definitions(self._headers["FLAGS"].header)

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """Pixels that one of the bad flags spoils; `None` where no flags were loaded."""
        if self._own_mask is _DERIVED:
            flags = self._flags
            self._own_mask = None if flags is None else flagged(flags, self.flag_definitions, self._bad_flags)
        mask: NDArray[np.bool_] | None = self._own_mask
        return mask

    @mask.setter
    def mask(self, value: NDArray[np.bool_] | None) -> None:
        self._own_mask = value
        self._mask = value  # NDData's own constructor reads it back

    def with_mask(self, *, bad: Iterable[str]) -> Self:
        """Return the image with another choice of the flags that spoil a pixel.

        Parameters
        ----------
        bad
            Names of flags.

        Raises
        ------
        ParameterError
            Raised if a name is not among `flag_definitions`.
        """
        names = (bad,) if isinstance(bad, str) else tuple(bad)
        bit_mask(self.flag_definitions, names)
        image = self._rebuilt()
        image._bad_flags = names
        image._own_mask = _DERIVED
        return image

    # Where its pixels are: on the detector, on the sky, in wavelength.

    @property
    def origin(self) -> tuple[int, int]:
        """Full-frame pixel (x, y) of the image's first pixel, from the alternate WCS ``A``."""
        return frame_origin(self._headers["IMAGE"])

    @property
    def box(self) -> Box:
        """Where the image lies in the full frame."""
        return Box.of_shape(self.data.shape, self.origin)

    @property
    def wcs(self) -> WCS | None:
        """Celestial WCS with SIP, in the image's own pixels; `None` where the header has none."""
        if self._own_wcs is _DERIVED:
            self._own_wcs = celestial_wcs(self._headers["IMAGE"])
        return self._own_wcs

    @wcs.setter
    def wcs(self, value: WCS | None) -> None:
        if value is not None and not isinstance(value, WCS):
            raise TypeError(f"wcs is {value!r}; expected an astropy.wcs.WCS.")
        self._own_wcs = value

    @property
    def spectral_wcs(self) -> WCS:
        """Alternate WCS ``W``: the image's own pixels to wavelength and bandwidth."""
        return self.wavelength_table.wcs(self._headers["IMAGE"])

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

    # Parts of it.

    def cutout(
        self,
        center: Any = None,
        size: Any = None,
        *,
        bbox: tuple[int, int, int, int] | None = None,
        mode: str = "trim",
    ) -> Self:
        """Return a part of the image, every plane and WCS with it.

        Parameters
        ----------
        center
            Sky position, or full-frame pixel (x, y).
        size
            Full side: an angle or pixels, a scalar or (height, width).
        bbox
            Instead of both: x_min, x_max, y_min, y_max; half-open, 0-based, of the full frame.
        mode
            ``"trim"`` clips a cutout partly outside, ``"strict"`` refuses it.

        Raises
        ------
        ParameterError
            Raised if it lies outside the image.
        """
        wanted = {"center": center, "size": size, "bbox": bbox, "mode": mode}
        box = requested_box(wanted, bounds=self.box, wcs=self.wcs, footprint=self._describe_footprint)
        if box is None:
            raise ParameterError("A cutout needs center and size, or bbox.")
        return self._cut(box)

    def _describe_footprint(self) -> str:
        return describe_corners(self.wcs, self.data.shape)

    def __getitem__(self, item: Any) -> Self:
        items = item if isinstance(item, tuple) else (item,)
        if len(items) > 2 or not all(isinstance(i, slice) and i.step in {None, 1} for i in items):
            raise ParameterError(
                f"A SpectralImage cannot be indexed by {item!r}, only by contiguous slices of rows and columns; "
                "index its data for anything else."
            )
        rows, columns = self.data.shape
        y_min, y_max, _ = items[0].indices(rows)
        x_min, x_max, _ = (items[1] if len(items) == 2 else slice(None)).indices(columns)
        x0, y0 = self.origin
        return self._cut(Box(x_min, x_max, y_min, y_max).shifted(x0, y0))

    def _cut(self, box: Box) -> Self:
        x0, y0 = self.origin
        own = box.shifted(-x0, -y0)
        corner = (own.x_min, own.y_min)
        headers = {name: header.cutout(corner, own.shape) for name, header in self._image_headers().items()}
        image = self._rebuilt(
            data=self.data[own.slices],
            header=headers.pop("IMAGE"),
            plane_headers=headers,
            variance=_cut_plane(self._variance_or_none, own),
            flags=_cut_plane(self._flags, own),
            zodi=_cut_plane(self._zodi, own),
            psf=None if self._psf is None else self._psf.cutout(corner),
        )
        image._own_mask = _cut_plane(self._own_mask, own)
        image._own_wcs = self._own_wcs if self._own_wcs in (None, _DERIVED) else self._own_wcs[own.slices]
        return image

    def _image_headers(self) -> dict[str, LazyHeader]:
        headers = {name: header for name, header in self._headers.items() if name != "PRIMARY"}
        if self._merged_header is not None:
            headers["IMAGE"] = LazyHeader(self.image_header)
        return headers

    @property
    def _variance_or_none(self) -> NDArray[Any] | None:
        return None if self.uncertainty is None else self.uncertainty.array

    def _parts(self) -> dict[str, Any]:
        """Return the arguments that make this image again."""
        headers = self._image_headers()
        return {
            "data": self.data,
            "unit": self.unit,
            "header": headers.pop("IMAGE"),
            "primary_header": self._headers["PRIMARY"],
            "variance": self._variance_or_none,
            "flags": self._flags,
            "zodi": self._zodi,
            "psf": self._psf,
            "wavelengths": self._wavelengths,
            "plane_headers": headers,
        }

    def _choices(self) -> dict[str, Any]:
        """Return what was set on this image and does not follow from its parts."""
        own = {name: getattr(self, name) for name in ("_own_mask", "_own_wcs")}
        return {"_bad_flags": self._bad_flags, **{k: v for k, v in own.items() if v is not _DERIVED}}

    @classmethod
    def _restored(cls, parts: dict[str, Any], choices: dict[str, Any]) -> Self:
        image = cls(**parts)
        for name, value in choices.items():
            setattr(image, name, value)
        return image

    def _rebuilt(self, **changes: Any) -> Self:
        """Return a new image of the same parts, except for those given."""
        return self._restored({**self._parts(), **changes}, self._choices())

    # Copies.

    def copy(self) -> Self:
        """Return an independent image; nothing of it is shared with this one."""
        return deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self._restored(deepcopy(self._parts(), memo), deepcopy(self._choices(), memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._restored, (self._parts(), self._choices())

    # Arithmetic.

    def add(self, operand: Any, **options: Any) -> Self:
        """Return the sum; see `subtract_zodi` and the class's notes for what becomes of each part."""
        return self._combined("add", operand, options)

    def subtract(self, operand: Any, **options: Any) -> Self:
        """Return the difference."""
        return self._combined("subtract", operand, options)

    def multiply(self, operand: Any, **options: Any) -> Self:
        """Return the product."""
        return self._combined("multiply", operand, options)

    def divide(self, operand: Any, **options: Any) -> Self:
        """Return the quotient."""
        return self._combined("divide", operand, options)

    def _combined(self, operation: str, operand: Any, options: dict[str, Any]) -> Self:
        """Propagate the variance, OR the flags, keep this image's WCS, PSF and origin, drop the zodi."""
        other = operand._plain() if isinstance(operand, SpectralImage) else operand
        result = getattr(self._plain(), operation)(other, **options)
        image = self._rebuilt(
            data=result.data,
            unit=result.unit,
            variance=None if result.uncertainty is None else result.uncertainty.array,
            flags=self._merged_flags(operand),
            zodi=None,
        )
        image._own_mask = result.mask if self._masks_differ(operand) else _DERIVED
        return image

    def _plain(self) -> CCDData:
        """Return what CCDData's own arithmetic needs of the image."""
        variance = self._variance_or_none
        uncertainty = None if variance is None else VarianceUncertainty(variance, copy=False)
        return CCDData(self.data, unit=self.unit, uncertainty=uncertainty, mask=self.mask)

    def _merged_flags(self, operand: Any) -> NDArray[Any] | None:
        if self._flags is None or not isinstance(operand, SpectralImage) or operand._flags is None:
            return self._flags
        if operand.flag_definitions != self.flag_definitions:
            raise ParameterError(
                f"The two images define flags differently: {self.flag_definitions} and {operand.flag_definitions}; "
                "combine their data instead."
            )
        merged: NDArray[Any] = self._flags | operand._flags
        return merged

    def _masks_differ(self, operand: Any) -> bool:
        """Whether the result's mask does not follow from its flags."""
        if isinstance(operand, SpectralImage):
            same_rule = operand._bad_flags == self._bad_flags and operand._flags is not None
            return not same_rule or self._flags is None
        return getattr(operand, "mask", None) is not None

    def convert_unit_to(self, unit: u.UnitBase | str, equivalencies: Any = ()) -> Self:
        """Return the image in another unit, its variance and zodi converted with it."""
        factor = self.unit.to(unit, 1.0, equivalencies=list(equivalencies))
        variance, zodi = self._variance_or_none, self._zodi
        return self._rebuilt(
            data=self.data * self.data.dtype.type(factor),
            unit=u.Unit(unit),
            variance=None if variance is None else variance * variance.dtype.type(factor**2),
            zodi=None if zodi is None else zodi * zodi.dtype.type(factor),
        )

    def subtract_zodi(self) -> Self:
        """Return the image without zodiacal light, and without the model, which no longer applies."""
        image = self._rebuilt(data=self.data - self.zodi, zodi=None)
        image.meta.add_history("Zodiacal light model subtracted")
        return image


def _lazy(header: fits.Header | LazyHeader | None) -> LazyHeader:
    return header if isinstance(header, LazyHeader) else LazyHeader(fits.Header() if header is None else header)


def _cut_plane(plane: Any, box: Box) -> Any:
    return plane if plane is None or plane is _DERIVED else plane[box.slices]
