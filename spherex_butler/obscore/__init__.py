"""Images as the Virtual Observatory knows them: ObsCore records.

Imports `..search`, `..repository` and what those import.
"""

__all__ = ("export_obscore", "record_factory")

from ..lazy import public_names
from .export import export_obscore
from .factory import record_factory

__dir__ = public_names(__name__)
