"""Pictures: an image, a row of cutouts, the depth of the sky, the sampling of a position, and a spectrum.

Each function draws into the axes that it is given, and leaves pyplot alone; without, it makes a figure by pyplot. It
returns the axes. Needs matplotlib, the extra ``plot``. Imports `..images`, and `..search` for what that returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_names, require_extra

require_extra("matplotlib", "plot", "Pictures")

if TYPE_CHECKING:
    from .coverage import plot_coverage
    from .cutouts import plot_cutouts
    from .image import plot_image
    from .sampling import plot_sampling
    from .spectrum import plot_spectrum

__all__ = ("plot_coverage", "plot_cutouts", "plot_image", "plot_sampling", "plot_spectrum")

if not TYPE_CHECKING:  # for which any name would be one of these
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "plot_coverage": "coverage",
            "plot_cutouts": "cutouts",
            "plot_image": "image",
            "plot_sampling": "sampling",
            "plot_spectrum": "spectrum",
        },
    )
