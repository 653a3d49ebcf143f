"""From a position to a spectrum: the flux of a source in every image that saw it.

Imports `..search`, `..calibrations`, `..repository` and what those import.
"""

__all__ = (
    "BAD_FLAGS",
    "Measurement",
    "Method",
    "apply_gains",
    "extract_spectra",
    "extract_spectrum",
    "measure",
    "measure_catalog",
    "put_catalog",
    "specutils_spectra",
    "tiles_of",
)

from ..images.gains import apply_gains
from ..lazy import public_names
from .extraction import extract_spectra, extract_spectrum
from .forced import measure_catalog
from .photometry import BAD_FLAGS, Measurement, Method, measure
from .specutils_spectra import specutils_spectra
from .tiles import put_catalog, tiles_of

__dir__ = public_names(__name__)
