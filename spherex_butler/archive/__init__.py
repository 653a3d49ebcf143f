"""The archive's image tables: read from files, asked of its services, and registered where the images are."""

__all__ = ("ArchiveTable", "ingest_archive_table", "query_adql", "query_sia", "query_tap", "summarize_archive_table")

from .ingest import ingest_archive_table
from .query import query_adql, query_sia, query_tap
from .tables import ArchiveTable, summarize_archive_table
