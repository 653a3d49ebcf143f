"""What `SpectralImage` inherits from `~astropy.nddata.CCDData`, for type checkers: astropy itself ships no types.

Without it they would take any name for an attribute of an image, misspelt ones too.
"""

from __future__ import annotations

__all__ = ("CCDDataInterface",)

from typing import Any

import numpy as np
from numpy.typing import NDArray


class CCDDataInterface:
    """Of `~astropy.nddata.CCDData` what `~spherex_butler.SpectralImage` does not define itself; never made."""

    shape: tuple[int, int]
    size: int
    ndim: int
    dtype: np.dtype[Any]

    _data: NDArray[Any]
    _flags: NDArray[Any] | None
    _unit: Any
    _uncertainty: Any

    def __init__(self, data: Any, **parts: Any) -> None:
        raise NotImplementedError

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        raise NotImplementedError
