"""What callers give as an image, refused before anything is done with it."""

from __future__ import annotations

__all__ = ("require_spectral_image",)

from ..errors import ParameterError
from .spectral_image import SpectralImage


def require_spectral_image(image: object) -> None:
    """Refuse what is no `SpectralImage`, such as a path, an array or another CCDData.

    Raises
    ------
    ParameterError
        Raised if it is refused.
    """
    if not isinstance(image, SpectralImage):
        raise ParameterError(
            f"The image is a {type(image).__name__}; expected a SpectralImage, as butler.get('level2', …) or "
            "SpectralImage.read returns it."
        )
