"""The FITS form of a Level 2 spectral image, read and written: QR2, QR3 and archive cutouts.

======== ============ ======================== ==========================================
EXTNAME  HDU          QR2                      QR3
======== ============ ======================== ==========================================
PRIMARY  header only  VERSION, TELESCOP, …     the same
IMAGE    image        float32, MJy/sr          the same
FLAGS    image        int32                    int32, RICE_1 tiles of one row
VARIANCE image        float32, (MJy/sr)^2      the same
ZODI     image        float32, MJy/sr          the same
PSF      image cube   (zones, 101, 101)        EPSF instead: a table of 33 x 33 kernels
WCS-WAVE binary table one row, control points  the same
======== ============ ======================== ==========================================

HDUs are found by EXTNAME; any but IMAGE may be missing.
"""

from __future__ import annotations

__all__ = (
    "PLANES",
    "RECIPES",
    "Level2File",
    "Recipe",
    "checked_planes",
    "file_of_hdulist",
    "format_unit",
    "parse_unit",
    "to_hdulist",
    "write",
    "write_file",
)

import io
import os
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from ..errors import FormatError, ParameterError
from ..formats.fits.boxes import Box
from ..formats.fits.file import FitsFile
from ..formats.fits.lazy_header import LazyHeader
from ..formats.fits.tile_compression import tile_compressed
from ..formats.fits.units import read_unit_text
from .cutouts import requested_box
from .derived import DERIVED
from .geometry import celestial_wcs, describe_corners, frame_origin, replace_celestial
from .positions import Frame
from .psf import CUBE, TABLE, DeferredPSF, SpectralImagePSF, zones_are_swapped
from .read_ahead import read_ahead
from .wavelengths import EXTNAME as WAVELENGTHS
from .wavelengths import WavelengthTable

PLANES = ("FLAGS", "VARIANCE", "ZODI", CUBE, WAVELENGTHS)
"""The HDUs that an image may have besides IMAGE, in the order of the file; ``PSF`` stands for either form."""

Recipe: TypeAlias = Literal["none", "lossless", "archive"] | Mapping[str, str | None]
"""How to compress: a name in `RECIPES`, or what stands there for one."""

RECIPES: Mapping[str, Mapping[str, str | None]] = {
    "none": {"planes": None, "flags": None},
    "lossless": {"planes": "GZIP_2", "flags": "GZIP_2"},
    "archive": {"planes": None, "flags": "RICE_1"},
}
"""How each recipe compresses the float planes and the flags."""

_COMPRESSIONS = (None, "GZIP_1", "GZIP_2", "RICE_1", "HCOMPRESS_1")
_IMAGE_PLANES = ("FLAGS", "VARIANCE", "ZODI")
_UNIT_POWERS = {"IMAGE": 1, "VARIANCE": 2, "ZODI": 1}
_ALIASES = {TABLE: CUBE}


@lru_cache
def parse_unit(text: str | None) -> u.UnitBase:
    """Return the unit a ``BUNIT`` card names; a missing or empty one is dimensionless."""
    try:
        return read_unit_text(text or "")
    except (AttributeError, ArithmeticError, ValueError) as error:  # of a card that is no text, or an endless power
        raise FormatError(f"BUNIT is {text!r}; expected a unit: {error}") from None


def format_unit(unit: u.UnitBase) -> str:
    """Return a unit as ``BUNIT`` has it."""
    try:
        return str(unit.to_string("fits"))
    except ValueError as error:
        raise ParameterError(
            f"The unit {unit} cannot be written to FITS ({error}); use convert_unit_to first."
        ) from error


class Level2File:
    """A Level 2 file, or a cutout of it, whose parts are read when they are asked for.

    ``cutout`` is as for `.cutouts.cutout`, empty for the whole.  Each read of a
    remote file is a request: planes are then read ahead together, and an
    image's PSF is loaded when it is first used.
    """

    def __init__(self, file: FitsFile, cutout: Mapping[str, Any]) -> None:
        self._file = file
        self._remote = file.remote
        self._image = file["IMAGE"]
        if len(self._image.shape) != 2:
            raise FormatError(f"HDU 'IMAGE' has shape {self._image.shape}; expected two axes.")
        header = self._image.header
        bounds = Box.of_shape(self._image.shape, frame_origin(header))
        # Only a center on the sky needs it, and then the image has it at hand.
        self._wcs = celestial_wcs(header) if cutout.get("center") is not None else None
        box = requested_box(
            cutout,
            bounds=bounds,
            wcs=self._wcs,
            footprint=lambda: describe_corners(celestial_wcs(header), bounds.shape),
        )
        self.box = box or bounds
        """Where the image lies in the full frame."""
        self._own = box.shifted(-bounds.x_min, -bounds.y_min) if box else None

    @property
    def header(self) -> LazyHeader:
        """The IMAGE header."""
        return self.plane_header("IMAGE")

    @property
    def primary_header(self) -> LazyHeader:
        """The primary header."""
        return self._file["PRIMARY"].header

    @property
    def known_wcs(self) -> WCS | None:
        """Celestial WCS of the cutout, where its center needed one; `None` otherwise."""
        return None if self._wcs is None or self._own is None else self._wcs[self._own.slices]

    def plane_header(self, name: str) -> LazyHeader:
        """Return the header of one of the image planes."""
        header = self._file[name].header
        return header if self._own is None else header.cutout((self._own.x_min, self._own.y_min), self._own.shape)

    def plane(self, name: str) -> NDArray[Any]:
        """Return one of the image planes."""
        info = self._file[name]
        if info.shape != self._image.shape:
            raise FormatError(f"HDU {name!r} has shape {info.shape}; expected {self._image.shape}, the shape of IMAGE.")
        return self._file.image(info, self._own)

    def read_ahead(self, names: Collection[str]) -> None:
        """Read HDUs of a remote file in as few rounds of requests as possible, before they are asked for."""
        if self._remote:
            read_ahead(self._file, self._image, self._own, names, self.primary_header.get("VERSION"))

    def psf(self) -> SpectralImagePSF:
        """Return the PSF, in either form."""
        origin, frame = (self.box.x_min, self.box.y_min), Frame(self.box.shape, self.header)
        if (info := self._file.find(CUBE)) is not None:
            swapped = zones_are_swapped(self.primary_header.get("VERSION"))
            return SpectralImagePSF(self._file.image(info), info.header, origin=origin, swapped=swapped, frame=frame)
        info = self._file[TABLE]
        return SpectralImagePSF(self._file.table(info), info.header, origin=origin, frame=frame)

    def wavelengths(self) -> WavelengthTable:
        """Return the wavelength control points."""
        info = self._file.find_last(WAVELENGTHS) or self._file[WAVELENGTHS]
        return WavelengthTable.from_table(self._file.table(info), info.header)

    def parts(self, planes: str | Iterable[str] | None = None) -> dict[str, Any]:
        """Return the arguments that make a `~spherex_butler.SpectralImage` of some `PLANES`, by default of all."""
        chosen = self._present_planes() if planes is None else checked_planes(planes)
        self.read_ahead({"IMAGE", *chosen})
        names = [name for name in _IMAGE_PLANES if name in chosen]
        data, *arrays = self._planes(["IMAGE", *names])
        return {
            "data": data,
            "header": self.header,
            "primary_header": self.primary_header,
            "plane_headers": {name: self.plane_header(name) for name in names},
            "psf": self._psf_on_use() if CUBE in chosen else None,
            "wavelengths": self.wavelengths() if WAVELENGTHS in chosen else None,
            **{name.lower(): array for name, array in zip(names, arrays, strict=True)},
        }

    def _psf_on_use(self) -> SpectralImagePSF | DeferredPSF:
        if not self._remote:
            return self.psf()
        # Opened again, so as to keep nothing of what was read until then but the places of HDUs.
        return DeferredPSF(partial(_load_psf, self._file.reopened()), (self.box.x_min, self.box.y_min))

    def _planes(self, names: Sequence[str]) -> list[NDArray[Any]]:
        """Return several planes; whole ones of a local file are read on two cores."""
        if self._own is not None or self._remote or len(names) == 1:
            return [self.plane(name) for name in names]
        for name in names:
            self._file.find(name)  # HDUs are looked for by one thread
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(self.plane, names))

    def _present_planes(self) -> set[str]:
        if self._remote:
            # Of a remote file only the planes in front are looked for; walking to its end takes requests.
            self.read_ahead({"IMAGE", *PLANES})
            return {CUBE} | {name for name in PLANES if name != CUBE and self._file.find_last(name) is not None}
        self._file.check_complete()
        return {_ALIASES.get(info.name, info.name) for info in self._file.hdus()}


def _load_psf(file: FitsFile) -> SpectralImagePSF:
    return Level2File(file.reopened(), {}).psf()


def checked_planes(planes: str | Iterable[str]) -> set[str]:
    """Return the HDUs besides IMAGE that are named, in either case of letters."""
    names = {str(name).upper() for name in ([planes] if isinstance(planes, str) else planes)} - {"IMAGE"}
    known = {_ALIASES.get(name, name) for name in names}
    if unknown := sorted(known - set(PLANES)):
        raise ParameterError(f"planes names {', '.join(unknown)}; expected some of {', '.join(PLANES)}.")
    return known


def file_of_hdulist(hdulist: fits.HDUList) -> FitsFile:
    """Return HDUs in memory as an open file."""
    stream = io.BytesIO()
    hdulist.writeto(stream)
    content = np.frombuffer(stream.getbuffer(), dtype=np.uint8)

    def read_ranges(ranges: Sequence[tuple[int, int]]) -> list[Any]:
        return [content[start:stop].copy() for start, stop in ranges]

    return FitsFile(read_ranges, content.size, "the HDUList")


def to_hdulist(image: Any, recipe: Recipe = "none") -> fits.HDUList:
    """Return the HDUs of a Level 2 file, in the form the image came in.

    Parameters
    ----------
    recipe
        ``"none"``: no compression; ``"lossless"``: GZIP_2 for every plane;
        ``"archive"``: as in QR3, RICE_1 for the flags alone.  Or a mapping of
        ``"planes"`` and ``"flags"`` to astropy's name of their compression.

    Raises
    ------
    ParameterError
        Raised if there is no such recipe or compression, or if the FITS
        standard has no name for the image's unit.
    """
    compressions = _compressions(recipe)
    parts = image._parts()
    hdus = [fits.PrimaryHDU(header=parts["primary_header"].header.copy())]
    for name in ("IMAGE", *_IMAGE_PLANES):
        plane = parts["data" if name == "IMAGE" else name.lower()]
        if plane is not None:
            hdu = fits.ImageHDU(plane, header=_plane_header(name, parts), name=name)
            compression = compressions["flags" if name == "FLAGS" else "planes"]
            hdus.append(tile_compressed(hdu, {"compression": compression}))
    hdus += [table.to_hdu() for table in (parts["psf"], parts["wavelengths"]) if table is not None]
    return fits.HDUList(hdus)


def _plane_header(name: str, parts: Mapping[str, Any]) -> fits.Header:
    """Return the header of a plane as it is written: with the image's unit, and its WCS if one was assigned."""
    headers = {"IMAGE": parts["header"], **parts["plane_headers"]}
    header = headers[name].header.copy() if name in headers else fits.Header()
    unit_changed = parse_unit(parts["header"].get("BUNIT")) != parts["unit"]
    if name in _UNIT_POWERS and (unit_changed or (name != "IMAGE" and "BUNIT" not in header)):
        header["BUNIT"] = format_unit(parts["unit"] ** _UNIT_POWERS[name])
    if parts["wcs"] is not DERIVED:
        replace_celestial(header, parts["wcs"])
    return header


def _compressions(recipe: Recipe) -> Mapping[str, Any]:
    compressions = RECIPES.get(recipe) if isinstance(recipe, str) else recipe
    if not isinstance(compressions, Mapping) or set(compressions) != {"planes", "flags"}:
        raise ParameterError(
            f"There is no recipe {recipe!r}; known ones are {sorted(RECIPES)}, or give 'planes' and 'flags'."
        )
    if unknown := {str(name) for name in compressions.values()} - {str(name) for name in _COMPRESSIONS}:
        raise ParameterError(f"A recipe names the compression {unknown}; expected one of {_COMPRESSIONS}.")
    return compressions


def write(
    image: Any,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    recipe: Recipe = "lossless",
) -> None:
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
    write_file(to_hdulist(image, recipe), path, overwrite=overwrite)


def write_file(hdulist: fits.HDUList, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write HDUs to a local file, which appears whole or not at all.

    The file takes the place of a symbolic link that is overwritten; what the link pointed to stays.
    """
    target = Path(path)
    if os.path.lexists(target) and not overwrite:
        raise FileExistsError(f"{str(target)!r} exists; pass overwrite=True to replace it.")
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        # Made as open() makes any file, so that the umask decides who may read it.
        with temporary.open("wb") as stream:
            hdulist.writeto(stream)
        if overwrite:
            temporary.replace(target)
        else:
            os.link(temporary, target)  # leaves a file alone that took the name meanwhile
    finally:
        temporary.unlink(missing_ok=True)
