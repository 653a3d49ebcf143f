"""`SpectralImageFormatter`: `~spherex_butler.SpectralImage` as a Level 2 FITS file.

The form of the file is that of `spherex_butler.images.level2`.
"""

from __future__ import annotations

__all__ = ("SpectralImageFormatter",)

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import astropy.units as u
from astropy.io import fits
from lsst.daf.butler import DatasetProvenance
from lsst.resources import ResourcePath

from ..formats.fits.file import FitsFile, local_ranges
from ..images.calibration_history import read_calibrations
from ..images.flags import flagged, read_flag_definitions
from ..images.geometry import celestial_wcs, sky_corners
from ..images.level2 import RECIPES, Level2File
from ..images.spectral_image import SpectralImage
from .base import RecipeFormatter
from .fits import add_provenance_cards

_COMPONENTS: Mapping[str, Callable[[Level2File], Any]] = {
    "image": lambda file: file.plane("IMAGE"),
    "variance": lambda file: file.plane("VARIANCE"),
    "flags": lambda file: file.plane("FLAGS"),
    "zodi": lambda file: file.plane("ZODI"),
    "mask": lambda file: flagged(file.plane("FLAGS"), read_flag_definitions(file.plane_header("FLAGS").header)),
    "wavelength": lambda file: file.wavelengths().grid(file.box, 0) << u.um,
    "bandwidth": lambda file: file.wavelengths().grid(file.box, 1) << u.um,
    "wcs": lambda file: celestial_wcs(file.header),
    "spectral_wcs": lambda file: file.wavelengths().wcs(file.header),
    "psf": lambda file: file.psf(),
    "header": lambda file: file.header.header,
    "primary_header": lambda file: file.primary_header.header,
    "flag_definitions": lambda file: read_flag_definitions(file.plane_header("FLAGS").header),
    "calibrations": lambda file: read_calibrations(file.header.header),
    "footprint": lambda file: sky_corners(celestial_wcs(file.header), file.box.shape),
    "origin": lambda file: [file.box.x_min, file.box.y_min],
    "shape": lambda file: list(file.box.shape),
}
"""How each component is read: what it needs of the file and no more."""

_NEEDS = {
    "image": ("IMAGE",),
    "variance": ("VARIANCE",),
    "flags": ("FLAGS",),
    "zodi": ("ZODI",),
    "mask": ("FLAGS",),
    **dict.fromkeys(("wavelength", "bandwidth", "spectral_wcs"), ("WCS-WAVE",)),
}
"""Which HDUs a component needs besides the IMAGE header, to be read ahead."""


class SpectralImageFormatter(RecipeFormatter):
    """Reads and writes Level 2 files, whole, in part, or one component at a time."""

    default_extension: ClassVar[str | None] = ".fits"
    supported_extensions = frozenset({".fits", ".fits.fz"})
    can_read_from_uri: ClassVar[bool] = True
    can_read_from_local_file: ClassVar[bool] = True
    recipes = RECIPES
    default_recipe = "lossless"

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """Read the image or one of its components from a local file."""
        with local_ranges(path) as (read_ranges, size):
            return self._read(Level2File(FitsFile(read_ranges, size), self._cutout), component)

    def read_from_uri(self, uri: ResourcePath, component: str | None = None, expected_size: int = -1) -> Any:
        """Read a part of a remote image by byte ranges; a whole image is left to Butler, which caches it."""
        if uri.isLocal:
            return self.read_from_local_file(uri.ospath, component, expected_size)
        if component is None and not self.read_parameters:
            return NotImplemented
        try:
            # Needs an extra, without which Butler's own download still works.
            from ..files.remote import NoRangesError, remote_ranges  # noqa: PLC0415
        except ImportError:
            return NotImplemented
        size = expected_size if expected_size > 0 else None
        try:
            file = FitsFile(remote_ranges(uri, size), size, repr(str(uri)))
            level2 = Level2File(file, self._cutout, remote=True)
            if component is not None:
                level2.read_ahead(_NEEDS.get(component, ()))
            return self._read(level2, component)
        except NoRangesError:
            return NotImplemented

    @property
    def _cutout(self) -> dict[str, Any]:
        return {name: value for name, value in self.read_parameters.items() if name != "planes"}

    def _read(self, file: Level2File, component: str | None) -> Any:
        if component is not None:
            return _COMPONENTS[component](file)
        return SpectralImage.from_level2(file, self.read_parameters.get("planes"))

    def add_provenance(
        self, in_memory_dataset: SpectralImage, /, *, provenance: DatasetProvenance | None = None
    ) -> fits.HDUList:
        """Return the HDUs to be written, with the dataset's provenance in the primary header."""
        hdus = in_memory_dataset.to_hdulist(self.recipe)
        add_provenance_cards(hdus[0].header, self.dataset_ref, provenance)
        return hdus

    def write_local_file(self, in_memory_dataset: fits.HDUList, uri: ResourcePath) -> None:
        """Write what `add_provenance` returned."""
        in_memory_dataset.writeto(uri.ospath)
