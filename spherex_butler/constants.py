"""Names that are the same in every SPHEREx repository."""

__all__ = (
    "CALIBRATION_COLLECTION",
    "CHANNELS",
    "DATASET_TYPE",
    "DEFAULT_COLLECTION",
    "DETECTORS",
    "FULL_FRAME",
    "INSTRUMENT",
    "REGION",
)

INSTRUMENT = "SPHEREx"
"""The instrument."""

DATASET_TYPE = "level2"
"""The dataset type of images."""

DEFAULT_COLLECTION = "SPHEREx/defaults"
"""The chain over all others."""

CALIBRATION_COLLECTION = "SPHEREx/calib"
"""Calibrations by validity."""

DETECTORS = range(1, 7)
"""Numbers of the detectors."""

FULL_FRAME = 2040
"""Pixels along each side of a detector."""

CHANNELS = 17
"""Spectral channels of a detector."""

REGION = "exposure_detector_region"
"""The dimension element of images' regions on the sky."""
