"""`SpectralImage`: a Level 2 image in memory, every part consistent under cutouts and arithmetic."""

from __future__ import annotations

__all__ = ("SpectralImage",)

from collections.abc import Iterable, Mapping
from copy import deepcopy
from os import PathLike, fspath
from typing import Any, Self

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData, NDData, VarianceUncertainty
from numpy.typing import ArrayLike, NDArray

from ..errors import FormatError, ParameterError
from ..formats.fits.boxes import Box
from ..formats.fits.file import open_local_fits
from ..formats.fits.lazy_header import LazyHeader
from .arithmetic import ImageArithmetic
from .cutouts import requested_box
from .geometry import describe_corners, replace_celestial
from .level2 import Level2File, build_hdulist, file_of_hdulist, format_unit, parse_unit, recipe_options, write_file
from .psf import SpectralImagePSF
from .wavelengths import WavelengthTable


class SpectralImage(ImageArithmetic, CCDData):
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
        if isinstance(data, NDData):
            raise ParameterError(
                f"A SpectralImage is not made from a {type(data).__name__}; pass its data, unit, variance, flags … "
                "one by one, or copy() a SpectralImage."
            )
        array = np.asanyarray(data)
        if unit is None and not isinstance(array, u.Quantity):
            unit = parse_unit(self._headers["IMAGE"].get("BUNIT"))
        uncertainty = None if variance is None else VarianceUncertainty(variance, copy=False)
        CCDData.__init__(self, array, unit=unit, uncertainty=uncertainty, flags=flags)
        self._has_own_mask = self._own_mask is not None
        self._zodi = zodi
        self._wavelengths = wavelengths
        self.psf = psf
        if self.data.ndim != 2:
            raise FormatError(f"IMAGE has shape {self.data.shape}; expected two axes.")
        self._check_shape("ZODI", zodi)

    @classmethod
    def read(cls, path: str | PathLike[str], *, planes: str | Iterable[str] | None = None, **cutout: Any) -> Self:
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
        with open_local_fits(path, repr(fspath(path))) as file:
            return cls.from_level2(Level2File(file, cutout), planes)

    @classmethod
    def from_hdulist(cls, hdulist: fits.HDUList) -> Self:
        """Return the image in the HDUs of a Level 2 file."""
        return cls.from_level2(Level2File(file_of_hdulist(hdulist), {}))

    @classmethod
    def from_level2(cls, file: Level2File, planes: str | Iterable[str] | None = None) -> Self:
        """Return the image in a Level 2 file that is open, with all planes that are there or those named."""
        image = cls(**file.parts(planes))
        image._derived_wcs = file.known_wcs
        return image

    def to_hdulist(self, recipe: str | Mapping[str, Any] = "none") -> fits.HDUList:
        """Return the HDUs of a Level 2 file, in the form the image came in.

        Parameters
        ----------
        recipe
            ``"none"``: no compression; ``"lossless"``: GZIP_2 for every plane;
            ``"archive"``: as in QR3, RICE_1 for the flags alone.  Or the
            compressions themselves, of ``"planes"`` and of ``"flags"``.
        """
        options = recipe_options(recipe) if isinstance(recipe, str) else recipe
        return build_hdulist(self.primary_header, self.stored_planes(), self.stored_tables(), recipe=options)

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
        write_file(self.to_hdulist(recipe), path, overwrite=overwrite)

    def stored_planes(self) -> dict[str, tuple[NDArray[Any], fits.Header]]:
        """Return data and header of each plane as a file holds them, in the file's order."""
        unit_changed = parse_unit(self._image_facts.get("BUNIT")) != self.unit
        units = {"IMAGE": self.unit, "VARIANCE": self.unit**2, "ZODI": self.unit}
        arrays = {"IMAGE": self.data, "FLAGS": self._flags, "VARIANCE": self._variance_or_none, "ZODI": self._zodi}
        headers = self._current_headers()
        planes = {}
        for name, plane in arrays.items():
            if plane is None:
                continue
            header = headers[name].header.copy() if name in headers else fits.Header()
            if name in units and (unit_changed or (name != "IMAGE" and "BUNIT" not in header)):
                header["BUNIT"] = format_unit(units[name])
            if self._has_own_wcs:
                replace_celestial(header, self._own_wcs)
            planes[name] = (plane, header)
        return planes

    def stored_tables(self) -> list[SpectralImagePSF | WavelengthTable]:
        """Return the parts that follow the planes in a file."""
        return [part for part in (self._psf, self._wavelengths) if part is not None]

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
        planes = {name: header for name, header in self._current_headers().items() if name != "PRIMARY"}
        headers = {name: header.cutout(corner, own.shape) for name, header in planes.items()}
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
        image._own_wcs = None if self._own_wcs is None else self._own_wcs[own.slices]
        return image

    def _parts(self) -> dict[str, Any]:
        """Return the arguments that make this image again."""
        headers = self._current_headers()
        return {
            "data": self.data,
            "unit": self.unit,
            "header": headers.pop("IMAGE"),
            "primary_header": headers.pop("PRIMARY"),
            "variance": self._variance_or_none,
            "flags": self._flags,
            "zodi": self._zodi,
            "psf": self._psf,
            "wavelengths": self._wavelengths,
            "plane_headers": headers,
        }

    def _choices(self) -> dict[str, Any]:
        """Return what was set on this image and does not follow from its parts."""
        names = ("_bad_flags", "_own_mask", "_has_own_mask", "_own_wcs", "_has_own_wcs")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def _restored(cls, parts: dict[str, Any], choices: dict[str, Any]) -> Self:
        image = cls(**parts)
        for name, value in choices.items():
            setattr(image, name, value)
        return image

    def _rebuilt(self, **changes: Any) -> Self:
        """Return a new image of the same parts, except for those given."""
        return self._restored({**self._parts(), **changes}, self._choices())

    def copy(self) -> Self:
        """Return an independent image; nothing of it is shared with this one."""
        return deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self._restored(deepcopy(self._parts(), memo), deepcopy(self._choices(), memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._restored, (self._parts(), self._choices())


def _lazy(header: fits.Header | LazyHeader | None) -> LazyHeader:
    return header if isinstance(header, LazyHeader) else LazyHeader(fits.Header() if header is None else header)


def _cut_plane(plane: Any, box: Box) -> Any:
    return None if plane is None else plane[box.slices]
