"""A set of images, the calibrations valid for them and all dimension records, into another repository."""

from __future__ import annotations

__all__ = ("ExportReport", "export_images")

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from typing import Any

from lsst.daf.butler import Butler, ButlerUserError, DatasetRef
from lsst.daf.butler.progress import Progress

from ..arguments import require_detectors, require_number
from ..constants import DATASET_TYPE, DEFAULT_COLLECTION, INSTRUMENT
from ..errors import ParameterError, reason_of
from ..repository.contention import retry
from ..repository.data_ids import is_key, with_keys
from ..repository.failures import told_as_repository_failures
from ..repository.image_refs import images_between
from ..repository.reports import FailedDataset, Report
from ..summaries import number_of
from .calibrations import UsedCalibrations, certify_as_in, ensure_path
from .transfer import ExportMode, Transfer, require_two


@dataclass(slots=True, kw_only=True, repr=False)
class ExportReport(Report[FailedDataset]):
    """What became of images and their calibrations.

    Parameters
    ----------
    failed
        Datasets and validity ranges that could not be exported, with reasons.
    warnings
        What was odd, but no obstacle.
    images, calibrations
        How many datasets are new in the target.
    images_there, calibrations_there
        How many it had already.
    certified
        How many validity ranges are new in the target.
    """

    images: int = 0
    images_there: int = 0
    calibrations: int = 0
    calibrations_there: int = 0
    certified: int = 0

    @property
    def done(self) -> int:
        """How many images, calibrations and ranges it tells of."""
        datasets = self.images + self.images_there + self.calibrations + self.calibrations_there
        return datasets + self.certified + len(self.failed)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        return (
            f"{number_of(self.images, 'image')} exported, {self.images_there} already there; "
            f"{number_of(self.calibrations, 'calibration')} "
            f"exported, {self.calibrations_there} already there; {self.certified} validity ranges certified; "
            f"{len(self.failed)} failed"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what JSON can hold."""
        return asdict(self)


@told_as_repository_failures(writes=True)
def export_images(
    source: Butler,
    target: Butler,
    *,
    where: str | None = None,
    collections: str | Iterable[str] = DEFAULT_COLLECTION,
    find_first: bool = True,
    transfer: ExportMode = "auto",
    calibrations: bool = True,
    dry_run: bool = False,
    batch_size: int = 1000,
    report: ExportReport | None = None,
    **data_id: Any,
) -> ExportReport:
    """Export Level 2 images to another repository.

    Parameters
    ----------
    source
        A SPHEREx repository, which may be read-only.
    target
        A writeable SPHEREx repository, as `~spherex_butler.make_repo` makes it.
    where
        Which images, as a Butler query expression; by default all.
    collections
        Where they are searched in the source.
    find_first
        Whether of several processings of an image only the first found is exported: the latest, in
        chains of releases.
    transfer
        How files come in: as for `.ingest_files`, but ``move``. By ``auto`` what the source keeps is linked if
        both are local, else copied, and files that the source only refers to stay where they are.
    calibrations
        Whether the calibrations that are valid for the images come along, in the calibration collections that
        are searched in the source: datasets, and whole validity ranges.
    dry_run
        Whether only to count.
    batch_size
        How many datasets are placed before they are registered, at most.
    report
        To be added to, so that it holds what was done also when the call is interrupted.
    **data_id
        Values of dimensions that restrict the images; an exposure may be an observation id, a detector ``"D3"``.

    Returns
    -------
    report
        What became of them. A dataset that cannot be exported does not keep the others out. If there are no such
        images, that is a failure.

    Raises
    ------
    ConfigurationError
        Raised if the target is read-only, or one of them no SPHEREx repository.
    ParameterError
        Raised if there is no such transfer mode, collection or detector, ``move`` is asked for, or the images cannot
        be searched so.

    Notes
    -----
    Dataset ids stay. Runs are in the chains of their releases in the target as in the source. A second call
    exports what is new, and finishes what was interrupted. Ranges are exported whole, so that later exports
    do not contradict earlier ones; outside of the exported images they may have gaps. Where the source was
    certified anew meanwhile, its ranges take the place of those of datasets that it has, too, and that are not
    valid then in it any more.
    """
    names = [collections] if isinstance(collections, str) else list(collections)
    require_number("batch_size", batch_size)
    report = ExportReport() if report is None else report
    transferred = Transfer(source, target, transfer, report.failed, dry_run=dry_run)
    used = UsedCalibrations(source, names) if calibrations else None
    search = _Search(source, names, where, _data_id(source, data_id), find_first=find_first)
    periods = search.planning_periods()
    if not periods:
        reason = f"No such image is in {', '.join(names)} of the source; 'butler spherex list' tells what is there."
        report.failed.append(FailedDataset(f"{DATASET_TYPE} {search.words}".rstrip(), reason))
    else:
        require_two(source, target)
    for period in Progress(__name__).wrap(periods, desc="Exporting planning periods", skip_scalar=False):
        refs = search.images(period)
        if used is not None:
            used.add_images(refs)
        for batch in _batches(refs, batch_size):
            new, there = transferred.transfer(batch)
            report.images += new
            report.images_there += there
    if used is not None:
        for batch in _batches(used.datasets, batch_size):
            new, there = transferred.transfer(batch)
            report.calibrations += new
            report.calibrations_there += there
        if not dry_run:
            retry(partial(ensure_path, source, target, used.path))
            report.certified = certify_as_in(source, target, used.ranges, report.failed)
    return report


def _data_id(source: Butler, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that restrict the images, as keys; refuse those that no image can have."""
    data_id = with_keys(source, {"instrument": INSTRUMENT, **given})
    for name, value in data_id.items():
        if name in source.dimensions.dimensions.names and not is_key(source, name, value):
            raise ParameterError(
                f"There is no {name} {value!r} in the source; 'butler query-dimension-records REPO {name}' lists them."
            )
    require_detectors([data_id["detector"]] if "detector" in data_id else ())
    return data_id


@dataclass(frozen=True, slots=True)
class _Search:
    """Which images are meant."""

    source: Butler
    collections: Sequence[str]
    where: str | None
    data_id: Mapping[str, Any]
    find_first: bool

    def planning_periods(self) -> list[str]:
        try:
            with self.source.query() as query:
                images = query.join_dataset_search(DATASET_TYPE, self.collections)
                found = images.where(*self._expression, **self.data_id).data_ids(["planning_period"])
                return sorted(str(data_id["planning_period"]) for data_id in found)
        except (ButlerUserError, LookupError) as error:
            why = reason_of(error).rstrip(".")
            raise ParameterError(
                f"{f'The images {self.words}'.rstrip()} cannot be searched in {', '.join(self.collections)}: {why}. "
                "Expected dimensions and collections of the source, and an expression such as 'detector IN (1, 4)'."
            ) from error

    def images(self, period: str) -> list[DatasetRef]:
        """Return the images of one planning period; several thousand.

        Without dimension records, as Butler leaves out images that lack one then.
        """
        with self.source.query() as query:
            ids = query.where(instrument=INSTRUMENT, planning_period=period).data_ids(["exposure"])
            between = images_between(query, {int(data_id["exposure"]) for data_id in ids})
            found = query.datasets(DATASET_TYPE, self.collections, find_first=self.find_first).where(between)
            return list(found.where(*self._expression, **{**self.data_id, "planning_period": period}))

    @property
    def words(self) -> str:
        """What was asked for."""
        given = [
            f"{name}={value}" for name, value in self.data_id.items() if (name, value) != ("instrument", INSTRUMENT)
        ]
        return " ".join([*given, *map(repr, self._expression)])

    @property
    def _expression(self) -> tuple[str, ...]:
        return () if self.where is None else (self.where,)


def _batches(refs: Iterable[DatasetRef], size: int) -> Iterable[list[DatasetRef]]:
    """Yield datasets of one type and run, not too many at once."""

    def group(ref: DatasetRef) -> tuple[str, str]:
        return ref.datasetType.name, ref.run

    for _, members in groupby(sorted(refs, key=group), key=group):
        batch = list(members)
        yield from (batch[start : start + size] for start in range(0, len(batch), size))
