"""Whether a repository is whole: images, calibrations, files and chains looked at, and what can be repaired safely."""

__all__ = ("Kind", "Repair", "RepositoryFinding", "RepositoryReport", "check_repository", "repair")

from .check import check_repository
from .repairs import Repair, repair
from .report import Kind, RepositoryFinding, RepositoryReport
