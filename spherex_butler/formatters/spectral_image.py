"""`SpectralImageFormatter`: `~spherex_butler.SpectralImage` in the FITS format of `spherex_butler.images.level2`."""

from __future__ import annotations

__all__ = ("SpectralImageFormatter",)

from collections.abc import Callable, Mapping
from typing import Any

import astropy.units as u
from astropy.io import fits
from lsst.daf.butler import DatasetRef

from ..constants import INSTRUMENT
from ..errors import FormatError, ParameterError
from ..formats.fits.file import FitsFile
from ..images.flags import flagged, read_flag_definitions
from ..images.geometry import celestial_wcs, sky_corners
from ..images.headers import read_calibrations
from ..images.level2 import RECIPES, Level2File
from ..images.spectral_image import SpectralImage
from ..images.wavelengths import EXTNAME
from ..names import ObservationId
from .base import Reader
from .fits import FITSFormatter

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
    **dict.fromkeys(("wavelength", "bandwidth", "spectral_wcs"), (EXTNAME,)),
}
"""Which HDUs a component needs besides the IMAGE header, to be read ahead."""


def _open(file: FitsFile, parameters: Mapping[str, Any]) -> Level2File:
    cutout = {name: value for name, value in parameters.items() if name != "planes"}
    return Level2File(file, cutout)


def _read_image(file: FitsFile, parameters: Mapping[str, Any]) -> SpectralImage:
    return SpectralImage.from_level2(_open(file, parameters), parameters.get("planes"))


def _component(name: str) -> Reader:
    def read(file: FitsFile, parameters: Mapping[str, Any]) -> Any:
        level2 = _open(file, parameters)
        level2.read_ahead(_NEEDS.get(name, ()))
        return _COMPONENTS[name](level2)

    return read


_READERS: Mapping[str | None, Reader] = {None: _read_image, **{name: _component(name) for name in _COMPONENTS}}


def _other_image(ref: DatasetRef, obs_id: Any, detector: Any) -> str | None:
    """Say what header and data ID disagree about, `None` if they agree or have nothing to compare.

    Data IDs of other instruments number exposures in their own way.  What a
    pipeline makes of an image keeps its header, and is of the same exposure.
    """
    data_id = ref.dataId.required
    if data_id.get("instrument") != INSTRUMENT:
        return None
    said = {"exposure": _exposure_id(obs_id), "detector": detector}
    if all(said[name] in {None, data_id.get(name, said[name])} for name in said):
        return None
    wanted = ", ".join(f"{name} {data_id[name]}" for name in said if name in data_id)
    return f"header says OBSID {obs_id!r} and DETECTOR {detector!r}, but the dataset is of {wanted}"


def _exposure_id(obs_id: Any) -> int | None:
    try:
        return ObservationId.parse(str(obs_id).strip()).exposure_id
    except FormatError:
        return None


class SpectralImageFormatter(FITSFormatter):
    """Reads and writes Level 2 files, whole, in part, or one component at a time.

    In the data IDs of SPHEREx, exposure and detector have to be those of the
    header: an image of another is neither written nor read.
    """

    recipes = RECIPES
    default_recipe = "lossless"
    parameters = frozenset({"bbox", "center", "size", "mode", "planes"})
    readers = _READERS

    def read_part(self, file: FitsFile, component: str | None) -> Any:
        """Return the image or a component, if the file is of the dataset's exposure and detector.

        Raises
        ------
        FormatError
            Raised if it is of another.
        """
        image = file["IMAGE"]  # the first that is read of any part
        if other := _other_image(self.dataset_ref, image.value("OBSID"), image.value("DETECTOR")):
            raise FormatError(
                f"The file is of another image: its {other}. 'butler spherex verify REPO --headers' lists such files "
                "and says what to do. SpectralImage.read(path) reads the file as it is."
            )
        return super().read_part(file, component)

    def to_hdulist(self, dataset: SpectralImage) -> fits.HDUList:
        """Return the HDUs of an image, compressed as the recipe says.

        Raises
        ------
        ParameterError
            Raised if the image is of another exposure or detector than the dataset.
        """
        if other := _other_image(self.dataset_ref, dataset.obs_id, dataset.detector):
            raise ParameterError(
                f"The image is of another dataset: its {other}. Store it under the data ID of its own exposure and "
                "detector, or change OBSID and DETECTOR in its meta."
            )
        return dataset.to_hdulist(self.recipe)
