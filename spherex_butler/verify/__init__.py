"""Checks whether a repository is whole: its images, calibrations, files and chains; and repairs that are safe.

Imports `..calibrations`, `..repository` and what those import.
"""

__all__ = ("Kind", "Repair", "RepositoryFinding", "RepositoryReport", "check_repository", "repair")

from ..lazy import public_names
from .check import check_repository
from .repairs import Repair, repair
from .report import Kind, RepositoryFinding, RepositoryReport

__dir__ = public_names(__name__)
