"""A whole repository into another one, with another database or another place for its files."""

from __future__ import annotations

__all__ = ("CopyReport", "copy_repository")

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from lsst.daf.butler import Butler, CollectionInfo, CollectionType, DatasetRef, DatasetType
from lsst.daf.butler.progress import Progress, ProgressBar
from lsst.utils.iteration import chunk_iterable

from ..arguments import require_number
from ..calibrations.queries import certifications
from ..constants import DETECTORS
from ..errors import ConfigurationError
from ..repository.butler_internals import MANY, fast_writing, lacks_statistics, update_statistics
from ..repository.contention import in_transaction, retry
from ..repository.failures import told_as_repository_failures
from ..repository.registration import known_ids
from ..repository.reports import FailedDataset, Report
from ..repository.runs import chain_members, register_run
from .calibrations import certify_as_in, merged
from .records import Records, exposure_records, insert_missing_records, of_exposures
from .transfer import ExportMode, Transfer, dataset_in, ensure_dataset_type, require_two


@dataclass(slots=True, kw_only=True, repr=False)
class CopyReport(Report[FailedDataset]):
    """What became of a repository that was copied.

    Parameters
    ----------
    failed
        Datasets and validity ranges that could not be copied, with reasons.
    warnings
        What was odd, but no obstacle.
    datasets
        How many datasets are new in the target.
    datasets_there
        How many it had already.
    records
        How many dimension records the source has; those that the target had already stay as they are.
    collections
        How many collections are new in the target.
    certified
        How many validity ranges are new in the target.
    """

    datasets: int = 0
    datasets_there: int = 0
    records: int = 0
    collections: int = 0
    certified: int = 0

    @property
    def done(self) -> int:
        """How many datasets, records, collections and ranges it tells of."""
        counts = self.datasets + self.datasets_there + self.records + self.collections + self.certified
        return counts + len(self.failed)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        return (
            f"{self.records} dimension records; {self.datasets} datasets copied, {self.datasets_there} already there; "
            f"{self.collections} new collections; {self.certified} validity ranges certified; {len(self.failed)} failed"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what JSON can hold."""
        return asdict(self)


@told_as_repository_failures(writes=True)
def copy_repository(
    source: Butler,
    target: Butler,
    *,
    transfer: ExportMode = "auto",
    dry_run: bool = False,
    batch_size: int = 1000,
    report: CopyReport | None = None,
) -> CopyReport:
    """Copy everything in a repository to another one: to another database, another place for the files, or both.

    Parameters
    ----------
    source
        A SPHEREx repository, which may be read-only.
    target
        A writeable SPHEREx repository, as `~spherex_butler.make_repo` makes it, whose universe has the dimensions of
        the source's.
    transfer
        How files come in, as for `export_images`. By ``auto`` what the source keeps is linked if both are local, else
        copied, and files that the source only refers to stay where they are.
    dry_run
        Whether only to count.
    batch_size
        How many datasets, or records, are registered in one transaction.
    report
        To be added to, so that it holds what was done also when the call is interrupted.

    Returns
    -------
    report
        What became of it. A dataset that cannot be copied does not keep the others out.

    Raises
    ------
    ConfigurationError
        Raised if the target is read-only or lacks a dimension, or one of them is no SPHEREx repository; of the type
        `.RepositoryError` if a database fails.
    ParameterError
        Raised if there is no such transfer mode, or ``move`` is asked for.

    Notes
    -----
    Dimension records, dataset types, datasets of all types with their ids, runs, tagged and calibration collections
    with validity ranges, and chains are in the target as they are in the source. A second call copies what is new, and
    finishes what was interrupted; collections that others make in the source during a call may have to wait for it.
    What only the target has stays; where the two differ, the target's dimension records and datasets stay, and
    differences of datasets are reported. A chain gets the order of the source, with the members that only the target
    has where they were.
    """
    require_number("batch_size", batch_size)
    report = CopyReport() if report is None else report
    transferred = Transfer(source, target, transfer, report.failed, dry_run=dry_run, with_records=False)
    require_two(source, target)
    _require_dimensions(source, target)
    copy = _Copy(source, target, report, batch_size, dry_run=dry_run)
    with nullcontext() if dry_run else fast_writing(target):
        copy.records()
        copy.collections()
        copy.datasets(transferred)
        if not dry_run:
            copy.tags()
            copy.validity()
            copy.chains()
    if not dry_run and (report.datasets >= MANY or (report.datasets and lacks_statistics(target))):
        update_statistics(target)
    return report


def _require_dimensions(source: Butler, target: Butler) -> None:
    missing = sorted(set(source.dimensions.elements.names) - set(target.dimensions.elements.names))
    if missing:
        raise ConfigurationError(
            f"The target's universe {target.dimensions} has no {', '.join(missing)}, which the source's "
            f"{source.dimensions} has; make the target with the same dimensions."
        )


@dataclass(frozen=True, slots=True)
class _Copy:
    """The steps of a copy, each of which can be repeated."""

    source: Butler
    target: Butler
    report: CopyReport
    batch_size: int
    dry_run: bool
    exposures: set[int] = field(default_factory=set)

    def records(self) -> None:
        """Insert dimension records that the target lacks: first those that belong to no exposure."""
        ours = of_exposures(self.source.dimensions)
        elements = [one for one in self.source.dimensions.elements if one.has_own_table and one.name not in ours]
        for element in elements:
            make = self.target.dimensions[element.name].RecordClass
            with self.source.query() as query:
                for some in chunk_iterable(query.dimension_records(element.name), self.batch_size):
                    records = [make(**record.toDict()) for record in some]
                    self._insert({element.name: {record.dataId.required_values: record for record in records}})
        exposures = self._all_exposures()
        progress: AbstractContextManager[ProgressBar[int]] = Progress(__name__).bar(
            desc="Copying exposures", total=len(exposures), skip_scalar=False
        )
        with progress as bar:
            for ids in chunk_iterable(exposures, max(1, self.batch_size // len(DETECTORS))):
                self._copy_exposures(ids)
                bar.update(len(ids))

    def _all_exposures(self) -> list[int]:
        with self.source.query() as query:
            return sorted(int(data_id["exposure"]) for data_id in query.data_ids(["exposure"]))

    def _copy_exposures(self, ids: Collection[int]) -> None:
        """Copy what the source says of exposures, unless that was done before."""
        if new := set(ids) - self.exposures:
            self._insert(exposure_records(self.source, self.target, new))
            self.exposures.update(new)

    def _insert(self, records: Records) -> None:
        self.report.records += sum(map(len, records.values()))
        if not self.dry_run:
            retry(partial(self._in_one, records))

    def _in_one(self, records: Records) -> None:
        with self.target.transaction():
            insert_missing_records(self.target, records)

    def collections(self) -> None:
        """Register dataset types and collections; what is in these comes later."""
        if not self.dry_run:
            for kind in self.source.registry.queryDatasetTypes():
                retry(partial(ensure_dataset_type, self.target, kind))
        there = set(self.target.collections.query("*"))
        for info in self.source.collections.query_info("*", include_doc=True):
            self.report.collections += info.name not in there
            if self.dry_run:
                continue
            if info.type is CollectionType.RUN:
                retry(partial(register_run, self.target, info.name, info.doc or None))
            else:
                retry(partial(self.target.collections.register, info.name, info.type, info.doc or None))

    def datasets(self, transferred: Transfer) -> None:
        """Transfer the datasets of all runs."""
        progress: AbstractContextManager[ProgressBar[DatasetRef]] = Progress(__name__).bar(
            desc="Copying datasets", total=self._number(), skip_scalar=False
        )
        with progress as bar:
            for _, refs in self._batches(self._infos(CollectionType.RUN, with_types=True)):
                # Of datasets that came in after the records were copied.
                self._copy_exposures([int(ref.dataId["exposure"]) for ref in refs if "exposure" in ref.dimensions])
                new, there = transferred.transfer(refs)
                self.report.datasets += new
                self.report.datasets_there += there
                bar.update(len(refs))

    def _number(self) -> int | None:
        if not Progress(__name__).is_enabled():
            return None
        number = 0
        for run, kind in self._parts(self._infos(CollectionType.RUN, with_types=True)):
            with self.source.query() as query:
                number += query.datasets(kind, [run], find_first=False).count()
        return number

    def _infos(self, of_type: CollectionType, *, with_types: bool = False) -> Sequence[CollectionInfo]:
        """Return what the source says of its collections of a type, with the types of their datasets if wanted."""
        return self.source.collections.query_info("*", of_type, include_summary=with_types)

    def _copied(self, infos: Iterable[CollectionInfo]) -> list[CollectionInfo]:
        """Return those that the target has: what came into the source meanwhile is for the next copy."""
        there = set(self.target.collections.query("*"))
        return [info for info in infos if info.name in there]

    def _parts(self, infos: Iterable[CollectionInfo]) -> Iterator[tuple[str, DatasetType]]:
        """Yield the names of collections, each with the types of the datasets in it."""
        for info in infos:
            yield from ((info.name, self.source.get_dataset_type(name)) for name in sorted(info.dataset_types or ()))

    def _batches(self, infos: Iterable[CollectionInfo]) -> Iterator[tuple[str, tuple[DatasetRef, ...]]]:
        """Yield what is in collections, some datasets of one type at a time."""
        for collection, kind in self._parts(infos):
            with self.source.query() as query:
                found = query.datasets(kind, [collection], find_first=False)
                yield from ((collection, some) for some in chunk_iterable(found, self.batch_size))

    def chains(self) -> None:
        """Give chains their members, in the order of the source."""
        for info in self._copied(self._infos(CollectionType.CHAINED)):
            in_transaction(self.target, partial(self._order, info))

    def _order(self, info: CollectionInfo) -> None:
        members = chain_members(self.target, info.name)
        there = set(self.target.collections.query("*"))
        theirs = [child for child in info.children if child in there]
        wanted = theirs if set(members) <= set(theirs) else merged(members, theirs)
        if tuple(wanted) != members:
            self.target.collections.redefine_chain(info.name, wanted)

    def tags(self) -> None:
        """Put datasets into the tagged collections that they are in."""
        for collection, refs in self._batches(self._copied(self._infos(CollectionType.TAGGED, with_types=True))):
            there = known_ids(self.target, refs)
            ours = [dataset_in(self.target, ref) for ref in refs if ref.id in there]
            retry(partial(self.target.registry.associate, collection, ours))

    def validity(self) -> None:
        """Certify calibrations as they are in the source."""
        for info in self._copied(self._infos(CollectionType.CALIBRATION)):
            ranges = certifications(self.source, collection=info.name)
            there = known_ids(self.target, [certified.ref for certified in ranges])
            copied = [certified for certified in ranges if certified.ref.id in there]
            self.report.certified += certify_as_in(self.source, self.target, copied, self.report.failed)
