"""Archive tables as images that can be registered, batch by batch, without a request."""

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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from astropy.table import Table

from ..arguments import require_number
from ..errors import ParameterError
from ..files.failures import FailedFile, FailingAlone
from ..ingest.plan import PlannedFile
from ..repository.reports import Report
from ..repository.runs import chain_of
from ..summaries import number_of
from .access import relocation
from .readers import MemoryTable, Row, TableReader, open_table, up_to_damage
from .rows import DataLinkError, RowPlanner

ArchiveTable: TypeAlias = "Table | str | os.PathLike[str] | Iterable[Table]"
"""An archive table: an astropy table, the path of a file, or several astropy tables."""


@dataclass(frozen=True, slots=True)
class ArchiveBatch:
    """Images of some rows of an archive table, in their order, and rows that are not images, by address or number."""

    planned: list[PlannedFile] = field(default_factory=list)
    failed: list[FailedFile] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.planned) + len(self.failed)


def read_archive_table(
    table: ArchiveTable,
    *,
    access: str = "irsa",
    allow_hosts: Iterable[str] = (),
    release: str | None = None,
    batch_size: int = 10_000,
) -> Iterator[ArchiveBatch]:
    """Yield the images of an archive table, batch by batch.

    ``table``, ``access``, ``allow_hosts`` and ``release`` are as for `spherex_butler.archive.ingest_archive_table`.
    """
    require_number("batch_size", batch_size)
    if release is not None:
        chain_of(release)
    relocate = relocation(access, allow_hosts)
    sources = _sources(table)
    return chain.from_iterable(_read(source, name, relocate, release, batch_size) for name, source in sources)


def count_rows(table: ArchiveTable) -> int | None:
    """Return the number of rows, `None` if only reading them would tell.

    In text files lines are counted; other files say the number.
    """
    if isinstance(table, Table):
        return len(table)
    if isinstance(table, str | os.PathLike):
        return open_table(Path(table)).count()
    return sum(map(len, table)) if isinstance(table, Sequence) else None


def _sources(table: ArchiveTable) -> Iterator[tuple[str, TableReader]]:
    """Yield the name of each table in messages, and its reader."""
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
    source: TableReader, name: str, relocate: Callable[[str], str], release: str | None, batch_size: int
) -> Iterator[ArchiveBatch]:
    planner = RowPlanner(source.columns, name, relocate, release)
    batch = ArchiveBatch()
    for number, row in enumerate(up_to_damage(source.rows(planner.positions)), 1):
        planned = _planned(planner, row, f"{name}, row {number}", first=number == 1)
        if isinstance(planned, FailedFile):
            batch.failed.append(planned)
        else:
            batch.planned.append(planned)
        if len(batch) == batch_size:
            yield batch
            batch = ArchiveBatch()
    if len(batch):
        yield batch


def _planned(planner: RowPlanner, row: Row, number: str, *, first: bool) -> PlannedFile | FailedFile:
    """Return the image of a row, or why it is none; DataLinks in the first row are an error, as they are in all."""
    address, failures = number, list[FailedFile]()

    def give_up(error: Exception) -> None:
        if first and isinstance(error, DataLinkError):
            raise error
        failures.append(FailedFile.by(address, error))

    with FailingAlone(give_up):
        if isinstance(row, Exception):
            raise row  # everything wrong with a row is handled alike
        address = planner.address(row) or number
        return planner.plan(row)
    return failures[0]


@dataclass(slots=True, kw_only=True, repr=False)
class ArchiveSummary(Report[FailedFile]):
    """What an archive table holds.

    ``images`` is the number of images by release and run.
    """

    images: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        runs = [f"{release} {run}: {number_of(n, 'image')}" for (release, run), n in sorted(self.images.items())]
        images, failed = number_of(self.images.total(), "image"), number_of(len(self.failed), "row")
        return "\n".join([*runs, f"{images} in {number_of(len(runs), 'run')}, {failed} failed"])

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as what JSON can hold."""
        images = [{"release": key[0], "run": key[1], "number": self.images[key]} for key in sorted(self.images)]
        return {"images": images, **Report.to_dict(self)}


def summarize_archive_table(
    table: ArchiveTable, *, access: str = "irsa", allow_hosts: Iterable[str] = (), release: str | None = None
) -> ArchiveSummary:
    """Return what an archive table holds; nothing is changed.

    Parameters
    ----------
    table, access, allow_hosts, release
        As for `spherex_butler.archive.ingest_archive_table`.
    """
    summary = ArchiveSummary()
    for batch in read_archive_table(table, access=access, allow_hosts=allow_hosts, release=release):
        summary.images.update((file.release, file.name.run) for file in batch.planned)
        summary.failed += batch.failed
        doubts = dict.fromkeys(file.doubt for file in batch.planned if file.doubt is not None)
        summary.warn(doubt for doubt in doubts if doubt not in summary.warnings)
    return summary
