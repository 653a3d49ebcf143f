"""The spectral channels of all detectors, as the archive's one file of them has it.

The table is the real one; the map follows from ``data/channel_contours.json``, fitted to the real one.
"""

from __future__ import annotations

__all__ = ("channel_hdus",)

import json
from importlib.resources import files
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from ..constants import CHANNELS
from ..formats.fits.boxes import Box
from ..paths import config_path

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
        fits.ImageHDU(_channel_map(box), header, name="CHANNEL_MAP"),
        fits.BinTableHDU.from_columns(columns, name="SPECTRAL_CHANNELS"),
    ]


def _channel_map(box: Box) -> NDArray[np.uint8]:
    """Return the channel of every pixel, 1 to 17, 0 and 18 outside of them: the same for all detectors."""
    model = json.loads((files(__package__) / "data" / "channel_contours.json").read_text(encoding="utf-8"))
    y, x = np.mgrid[box.slices]
    channel = np.floor((polynomial.polyval((x - 1019.5) / 1020, model["contour"]) - y) / model["pitch"]) + 1
    numbers: NDArray[np.uint8] = np.clip(channel, 0, CHANNELS + 1).astype(np.uint8)
    return numbers
