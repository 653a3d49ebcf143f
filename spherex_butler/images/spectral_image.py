"""`SpectralImage`: a Level 2 image in memory, every part consistent under cutouts and arithmetic."""

from __future__ import annotations

__all__ = ("SpectralImage",)

import uuid
from collections.abc import Iterable, Mapping
from copy import copy, deepcopy
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Self, Unpack

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, NDData, NDUncertainty, VarianceUncertainty
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from ..errors import FormatError, ParameterError
from ..formats.fits.boxes import Box
from ..formats.fits.file import open_local_fits
from . import arithmetic, cutouts, level2, representation
from .cutouts import CutoutOptions
from .derived import DERIVED, Default, Derived
from .flags import bit_mask, default_bad_flags, flagged, read_flag_definitions
from .geometry import celestial_wcs, frame_origin, sky_corners
from .headers import Header, ImageHeaders, card_text, read_calibrations
from .level2 import Level2File, file_of_hdulist, parse_unit
from .planes import Part, as_flags, as_mask, as_variance, fitting, loaded, of_type
from .positions import Bounds, Frame, Outside, inner_pixels, require_celestial, sky_pixels
from .psf import DeferredPSF, SpectralImagePSF
from .wavelengths import EXTNAME, WavelengthTable

if TYPE_CHECKING:
    from .ccddata_interface import CCDDataInterface as _CCDData
else:
    _CCDData = CCDData


class SpectralImage(_CCDData):
    """A SPHEREx spectral image: brightness, flags, variance, zodiacal light, PSF and wavelengths.

    Parameters
    ----------
    data
        Surface brightness, shape (rows, columns).
    unit
        Its unit; by default the header's ``BUNIT``.
    header, primary_header
        Headers of the IMAGE and the primary HDU.
    variance, flags, zodi
        Variance (square of ``unit``), flag bits and zodiacal-light model
        (``unit``), of the data's shape.
    psf
        Kernels of its zones.
    wavelengths
        Wavelength control points.
    plane_headers
        Headers of the FLAGS, VARIANCE and ZODI HDUs.  The FLAGS header defines
        the flags.
    bad_flags
        Names of the flags that spoil a pixel; by default all but `.flags.USABLE_FLAGS`.
    mask, wcs
        Used in place of the mask that follows from the flags and the WCS that
        follows from the header; `None` for an image without.

    Raises
    ------
    FormatError
        Raised if a plane has another shape than the data, or flags come
        without the header that defines them.

    Notes
    -----
    It is a `~astropy.nddata.CCDData`; ``uncertainty`` holds the variance and
    ``mask`` follows from the flags.  Mask, WCS and ``meta`` are computed on
    first use.  To ask for a part that was not loaded is an error, except for
    ``uncertainty`` and ``mask``, which are then `None` as in any CCDData.
    """

    _psf: SpectralImagePSF | DeferredPSF | None

    __module__ = "spherex_butler"  # under which storage classes and pickles name it

    def __init__(
        self,
        data: ArrayLike,
        *,
        unit: u.UnitBase | str | None = None,
        header: Header | None = None,
        primary_header: Header | None = None,
        variance: NDArray[Any] | None = None,
        flags: NDArray[Any] | None = None,
        zodi: NDArray[Any] | None = None,
        psf: SpectralImagePSF | DeferredPSF | None = None,
        wavelengths: WavelengthTable | None = None,
        plane_headers: Mapping[str, Header] | None = None,
        bad_flags: Iterable[str] | None = None,
        mask: NDArray[np.bool_] | Default | None = DERIVED,
        wcs: WCS | Default | None = DERIVED,
    ) -> None:
        if isinstance(data, NDData):
            raise ParameterError(
                f"A SpectralImage is not made from a {type(data).__name__}; pass its data, unit, variance, flags … "
                "one by one, or copy() a SpectralImage."
            )
        self._headers = ImageHeaders(header, primary_header, plane_headers or {})
        self._bad_flags = None if bad_flags is None else tuple(bad_flags)
        array = np.asanyarray(data)
        if unit is None and not isinstance(array, u.Quantity):
            unit = parse_unit(self._headers.facts.get("BUNIT"))
        super().__init__(
            array,
            unit=unit,
            uncertainty=None if variance is None else VarianceUncertainty(variance, copy=False),
            flags=flags,
            psf=psf,
            mask=None if mask is DERIVED else mask,
            wcs=None if wcs is DERIVED else wcs,
        )
        # NDData assigns what it was not given, too; a masked array gives a mask.
        if mask is DERIVED and self.mask is None:
            del self.mask
        if wcs is DERIVED:
            del self.wcs
        if self.data.ndim != 2:
            raise FormatError(f"IMAGE has shape {self.data.shape}; expected two axes.")
        self._zodi = fitting("ZODI", zodi, self.data.shape)
        self._wavelengths = wavelengths

    @classmethod
    def read(
        cls, path: str | PathLike[str], *, planes: str | Iterable[str] | None = None, **cutout: Unpack[CutoutOptions]
    ) -> Self:
        """Return the image in a Level 2 file, of either release, or in an archive cutout of one.

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
        """Return the image in an open Level 2 file, with the planes named or all that are there."""
        image = cls(**file.parts(planes))
        if (wcs := file.known_wcs) is not None:
            cls.wcs.keep(image, wcs)
        return image

    to_hdulist = to_hdu = level2.to_hdulist
    write = level2.write

    # The planes.

    @property
    def data(self) -> NDArray[Any]:
        """Surface brightness, in ``unit``; shape (rows, columns)."""
        return np.asarray(self._data)

    @data.setter
    def data(self, value: NDArray[Any]) -> None:
        array = np.asarray(value.to_value(self.unit) if isinstance(value, u.Quantity) else value)
        self._data = fitting("data", array, self.data.shape)

    @property
    def unit(self) -> u.UnitBase:
        """Unit of ``data`` and ``zodi``; ``variance`` is in its square.

        To assign another one changes no number; `convert_unit_to` converts.
        """
        return self._unit

    @unit.setter
    def unit(self, value: u.UnitBase | str) -> None:
        self._unit = u.Unit(value)
        if (kept := getattr(self, "_uncertainty", None)) is not None:
            self.uncertainty = VarianceUncertainty(kept.array, copy=False)

    @property
    def uncertainty(self) -> VarianceUncertainty | None:
        """The variance as astropy's class; an uncertainty of another kind is converted when it is assigned."""
        return self._uncertainty

    @uncertainty.setter
    def uncertainty(self, value: NDUncertainty | NDArray[Any] | None) -> None:
        given = None if value is None else as_variance(value, self.unit, self.data.shape)
        CCDData.uncertainty.fset(self, given)

    @property
    def variance(self) -> NDArray[Any]:
        """Variance, in the square of ``unit``."""
        return np.asarray(self._loaded("VARIANCE", self.uncertainty).array)

    @property
    def error(self) -> u.Quantity:
        """Standard deviation, in ``unit``, computed at each use.

        It is NaN where the variance is NaN or negative; ``mask`` tells which
        pixels to leave out.
        """
        with np.errstate(invalid="ignore"):
            return np.sqrt(self.variance) << self.unit

    @property
    def flags(self) -> NDArray[Any]:
        """Flag bits of each pixel; `flag_definitions` names them.

        The mask follows flags that are assigned, not flags changed in place.
        """
        return self._loaded("FLAGS", self._flags)

    @flags.setter
    def flags(self, value: NDArray[Any] | None) -> None:
        self._flags = as_flags(value, self.data.shape, defined="FLAGS" in self._headers.planes)
        type(self).mask.forget(self)

    @property
    def flag_definitions(self) -> dict[str, int]:
        """Bit number of each flag, as the file defines them."""
        return read_flag_definitions(self._loaded("FLAGS", self._headers.planes.get("FLAGS")).header)

    @property
    def bad_flags(self) -> tuple[str, ...]:
        """Names of the flags that spoil a pixel, and that ``mask`` follows from; none if no flags were loaded."""
        if self._flags is None:
            return ()
        return default_bad_flags(self.flag_definitions) if self._bad_flags is None else self._bad_flags

    @Derived.checked(lambda image, mask: as_mask(mask, image.data.shape))
    def mask(self) -> NDArray[np.bool_] | None:
        """Pixels that one of the bad flags spoils; `None` if no flags were loaded."""
        return None if self._flags is None else flagged(self._flags, self.flag_definitions, self._bad_flags)

    def with_mask(self, *, bad: Iterable[str]) -> Self:
        """Return the image with a mask of other flags.

        Parameters
        ----------
        bad
            Names of the flags that spoil a pixel.

        Raises
        ------
        ParameterError
            Raised if a name is not among `flag_definitions`.
        """
        names = (bad,) if isinstance(bad, str) else tuple(bad)
        bit_mask(self.flag_definitions, names)
        return self._with_parts(bad_flags=names, mask=DERIVED)

    @property
    def zodi(self) -> NDArray[Any]:
        """Model of the zodiacal light that is still in ``data``, in ``unit``."""
        return self._loaded("ZODI", self._zodi)

    @property
    def psf(self) -> SpectralImagePSF:
        """Kernels of the PSF zones."""
        if isinstance(self._psf, DeferredPSF):
            self._psf = self._psf.loaded()
        psf = self._loaded("PSF", self._psf)
        assigned = type(self).wcs.assigned(self)
        if psf.frame is None or psf.frame.assigned_wcs is not assigned:
            psf.frame = Frame(self.data.shape, self._headers.facts, assigned)
        return psf

    @psf.setter
    def psf(self, value: SpectralImagePSF | DeferredPSF | None) -> None:
        self._psf = of_type("psf", value, SpectralImagePSF, DeferredPSF)
        if isinstance(value, SpectralImagePSF):
            # One of its own, which shares the kernels: what is inside, and where on the sky, depends on the image.
            self._psf = copy(value)
            self._psf.frame = None

    @property
    def wavelength_table(self) -> WavelengthTable:
        """Control points of wavelength and bandwidth."""
        return self._loaded(EXTNAME, self._wavelengths)

    def _loaded(self, hdu: str, part: Part | None) -> Part:
        return loaded(hdu, part, in_memory=self.obs_id is None)

    # The headers.

    @property
    def meta(self) -> fits.Header:
        """The IMAGE header, and the cards that only the primary header has; change this one to change either."""
        return self._headers.meta

    @meta.setter
    def meta(self, value: Any) -> None:
        if value is not None:
            self._headers.meta = value if isinstance(value, fits.Header) else fits.Header(value)

    header = meta

    @property
    def image_header(self) -> fits.Header:
        """A copy of the IMAGE header; change ``meta`` to change it."""
        return self._headers.image.header.copy()

    @property
    def primary_header(self) -> fits.Header:
        """A copy of the primary header; change ``meta`` to change the cards that only it has."""
        return self._headers.primary.header.copy()

    @property
    def obs_id(self) -> str | None:
        """Observation id, such as ``2025W51_1A_0684_2``; `None` if the header lacks it."""
        return card_text(self._headers.facts, "OBSID")

    @property
    def detector(self) -> int | None:
        """Detector number, 1 to 6; `None` if the header lacks it."""
        detector = self._headers.facts.get("DETECTOR")
        return None if detector is None else int(detector)

    @property
    def version(self) -> str | None:
        """Version of the pipeline that made the image; `None` if the primary header lacks it."""
        return card_text(self._headers.primary, "VERSION")

    @property
    def calibrations(self) -> dict[str, uuid.UUID]:
        """Butler id of each calibration used, by dataset type, from the ``HISTORY [CALIB]`` cards."""
        return read_calibrations(self._headers.facts.header)

    # The pixels' places.

    @property
    def origin(self) -> tuple[int, int]:
        """Full-frame pixel (x, y) of the image's first pixel, from the alternate WCS ``A``."""
        return frame_origin(self._headers.facts)

    @property
    def box(self) -> Box:
        """Where the image lies in the full frame."""
        return Box.of_shape(self.data.shape, self.origin)

    @Derived.checked(lambda _, wcs: of_type("wcs", wcs, WCS))
    def wcs(self) -> WCS | None:
        """Celestial WCS with SIP, in the image's own pixels; `None` if the header describes none.

        A WCS that is assigned is written in place of the header's.
        """
        return celestial_wcs(self._headers.facts)

    @property
    def footprint(self) -> SkyCoord:
        """Outer corners of the image on the sky: (x, y) lower left, lower right, upper right, upper left."""
        return sky_corners(self.wcs, self.data.shape)

    @property
    def spectral_wcs(self) -> WCS:
        """Alternate WCS ``W``: the image's own pixels to wavelength and bandwidth."""
        return self.wavelength_table.wcs(self._headers.facts)

    @property
    def wavelength(self) -> u.Quantity:
        """Central wavelength of each pixel, in µm, computed at each use."""
        return self.wavelength_table.grid(self.box, 0) << u.um

    @property
    def bandwidth(self) -> u.Quantity:
        """Bandwidth of each pixel, in µm, computed at each use."""
        return self.wavelength_table.grid(self.box, 1) << u.um

    def wavelength_at(
        self, x: ArrayLike | SkyCoord, y: ArrayLike | None = None, *, outside: Outside = "raise"
    ) -> u.Quantity:
        """Return the central wavelength at positions in the image.

        Parameters
        ----------
        x, y
            The image's own 0-based pixels, as its ``wcs`` has them, which
            broadcast; or a SkyCoord alone, of one position or many.
        outside
            Of positions outside the image, ``"raise"`` refuses them and
            ``"nan"`` gives NaN.  Inside are its own pixels, from the outer
            edges of the first to those of the last; a cutout does not know
            what is around it, so that full-frame pixels are not taken for its own.

        Returns
        -------
        wavelength
            In µm, of the positions' shape.

        Raises
        ------
        ParameterError
            Raised if a position is outside the image, or a SkyCoord is given and the image has no WCS.
        """
        return self._spectral_at(x, y, outside)[0] << u.um

    def bandwidth_at(
        self, x: ArrayLike | SkyCoord, y: ArrayLike | None = None, *, outside: Outside = "raise"
    ) -> u.Quantity:
        """Return the bandwidth at positions in the image, in µm; see `wavelength_at`."""
        return self._spectral_at(x, y, outside)[1] << u.um

    def _spectral_at(
        self, x: ArrayLike | SkyCoord, y: ArrayLike | None, outside: Outside
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        def to_pixels(position: SkyCoord) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            wcs = require_celestial(self.wcs, "A position on the sky", "pixels")
            return sky_pixels(position, self.data.shape, wcs)

        bounds = Bounds.of_image(self.data.shape, self.origin)
        px, py = inner_pixels(x, y, bounds=bounds, to_pixels=to_pixels, outside=outside)
        return self.wavelength_table.interpolated(px + self.origin[0], py + self.origin[1])

    add = arithmetic.add
    subtract = arithmetic.subtract
    multiply = arithmetic.multiply
    divide = arithmetic.divide
    sum = arithmetic.sum_of
    mean = arithmetic.mean_of
    min = arithmetic.min_of
    max = arithmetic.max_of
    convert_unit_to = arithmetic.convert_unit_to
    subtract_zodi = arithmetic.subtract_zodi
    to_ccddata = arithmetic.to_ccddata

    # Parts and copies.

    cutout = cutouts.cutout

    def __getitem__(self, item: Any) -> Self:
        return cutouts.part(self, cutouts.sliced_box(item, self.data.shape))

    def _parts(self) -> dict[str, Any]:
        """Return the arguments that make this image again."""
        return {
            "data": self.data,
            "unit": self.unit,
            "header": self._headers.image,
            "primary_header": self._headers.primary,
            "variance": None if self.uncertainty is None else self.variance,
            "flags": self._flags,
            "zodi": self._zodi,
            "psf": self._psf,
            "wavelengths": self._wavelengths,
            "plane_headers": self._headers.planes,
            "bad_flags": self._bad_flags,
            "mask": type(self).mask.assigned(self),
            "wcs": type(self).wcs.assigned(self),
        }

    def _with_parts(self, **changes: Any) -> Self:
        """Return a new image of the same parts, except for those given."""
        return type(self)(**{**self._parts(), **changes})

    __repr__ = __str__ = representation.one_line
    _repr_html_ = representation.as_html

    def copy(self) -> Self:
        """Return an image that shares nothing with this one."""
        return deepcopy(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (type(self), self._parts())


def _made(cls: type[SpectralImage], parts: dict[str, Any]) -> SpectralImage:
    return cls(**parts)
