"""Pictures as files, made without pyplot and without a screen."""

from __future__ import annotations

__all__ = ("FORMATS", "write_picture")

import io
from pathlib import Path

from astropy.nddata import CCDData
from matplotlib.figure import Figure

from ..errors import ParameterError
from ..images.spectral_image import SpectralImage
from .image import SIZE, plot_image, projection_of
from .image_planes import as_spectral_image

FORMATS = (".png", ".svg", ".pdf")
"""The extensions of files that a picture can be written to."""

_DOTS = 150  # an inch; also for the pixels of the image in SVG and PDF, whose lines and text are drawn as such


def write_picture(image: SpectralImage | CCDData, path: Path) -> None:
    """Write the picture of an image, as `plot_image` draws it, to a file; one that is there is replaced.

    Raises
    ------
    ParameterError
        Raised if it is no image, or the file has another extension than `FORMATS`. Nothing is written then.
    """
    if (extension := path.suffix.lower()) not in FORMATS:
        raise ParameterError(f"{str(path)!r} has the extension {extension!r}; expected one of {', '.join(FORMATS)}.")
    figure = Figure(figsize=SIZE, layout="constrained")
    plot_image(image, ax=figure.add_subplot(**projection_of(as_spectral_image(image))))
    drawn = io.BytesIO()
    figure.savefig(drawn, format=extension.removeprefix("."), dpi=_DOTS)
    path.write_bytes(drawn.getvalue())
