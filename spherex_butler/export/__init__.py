"""Export into another repository: images with the calibrations valid for them, or everything.

Imports `..calibrations`, `..repository` and what those import.
"""

from ..lazy import public_names
from .everything import CopyReport, copy_repository
from .images import ExportReport, export_images

__all__ = ("CopyReport", "ExportReport", "copy_repository", "export_images")

__dir__ = public_names(__name__)
