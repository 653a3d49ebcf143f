"""What tests of SPHEREx code need: files and a sky in the archive's format, made from nothing.

What needs Butler is loaded on first use, as in the package itself.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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

_OF_BUTLER = frozenset({"assert_round_trip", "temporary_repo"})


def __getattr__(name: str) -> Any:
    if name not in _OF_BUTLER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(".repository", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
