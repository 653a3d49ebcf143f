"""The spectral channels of all detectors, as the archive's one file of them has it.

The table is the real one; the map follows from the model of the wavelengths.
"""

from __future__ import annotations

__all__ = ("channel_hdus",)

from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

from ..formats.fits.boxes import Box
from ..paths import config_path
from .wavelengths import wavelength_model

_COLUMNS = {
    "DETECTOR": ("detector", "B", None),
    "SUBCHAN": ("id", "B", None),
    "WAVELENGTH": ("wavelength", "E", "um"),
    "WL_MIN": ("wavelength_min", "E", "um"),
    "WL_MAX": ("wavelength_max", "E", "um"),
    "R": ("resolving_power", "E", None),
    "R_STD": ("resolving_power_std", "E", None),
    "BANDWIDTH": ("bandwidth", "E", "um"),
}


def channel_hdus(box: Box) -> list[Any]:
    """Return CHANNEL_MAP, of a part of the full frame, and SPECTRAL_CHANNELS."""
    table = Table.read(f"{config_path()}/repository/channels.ecsv", format="ascii.ecsv")
    header = fits.Header([("DETECTOR", "ALL", "detector array identifier (1-6 or ALL)"), ("DETCOORD", "sky")])
    columns = [fits.Column(name, form, unit, array=table[of]) for name, (of, form, unit) in _COLUMNS.items()]
    return [
        fits.ImageHDU(_channel_map(table, box), header, name="CHANNEL_MAP"),
        fits.BinTableHDU.from_columns(columns, name="SPECTRAL_CHANNELS"),
    ]


def _channel_map(table: Table, box: Box) -> NDArray[np.uint8]:
    """Return the channel of every pixel, 1 to 17, 0 and 18 outside of them: the same for all detectors."""
    first = table[table["detector"] == 1]
    y, x = np.mgrid[box.slices]
    edges = np.append(first["wavelength_min"], first["wavelength_max"][-1])
    channel: NDArray[np.uint8] = np.searchsorted(edges, wavelength_model(1, x, y)).astype(np.uint8)
    return channel
