"""Names that are the same in every SPHEREx repository."""

__all__ = ("CALIBRATION_COLLECTION", "DATASET_TYPE", "DEFAULT_COLLECTION", "INSTRUMENT")

INSTRUMENT = "SPHEREx"
"""The instrument."""

DATASET_TYPE = "level2"
"""The dataset type of images."""

DEFAULT_COLLECTION = "SPHEREx/defaults"
"""The chain over all others."""

CALIBRATION_COLLECTION = "SPHEREx/calib"
"""Calibrations by validity."""
