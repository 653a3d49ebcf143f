"""SPHEREx on the Rubin Data Butler.

What needs Butler is loaded on first use, because Butler takes a second to
import: names, flags and images are there without it.

More is in subpackages: `~spherex_butler.ingest` brings Level 2 files in,
`~spherex_butler.archive` the archive's tables, `~spherex_butler.calibrations`
calibrations, and says when they are valid.  `~spherex_butler.search` finds
images by what they show, `~spherex_butler.export` copies a set of them to
another repository, and `~spherex_butler.verify` checks and repairs
repositories.  `~spherex_butler.testing` writes simulated files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy import lazy_names

if TYPE_CHECKING:
    from .configuration.installation import install
    from .configuration.universe import dimension_config, extend_universe
    from .images.spectral_image import SpectralImage
    from .paths import config_path
    from .repository.creation import make_repo
    from .repository.instrument import register
    from .repository.opening import open_repo
    from .search import observations, summary

__all__ = (
    "SpectralImage",
    "__version__",
    "config_path",
    "dimension_config",
    "extend_universe",
    "install",
    "make_repo",
    "observations",
    "open_repo",
    "register",
    "summary",
)

__version__ = "0.1.0"

if not TYPE_CHECKING:  # for which any name would be one of these
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "SpectralImage": "images.spectral_image",
            "config_path": "paths",
            "dimension_config": "configuration.universe",
            "extend_universe": "configuration.universe",
            "install": "configuration.installation",
            "make_repo": "repository.creation",
            "observations": "search",
            "open_repo": "repository.opening",
            "register": "repository.instrument",
            "summary": "search",
        },
    )
