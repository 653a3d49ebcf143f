"""The PSF of images, read once for all that have the same one: it has 5 MB, a hundred times a cutout."""

from __future__ import annotations

__all__ = ("Kernels",)

import logging
from pathlib import Path

from lsst.daf.butler import Butler, DatasetRef

from ..errors import FormatError, ParameterError, reason_of
from ..images.psf import SpectralImagePSF, zones_are_swapped
from ..images.spectral_image import SpectralImage
from ..search.cutout_files import make_folder

_TYPES = ("epsf", "average_psf")
"""The calibrations that the PSF of an image is a copy of."""

_PLANE = "PSF"

_log = logging.getLogger(__name__)


class Kernels:
    """The PSFs of a repository's images.

    Images share one if their headers name the same calibration for it, or name none and are of the same release.

    Parameters
    ----------
    butler
        The repository.
    folder
        Where PSFs are kept as files, so that none is read again; by default they are kept in memory alone.

    Raises
    ------
    FolderError
        Raised if there cannot be such a folder.
    """

    def __init__(self, butler: Butler, folder: Path | None = None) -> None:
        if folder is not None:
            make_folder(folder)
        self._butler = butler
        self._folder = folder
        self._known: dict[str, SpectralImagePSF] = {}

    def attach(self, image: SpectralImage, ref: DatasetRef, release: str) -> None:
        """Give a cutout of a dataset the PSF that its file holds."""
        name = _name(image, release)
        if name not in self._known:
            self._known[name] = self._read(name, image, ref)
        shared = self._known[name]
        image.psf = SpectralImagePSF(shared.data, shared.header, origin=image.origin, swapped=shared.swapped)

    def _read(self, name: str, image: SpectralImage, ref: DatasetRef) -> SpectralImagePSF:
        path = None if self._folder is None else self._folder / f"{name}.fits"
        if path is not None and (kept := _kept(path)) is not None:
            return kept
        x, y = image.origin
        pixel = self._butler.get(ref, parameters={"planes": _PLANE, "bbox": (x, x + 1, y, y + 1)})
        if path is not None:
            pixel.write(path, overwrite=True)  # nobody else's: another process would write the same
        psf: SpectralImagePSF = pixel.psf
        return psf


def _kept(path: Path) -> SpectralImagePSF | None:
    """Return the PSF in a file; `None` if there is none or it is damaged, and is to be read again."""
    try:
        found: SpectralImagePSF | None = SpectralImage.read(path).psf if path.is_file() else None
    except (FormatError, ParameterError, OSError) as error:
        _log.warning("%s is damaged, and is read again: %s", path, reason_of(error))
        return None
    return found


def _name(image: SpectralImage, release: str) -> str:
    """Return what tells the PSF of an image from others."""
    used = image.calibrations
    origin = next((str(used[name]) for name in _TYPES if name in used), release or "unreleased")
    turned = "_zones-swapped" if release != "qr3" and zones_are_swapped(image.version) else ""
    return f"psf_D{image.detector}_{origin}{turned}"
