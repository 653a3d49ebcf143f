"""Pictures as files, made without pyplot and without a screen."""

from __future__ import annotations

__all__ = ("FORMATS", "write_picture", "write_spectrum_picture")

from pathlib import Path
from typing import Any

from astropy.nddata import CCDData
from astropy.table import Table
from matplotlib.figure import Figure

from ..errors import ParameterError
from ..files.placement import publish
from ..files.temporary import temporary_file
from ..images.spectral_image import SpectralImage
from .image import SIZE, plot_image, projection_of
from .image_planes import as_spectral_image
from .spectrum import SIZE as SPECTRUM_SIZE
from .spectrum import plot_spectrum

FORMATS = (".png", ".svg", ".pdf")
"""The extensions of files that a picture can be written to."""

_DOTS = 150  # an inch; also for the pixels of the image in SVG and PDF, whose lines and text are drawn as such


def write_picture(image: SpectralImage | CCDData, path: Path, *, overwrite: bool = False) -> None:
    """Write the picture of an image, as `plot_image` draws it, to a file.

    Raises
    ------
    FileExistsError
        Raised if the file is there and ``overwrite`` was not given.
    ParameterError
        Raised if it is no image, or the file has another extension than `FORMATS`. Nothing is written then.
    """
    _require_format(path)
    figure = Figure(figsize=SIZE, layout="constrained")
    plot_image(image, ax=figure.add_subplot(**projection_of(as_spectral_image(image))))
    _write(figure, path, overwrite=overwrite)


def write_spectrum_picture(table: Table, path: Path, *, overwrite: bool = False, **options: Any) -> None:
    """Write the picture of a spectrum, as `plot_spectrum` draws it with some options, to a file.

    Raises
    ------
    FileExistsError
        Raised if the file is there and ``overwrite`` was not given.
    ParameterError
        Raised if the table or an option makes no sense, or the file has another extension than `FORMATS`.
    """
    _require_format(path)
    figure = Figure(figsize=SPECTRUM_SIZE, layout="constrained")
    plot_spectrum(table, ax=figure.add_subplot(), **options)
    _write(figure, path, overwrite=overwrite)


def _require_format(path: Path) -> None:
    if (extension := path.suffix.lower()) not in FORMATS:
        raise ParameterError(f"{str(path)!r} has the extension {extension!r}; expected one of {', '.join(FORMATS)}.")


def _write(figure: Figure, path: Path, *, overwrite: bool) -> None:
    with temporary_file(path.parent) as temporary:
        figure.savefig(temporary, format=path.suffix.lower().removeprefix("."), dpi=_DOTS)
        try:
            publish(temporary, path, replace=overwrite)
        except FileExistsError:
            raise FileExistsError(f"{str(path)!r} exists; pass overwrite=True to replace it.") from None
