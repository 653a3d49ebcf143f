"""Steps of pipelines on SPHEREx images, for `lsst.pipe.base`; ``spherex_butler/pipelines/`` puts them together.

Each task declares its inputs and outputs, and does its work in `run`, which takes and returns Python objects and needs
no repository. The work itself is that of `..images`, `..spectra` and `..plot`. Needs the extra ``pipelines``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_names, require_extra

require_extra("lsst.pipe.base", "pipelines", "Tasks")

if TYPE_CHECKING:
    from .apply_gains import ApplyGainsConfig, ApplyGainsTask
    from .forced_photometry import ForcedPhotometryConfig, ForcedPhotometryTask
    from .gather_spectra import GatherSpectraConfig, GatherSpectraTask
    from .lookups import look_up_inputs, previous_exposure
    from .mask_persistence import MaskPersistenceConfig, MaskPersistenceTask
    from .subtract_zodi import SubtractZodiConfig, SubtractZodiTask

__all__ = (
    "ApplyGainsConfig",
    "ApplyGainsTask",
    "ForcedPhotometryConfig",
    "ForcedPhotometryTask",
    "GatherSpectraConfig",
    "GatherSpectraTask",
    "MaskPersistenceConfig",
    "MaskPersistenceTask",
    "SubtractZodiConfig",
    "SubtractZodiTask",
    "look_up_inputs",
    "previous_exposure",
)

if not TYPE_CHECKING:  # for which any name would be one of these
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "ApplyGainsConfig": "apply_gains",
            "ApplyGainsTask": "apply_gains",
            "ForcedPhotometryConfig": "forced_photometry",
            "ForcedPhotometryTask": "forced_photometry",
            "GatherSpectraConfig": "gather_spectra",
            "GatherSpectraTask": "gather_spectra",
            "MaskPersistenceConfig": "mask_persistence",
            "MaskPersistenceTask": "mask_persistence",
            "SubtractZodiConfig": "subtract_zodi",
            "SubtractZodiTask": "subtract_zodi",
            "look_up_inputs": "lookups",
            "previous_exposure": "lookups",
        },
    )
