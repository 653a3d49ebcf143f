"""What all tasks share: the dimensions of images, and the data ID of what is run."""

from __future__ import annotations

__all__ = ("IMAGE", "quantum_data_id")

from lsst.daf.butler import DataCoordinate
from lsst.pipe.base import QuantumContext

IMAGE = ("instrument", "exposure", "detector")
"""The dimensions of images."""


def quantum_data_id(context: QuantumContext) -> DataCoordinate:
    """Return the data ID of the quantum that is run."""
    data_id = context.quantum.dataId
    assert data_id is not None, "every quantum of a graph has one"  # noqa: S101 - for the type checker
    return data_id
