"""Export: images, and the calibrations valid for them, into another repository.

Imports `..calibrations`, `..repository` and what those import.
"""

from ..lazy import public_names
from .images import ExportReport, export_images

__all__ = ("ExportReport", "export_images")

__dir__ = public_names(__name__)
