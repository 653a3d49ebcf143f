"""Level 2 files into a repository: found, described by their headers, placed and registered.

Imports `..repository` and what that imports.
"""

from ..files.failures import FailedFile
from ..lazy import public_names
from ..repository.reports import IngestReport
from .execution import execute, ingest_files
from .plan import PlannedFile
from .preview import IngestPreview, preview_ingest
from .reading_ahead import plan_files

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

__dir__ = public_names(__name__)
