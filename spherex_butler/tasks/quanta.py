"""What tasks share: the dimensions of images, the calibrations valid for them, and the data ID of what is run."""

from __future__ import annotations

__all__ = ("IMAGE", "calibration_input", "quantum_data_id")

from lsst.daf.butler import DataCoordinate
from lsst.pipe.base import QuantumContext
from lsst.pipe.base import connectionTypes as connect

IMAGE = ("instrument", "exposure", "detector")
"""The dimensions of images."""


def calibration_input(name: str, doc: str) -> connect.PrerequisiteInput:
    """Return the connection to a calibration image of the detector, if one is valid for the image."""
    return connect.PrerequisiteInput(
        doc=doc,
        name=name,
        storageClass="CCDData",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        minimum=0,
    )


def quantum_data_id(context: QuantumContext) -> DataCoordinate:
    """Return the data ID of the quantum that is run."""
    data_id = context.quantum.dataId
    assert data_id is not None, "every quantum of a graph has one"  # noqa: S101 - for the type checker
    return data_id
