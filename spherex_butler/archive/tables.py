"""Archive tables to images that can be registered: read in batches, row by row, nothing changed and nothing asked.

Tables are files or astropy tables; `spherex_butler.archive.formats` says which files,
`spherex_butler.archive.layouts` which columns, `spherex_butler.archive.rows` what is checked.
"""

from __future__ import annotations

__all__ = (
    "ArchiveBatch",
    "ArchiveSummary",
    "ArchiveTable",
    "count_rows",
    "read_archive_table",
    "summarize_archive_table",
)

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from astropy.table import Table

from ..errors import FormatError, ParameterError, reason_of
from ..files.failures import FailedFile
from ..ingest.plan import PlannedFile
from ..repository.runs import chain_of
from .access import Access, make_access
from .formats import Damaged, MemoryTable, TableReader, open_table
from .layouts import find_layout
from .rows import DataLinkError, RowPlanner

ArchiveTable: TypeAlias = "Table | str | os.PathLike[str] | Iterable[Table]"
"""What is taken as an archive table: a table, the path of one, or tables one after the other."""


@dataclass(frozen=True, slots=True)
class ArchiveBatch:
    """What some rows of an archive table stand for.

    Parameters
    ----------
    planned
        Images that can be registered, in the order of the rows.
    failed
        Rows that are none, by their address or, where they have none, their number.
    """

    planned: list[PlannedFile] = field(default_factory=list)
    failed: list[FailedFile] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.planned) + len(self.failed)


def read_archive_table(
    table: ArchiveTable, *, access: str = "irsa", release: str | None = None, batch_size: int = 10_000
) -> Iterator[ArchiveBatch]:
    """Yield the images of an archive table, batch by batch.

    Parameters
    ----------
    table
        The path of a VOTable, CSV, ECSV or Parquet file, which is read in
        pieces; a table; or several tables one after the other.
    access
        Where the images are to be read: ``irsa``, at the address the table
        gives; ``aws``, in the archive's bucket; or what a copy of the
        archive's tree lies under, a folder or a ``file://``, ``s3://`` or
        ``https://`` URL.
    release
        The images' release; by default as their addresses tell.
    batch_size
        Rows in a batch.

    Raises
    ------
    FormatError
        Raised if the file is no table, has not the columns that are needed, or
        is an answer of DataLinks.
    ParameterError
        Raised if an option has no meaning, or there is nothing to read.
    """
    if batch_size < 1:
        raise ParameterError(f"batch_size={batch_size} holds nothing; expected at least 1.")
    if release is not None:
        chain_of(release)
    place = make_access(access)
    sources = _sources(table)
    return chain.from_iterable(_read(source, name, place, release, batch_size) for name, source in sources)


def count_rows(table: ArchiveTable) -> int | None:
    """Return how many rows there are to read, `None` where that is not known beforehand.

    Of text files the lines are counted, of others the number is read.
    """
    if isinstance(table, Table):
        return len(table)
    if isinstance(table, str | os.PathLike):
        return open_table(Path(table)).count()
    return sum(map(len, table)) if isinstance(table, Sequence) else None


def _sources(table: ArchiveTable) -> Iterator[tuple[str, TableReader]]:
    """Yield readers, and what messages call the tables."""
    if isinstance(table, str | os.PathLike):
        yield os.fspath(table), open_table(Path(table))
    elif isinstance(table, Table):
        yield "The table", MemoryTable(table)
    else:
        for number, one in enumerate(table, 1):
            if not isinstance(one, Table):
                raise ParameterError(
                    f"{one!r} is a {type(one).__name__}; expected an astropy Table, or one path alone."
                )
            yield f"Table {number}", MemoryTable(one)


def _read(
    source: TableReader, name: str, access: Access, release: str | None, batch_size: int
) -> Iterator[ArchiveBatch]:
    layout = find_layout(source.columns, name)
    planner = RowPlanner(layout, access, release)
    batch = ArchiveBatch()
    for number, row in enumerate(source.rows(layout.positions), 1):
        try:
            if isinstance(row, Damaged):
                raise FormatError(row.reason)  # noqa: TRY301  # one way for all that is wrong with a row
            batch.planned.append(planner.plan(row))
        except FormatError as error:
            if number == 1 and isinstance(error, DataLinkError):
                raise
            batch.failed.append(FailedFile(_label(planner, row, f"{name}, row {number}"), reason_of(error)))
        if len(batch) == batch_size:
            yield batch
            batch = ArchiveBatch()
    if len(batch):
        yield batch


def _label(planner: RowPlanner, row: Any, place: str) -> str:
    return place if isinstance(row, Damaged) else planner.address(row) or place


@dataclass(slots=True)
class ArchiveSummary:
    """What an archive table holds.

    Parameters
    ----------
    images
        Number of images by release and run.
    failed
        Rows that are no images.
    """

    images: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: list[FailedFile] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        runs = [f"{release} {run}: {number} images" for (release, run), number in sorted(self.images.items())]
        return "\n".join([*runs, f"{self.images.total()} images in {len(runs)} runs, {len(self.failed)} rows failed"])

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as what JSON can hold."""
        return {
            "images": [
                {"release": release, "run": run, "number": number}
                for (release, run), number in sorted(self.images.items())
            ],
            "failed": [{"uri": file.uri, "reason": file.reason} for file in self.failed],
        }


def summarize_archive_table(table: ArchiveTable, *, access: str = "irsa", release: str | None = None) -> ArchiveSummary:
    """Return what an archive table holds, as `read_archive_table` reads it; nothing is changed.

    Parameters
    ----------
    table, access, release
        As for `read_archive_table`.
    """
    summary = ArchiveSummary()
    for batch in read_archive_table(table, access=access, release=release):
        summary.images.update((file.release, file.name.run) for file in batch.planned)
        summary.failed += batch.failed
    return summary
