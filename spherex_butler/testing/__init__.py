"""What tests of SPHEREx code need: files and a sky in the archive's format, made from nothing.

Imports `..formats` and `..images`, and `..repository` for names that need Butler, which are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .calibrations import CALIBRATION_TYPES, calibration_tokens, write_calibration, write_calibrations
from .frames import Level2Options
from .level2 import PlannedFile, level2_hdulist, plan_exposures, write_exposures, write_level2
from .sky import source_catalog, source_flux
from .spectral_images import make_spectral_image

if TYPE_CHECKING:
    from .repository import assert_round_trip, temporary_repo

__all__ = (
    "CALIBRATION_TYPES",
    "Level2Options",
    "PlannedFile",
    "assert_round_trip",
    "calibration_tokens",
    "level2_hdulist",
    "make_spectral_image",
    "plan_exposures",
    "source_catalog",
    "source_flux",
    "temporary_repo",
    "write_calibration",
    "write_calibrations",
    "write_exposures",
    "write_level2",
)

if not TYPE_CHECKING:  # for which any name would be one of these
    __getattr__, __dir__ = lazy_names(__name__, {"assert_round_trip": "repository", "temporary_repo": "repository"})
