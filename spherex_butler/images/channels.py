"""Where the spectral channels of each detector begin and end."""

from __future__ import annotations

__all__ = ("channel_edges",)

from functools import cache

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from ..constants import DETECTORS
from ..errors import ParameterError
from ..paths import config_path


def channel_edges(detector: int) -> NDArray[np.float64]:
    """Return where the channels of a detector begin, and where the last one ends, ascending, in µm; shape (18,).

    The shortest and longest wavelengths that the archive gives of neighbours overlap by rounding: they meet between.

    Raises
    ------
    ParameterError
        Raised if there is no such detector.
    """
    if detector not in DETECTORS:
        raise ParameterError(f"There is no detector {detector!r}; expected a number from 1 to {len(DETECTORS)}.")
    return _edges()[detector]


@cache
def _edges() -> dict[int, NDArray[np.float64]]:
    table = Table.read(f"{config_path()}/repository/channels.ecsv", format="ascii.ecsv")
    found = {}
    for detector in DETECTORS:
        channels = table[table["detector"] == detector]
        shortest, longest = (np.asarray(channels[name], float) for name in ("wavelength_min", "wavelength_max"))
        found[detector] = np.concatenate([shortest[:1], (shortest[1:] + longest[:-1]) / 2, longest[-1:]])
    return found
