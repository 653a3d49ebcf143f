"""The archive's image tables: read from files or queried from services, and their images registered where they are.

Imports `..ingest`, `..repository` and what those import; pyvo and pyarrow only where they are needed.
"""

__all__ = ("ArchiveTable", "ingest_archive_table", "query_adql", "query_sia", "query_tap", "summarize_archive_table")

from ..lazy import public_names
from .ingest import ingest_archive_table
from .query import query_adql, query_sia, query_tap
from .tables import ArchiveTable, summarize_archive_table

__dir__ = public_names(__name__)
