"""Rows that each have a number of partners, written out as pairs."""

from __future__ import annotations

__all__ = ("spread",)

import numpy as np
from numpy.typing import NDArray


def spread(counts: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the row of each pair, and its number among the pairs of that row, from how many pairs each row has."""
    row = np.repeat(np.arange(len(counts)), counts)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
