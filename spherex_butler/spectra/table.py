"""The table of a spectrum: its columns, their units, and what they are measured in."""

from __future__ import annotations

__all__ = ("spectrum_table", "storable")

from collections.abc import Mapping
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table
from astropy.time import Time

from ..search.writing import times_as_text

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
    """Return a row for each image: what was measured, NaN where nothing was, and what is known of the image."""
    columns: dict[str, Any] = {"source": images["source"]}
    for name, unit in _MEASURED.items():
        nothing = 0 if name == "flags" else np.nan
        values = [measured[row][name] if row in measured else nothing for row in range(len(images))]
        numbers = np.array(values, np.int64 if name == "flags" else float)
        columns[name] = numbers if unit is None else numbers * unit
    for name in _OF_IMAGE:
        if name in images.colnames:  # those of one image in memory do not say where it was
            columns[name] = images[name]
    return QTable(columns, meta=dict(meta))


def storable(table: Table) -> QTable:
    """Return a table as a VOTable can hold it: times are text, UTC, which `~astropy.time.Time` takes."""
    found = QTable(table, copy=False)
    for name in table.colnames:
        if isinstance(table[name], Time):
            found.replace_column(name, times_as_text(table[name]))
    return found
