"""A small object for each storage class of ours that datasets are put with, and whether two of them are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable, Table

from spherex_butler.testing import make_spectral_image

STORED: dict[str, Callable[[], Any]] = {
    "SpectralImage": lambda: make_spectral_image(detector=3, size=32),
    "CCDData": lambda: CCDData(np.arange(12.0).reshape(3, 4), unit="electron/s"),
    "HDUList": lambda: fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.arange(6.0).reshape(2, 3), name="IMAGE")]),
    "HDF5": lambda: {"group": {"numbers": np.arange(3), "name": "zodi"}},
    "HDF5Array": lambda: np.arange(6.0).reshape(2, 3),
    "HDF5Table": lambda: QTable({"flux": [1.5, 2.5] * u.mJy}),
    "NumpyArray": lambda: np.arange(4),
    "VOTable": lambda: Table({"flux": [1.5, 2.5]}),
    "VOQTable": lambda: QTable({"flux": [1.5, 2.5] * u.mJy}),
}
"""By the name of the storage class, what makes one."""


def numbers_in(stored: Any) -> np.ndarray:
    """Return the numbers of such an object, by which two are compared."""
    if isinstance(stored, dict):
        return np.asarray(stored["group"]["numbers"])
    if isinstance(stored, fits.HDUList):
        return np.asarray(stored["IMAGE"].data)
    if isinstance(stored, Table):
        return np.asarray(u.Quantity(stored["flux"]).value)
    return np.asarray(getattr(stored, "data", stored))
