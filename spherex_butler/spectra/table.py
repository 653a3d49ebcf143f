"""The table of a spectrum: its columns, their units, and what they are measured in."""

from __future__ import annotations

__all__ = ("spectrum_table",)

from collections.abc import Mapping
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

_MEASURED: Mapping[str, u.UnitBase | None] = {
    "wavelength": u.um,
    "bandwidth": u.um,
    "flux": u.Jy,
    "flux_error": u.Jy,
    "background": u.MJy / u.sr,
    "background_error": u.MJy / u.sr,
    "chi2": None,
    "masked_fraction": None,
    "flags": None,
    "x": u.pix,
    "y": u.pix,
}
"""What a measurement gives, and its unit."""

_OF_IMAGE = ("detector", "exposure", "obs_id", "time", "release", "run", "dataset_id")


def spectrum_table(images: Table, measured: Mapping[int, Mapping[str, Any]], meta: Mapping[str, str]) -> QTable:
    """Return a row for each image: what was measured, NaN where nothing was, and which image it is."""
    columns: dict[str, Any] = {"source": images["source"]}
    for name, unit in _MEASURED.items():
        nothing = 0 if name == "flags" else np.nan
        values = [measured[row][name] if row in measured else nothing for row in range(len(images))]
        numbers = np.array(values, np.int64 if name == "flags" else float)
        columns[name] = numbers if unit is None else numbers * unit
    for name in _OF_IMAGE:
        columns[name] = images[name]
    return QTable(columns, meta=dict(meta))
