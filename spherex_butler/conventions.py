"""Names that are the same in every SPHEREx repository."""

__all__ = ("CALIBRATION_COLLECTION", "DEFAULT_COLLECTION", "INSTRUMENT")

INSTRUMENT = "SPHEREx"
"""The instrument."""

DEFAULT_COLLECTION = "SPHEREx/defaults"
"""The chain over all others."""

CALIBRATION_COLLECTION = "SPHEREx/calib"
"""Calibrations by validity."""
