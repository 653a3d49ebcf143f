"""Answers from the registry, without opening a file: which images saw what, and what a repository holds; and cutouts.

Imports `..calibrations`, `..repository` and what those import.
"""

__all__ = (
    "Coverage",
    "Cutouts",
    "Ephemeris",
    "FailedCutout",
    "RepositorySummary",
    "channel_counts",
    "coverage",
    "find_images",
    "get_cutouts",
    "observations",
    "read_table",
    "summary",
    "write_images",
)

from ..lazy import public_names
from .contents import RepositorySummary, summary
from .coverage import Coverage, coverage
from .cutout_report import Cutouts, FailedCutout
from .cutouts import get_cutouts
from .images import find_images
from .motion import Ephemeris
from .observations import observations
from .reading import read_table
from .wavelengths import channel_counts
from .writing import write_images

__dir__ = public_names(__name__)
