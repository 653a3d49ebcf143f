"""What tests of SPHEREx code need: files and a sky in the archive's format, made from nothing."""

from __future__ import annotations

from .frames import Level2Options
from .level2 import PlannedFile, level2_hdulist, plan_exposures, write_exposures, write_level2
from .sky import source_catalog, source_flux

__all__ = (
    "Level2Options",
    "PlannedFile",
    "level2_hdulist",
    "plan_exposures",
    "source_catalog",
    "source_flux",
    "write_exposures",
    "write_level2",
)
