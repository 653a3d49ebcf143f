"""The archive's own ObsCore rows, and repositories that have their images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from archive_samples import IRIS, M31, sia_table
from astropy.table import Table, vstack
from lsst.daf.butler import Butler

from spherex_butler import make_repo
from spherex_butler.archive import ingest_archive_table


def archive_rows() -> dict[str, dict[str, Any]]:
    """Return the archive's rows by the name of the file, with the columns as they are in the CSV files."""
    rows = {}
    for path in (M31, IRIS):
        table = sia_table(path)
        for row in table.iterrows():
            values = dict(zip(table.colnames, row, strict=True))
            rows[values["access_url"].rpartition("/")[2]] = values
    return rows


def archive_table() -> Table:
    """Return all of these rows as one table."""
    return vstack([sia_table(M31), sia_table(IRIS)])


@contextmanager
def archive_repo(folder: Path, *, obscore: bool, **options: Any) -> Iterator[Butler]:
    """Open a new repository with these images."""
    with make_repo(folder, obscore=obscore, **options) as butler:
        for path in (M31, IRIS):
            assert ingest_archive_table(butler, path).failed == []
        yield butler
