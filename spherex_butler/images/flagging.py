"""One more flag on some pixels of an image."""

from __future__ import annotations

__all__ = ("with_flag",)

from typing import TypeVar

import numpy as np
from astropy.io.fits import Header
from numpy.typing import NDArray

from ..errors import ParameterError
from .spectral_image import SpectralImage

Image = TypeVar("Image", bound=SpectralImage)


def with_flag(image: Image, name: str, pixels: NDArray[np.bool_], meaning: str) -> Image:
    """Return an image in which some pixels have a flag besides those that they had.

    A flag that the image does not define gets the first free bit, and is defined as QR2 defines flags.

    Parameters
    ----------
    image
        An image or a cutout, with FLAGS.
    name
        The flag, such as ``"PERSIST"``.
    pixels
        Which pixels, of the shape of the image.
    meaning
        Of a new flag, in a few words, for the header.

    Raises
    ------
    ParameterError
        Raised if the image lacks the flag and all its bits are taken.
    """
    definitions = image.flag_definitions
    flags, headers = np.array(image.flags, np.int32), dict(image._parts()["plane_headers"])
    if name not in definitions:
        free = sorted(set(range(31)) - set(definitions.values()))
        if not free:
            raise ParameterError(f"All flag bits of the image are taken, and {name} needs one.")
        definitions = {name: free[0]}
        header: Header = headers["FLAGS"].header.copy()
        header[f"HIERARCH MP_{name}"] = (free[0], meaning)
        headers["FLAGS"] = header
    flags[pixels] |= np.int32(1 << definitions[name])
    return image._with_parts(flags=flags, plane_headers=headers)
