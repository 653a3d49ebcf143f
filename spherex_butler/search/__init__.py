"""Answers from the registry, without opening a file: which observations there are, and what a repository holds.

Imports `..calibrations`, `..repository` and what those import.
"""

__all__ = ("RepositorySummary", "observations", "summary")

from ..lazy import public_names
from .contents import RepositorySummary, summary
from .observations import observations

__dir__ = public_names(__name__)
