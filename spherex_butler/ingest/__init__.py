"""Level 2 files into a repository: found, described by their headers, placed and registered.

Imports `..repository` and what that imports.
"""

from ..files.failures import FailedFile
from ..repository.reports import IngestReport
from .execution import execute, ingest_files
from .plan import PlannedFile, plan_files
from .preview import IngestPreview, preview_ingest

__all__ = (
    "FailedFile",
    "IngestPreview",
    "IngestReport",
    "PlannedFile",
    "execute",
    "ingest_files",
    "plan_files",
    "preview_ingest",
)
