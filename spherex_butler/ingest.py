"""Files into a repository: each header read and checked, then exposures and datasets registered in batches."""

from __future__ import annotations

__all__ = ("FailedFile", "IngestReport", "PlannedFile", "execute", "ingest_files", "plan_files")

import glob
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from lsst.daf.butler import (
    Butler,
    DataCoordinate,
    DatasetIdFactory,
    DatasetIdGenEnum,
    DatasetRef,
    DatasetType,
    FileDataset,
)
from lsst.daf.butler.progress import Progress
from lsst.resources import ResourcePath
from sqlalchemy.exc import SQLAlchemyError

from .errors import FormatError, ParameterError, SpherexButlerError
from .exposures import INSTRUMENT, expanded_data_ids, insert_exposures
from .fits_io import FitsFile, RangeReader, local_ranges
from .headers import ImageDescription, describe_image
from .lazy_header import LazyHeader
from .names import ProductName, parse_product_name
from .placement import place, resolve_transfer
from .runs import chain_of, ensure_run, release_of

DATASET_TYPE = "level2"
_BATCH = 100  # files a transaction: registering is fast, and progress shows and survives

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that can be ingested.

    Parameters
    ----------
    uri
        Where it is.
    name
        Its name, in fields.
    release
        The release it belongs to.
    description
        What its headers say.
    size
        Its size in bytes, `None` for a remote file.
    """

    uri: str
    name: ProductName
    release: str
    description: ImageDescription
    size: int | None

    @property
    def data_id(self) -> dict[str, Any]:
        """Which image it is."""
        exposure = self.description.observation.exposure_id
        return {"instrument": INSTRUMENT, "exposure": exposure, "detector": self.description.detector}

    @property
    def warnings(self) -> list[str]:
        """What is odd about it, but no obstacle."""
        found, expected = self.description.expidn, self.description.expected_expidn
        if found == expected:
            return []
        return [f"{self.uri}: EXPIDN is {found}; {expected} was expected from OBSID and DETECTOR, and is used."]


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that cannot be ingested, and why.

    Parameters
    ----------
    uri
        Where it is.
    reason
        What was found and expected.
    """

    uri: str
    reason: str

    def __str__(self) -> str:
        return f"{self.uri}: {self.reason}"


@dataclass(slots=True)
class IngestReport:
    """What became of each file.

    Parameters
    ----------
    ingested
        Datasets that are new in the repository.
    skipped
        Datasets that were there already.
    failed
        Files that could not be ingested, with reasons.
    warnings
        What was odd about files that were ingested all the same.
    """

    ingested: list[DatasetRef] = field(default_factory=list)
    skipped: list[DatasetRef] = field(default_factory=list)
    failed: list[FailedFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        return f"{len(self.ingested)} ingested, {len(self.skipped)} already there, {len(self.failed)} failed"

    def __str__(self) -> str:
        return "\n".join([*self.warnings, *map(str, self.failed), self.summary])


def ingest_files(
    butler: Butler,
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str] | ResourcePath],
    *,
    transfer: str = "auto",
    processes: int = 1,
    release: str | None = None,
) -> IngestReport:
    """Ingest Level 2 files.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    paths
        Files, folders (searched for Level 2 files), globs, and ``https://``,
        ``http://`` or ``s3://`` URLs, of which only the headers are read.
    transfer
        How files come in: one of Butler's modes.  ``auto`` links local files
        and copies remote ones; ``direct`` leaves them where they are and keeps
        their absolute address.
    processes
        How many processes read headers.
    release
        The release the files belong to; by default as their path or
        processing version tells.

    Returns
    -------
    report
        What became of each file.  A file that cannot be ingested does not
        keep the others out.

    Raises
    ------
    ParameterError
        Raised if a mode, a release or a path does not exist at all.

    Notes
    -----
    Dataset ids follow from data ID, dataset type and run, so a second call
    skips what is there.  The first detector of an exposure to arrive decides
    its record; those of the others differ by a millisecond.
    """
    root = _datastore_root(butler)
    resolve_transfer(transfer, root, root)
    if release is not None:
        chain_of(release)
    planned, failed = plan_files(paths, processes=processes, release=release)
    report = execute(butler, planned, transfer=transfer)
    report.failed[:0] = failed
    return report


# Planning: no repository is needed, and nothing is changed.


def plan_files(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str] | ResourcePath],
    *,
    processes: int = 1,
    release: str | None = None,
) -> tuple[list[PlannedFile], list[FailedFile]]:
    """Read the headers of files.

    Parameters
    ----------
    paths, processes, release
        As for `ingest_files`.

    Returns
    -------
    planned, failed
        Files that can be ingested, in order of exposure and detector, and the others.
    """
    uris = list(dict.fromkeys(str(uri) for uri in _expand(paths)))
    progress = Progress(__name__)
    with _mapper(processes) as mapper:
        tasks = mapper(_plan_file, uris, [release] * len(uris))
        results = list(progress.wrap(tasks, total=len(uris), desc="Reading headers"))
    planned = [result for result in results if isinstance(result, PlannedFile)]
    planned.sort(key=lambda file: (file.name.run, file.data_id["exposure"], file.data_id["detector"]))
    return planned, [result for result in results if isinstance(result, FailedFile)]


@contextmanager
def _mapper(processes: int) -> Iterator[Callable[..., Iterator[Any]]]:
    if processes < 1:
        raise ParameterError(f"processes={processes} cannot read anything; expected at least 1.")
    if processes == 1:
        yield map
    else:
        with ProcessPoolExecutor(processes) as pool:
            yield lambda function, *columns: pool.map(function, *columns, chunksize=16)


def _expand(paths: Any) -> Iterator[ResourcePath]:
    """Yield the files that paths, folders and globs stand for, absolute."""
    for path in [paths] if isinstance(paths, (str, os.PathLike, ResourcePath)) else paths:
        text = str(path) if isinstance(path, ResourcePath) else os.fspath(path)
        uri = ResourcePath(text, forceAbsolute=True)
        if not uri.isLocal:
            yield uri
        elif Path(uri.ospath).is_dir():
            yield from map(ResourcePath, sorted(Path(uri.ospath).rglob(f"{DATASET_TYPE}_*.fits")))
        elif glob.has_magic(text) and not Path(uri.ospath).exists():
            anchor = Path(uri.ospath).anchor
            yield from map(ResourcePath, sorted(Path(anchor).glob(str(Path(uri.ospath).relative_to(anchor)))))
        else:
            yield uri


def _plan_file(uri: str, release: str | None) -> PlannedFile | FailedFile:
    try:
        name = parse_product_name(uri)
        if name.dataset_type != DATASET_TYPE or name.observation is None:
            raise FormatError(f"{str(name)!r} is a {name.dataset_type!r}; expected a {DATASET_TYPE!r} image.")
        with _ranges(ResourcePath(uri)) as (read_ranges, size):
            description = _describe(FitsFile(read_ranges, size, repr(uri)), complete=size is not None)
        _require_agreement(name, description)
        return PlannedFile(uri, name, release_of(name, uri, release), description, size)
    except (SpherexButlerError, OSError) as error:
        return FailedFile(uri, _reason(error))


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, SpherexButlerError) else f"{type(error).__name__}: {error}"


@contextmanager
def _ranges(uri: ResourcePath) -> Iterator[tuple[RangeReader, int | None]]:
    if uri.isLocal:
        with local_ranges(uri.ospath) as local:
            yield local
        return
    with uri.open("rb") as stream:

        def read_ranges(ranges: Sequence[tuple[int, int]]) -> list[Any]:
            return [_read_at(stream, start, stop) for start, stop in ranges]

        yield read_ranges, None


def _read_at(stream: Any, start: int, stop: int) -> bytes:
    stream.seek(start)
    data: bytes = stream.read(stop - start)
    return data


def _describe(file: FitsFile, *, complete: bool) -> ImageDescription:
    image = file["IMAGE"]
    if complete:
        file.check_complete()
    return describe_image(LazyHeader(image.text), image.shape)


def _require_agreement(name: ProductName, description: ImageDescription) -> None:
    said, found = (name.observation, name.detector), (description.observation, description.detector)
    if said != found:
        raise FormatError(
            f"The name says {said[0]} detector {said[1]}, the header {found[0]} detector {found[1]}; "
            "expected the same image."
        )


# Executing: a transaction a batch.


def execute(butler: Butler, planned: Sequence[PlannedFile], *, transfer: str = "auto") -> IngestReport:
    """Ingest planned files.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    planned
        What `plan_files` returned.
    transfer
        As for `ingest_files`.

    Returns
    -------
    report
        What became of each file.
    """
    report = IngestReport(warnings=[warning for file in planned for warning in file.warnings])
    for warning in report.warnings:
        _log.warning("%s", warning)
    dataset_type = butler.get_dataset_type(DATASET_TYPE)
    for batch in Progress(__name__).wrap(list(_batches(planned)), desc="Ingesting"):
        _ingest_batch(butler, dataset_type, batch, transfer, report)
    return report


def _batches(planned: Sequence[PlannedFile]) -> Iterator[list[PlannedFile]]:
    """Yield files of one run, not too many at once."""
    for _, group in groupby(planned, key=lambda file: file.name.run):
        files = list(group)
        yield from (files[start : start + _BATCH] for start in range(0, len(files), _BATCH))


def _ingest_batch(
    butler: Butler, dataset_type: DatasetType, batch: Sequence[PlannedFile], transfer: str, report: IngestReport
) -> None:
    """Ingest files of one run; where that fails each is tried alone, so that one does not keep the others out."""
    run = ensure_run(butler, batch[0].name, batch[0].release)
    known = _known_ids(butler, run, batch)
    new: dict[uuid.UUID, tuple[PlannedFile, DatasetRef]] = {}
    for file in batch:
        ref = _make_ref(butler, dataset_type, run, file)
        if ref.id in known:
            _report_known(butler, file, ref, report)
        elif ref.id in new:
            first = new[ref.id][0].uri
            report.failed.append(FailedFile(file.uri, f"{first!r} of the same call is the same image of the same run."))
        else:
            new[ref.id] = (file, ref)
    if not new:
        return
    try:
        _register(butler, list(new.values()), transfer)
    except (SpherexButlerError, OSError, RuntimeError, ValueError, SQLAlchemyError) as error:
        if len(new) == 1:
            ((file, _),) = new.values()
            report.failed.append(FailedFile(file.uri, _reason(error)))
        else:
            for file, _ in new.values():
                _ingest_batch(butler, dataset_type, [file], transfer, report)
    else:
        report.ingested.extend(ref for _, ref in new.values())


def _make_ref(butler: Butler, dataset_type: DatasetType, run: str, file: PlannedFile) -> DatasetRef:
    """Return the dataset a file becomes, its id made of data ID, dataset type and run."""
    data_id = DataCoordinate.standardize(file.data_id, universe=butler.dimensions)
    identifier = DatasetIdFactory().makeDatasetId(run, dataset_type, data_id, DatasetIdGenEnum.DATAID_TYPE_RUN)
    return DatasetRef(dataset_type, data_id, run=run, id=identifier)


def _known_ids(butler: Butler, run: str, batch: Sequence[PlannedFile]) -> set[uuid.UUID]:
    exposures = {file.data_id["exposure"] for file in batch}
    with butler.query() as query:
        wanted = query.expression_factory.exposure.in_iterable(exposures)
        found = query.datasets(DATASET_TYPE, collections=[run], find_first=False)
        return {ref.id for ref in found.where(wanted, instrument=INSTRUMENT)}


def _report_known(butler: Butler, file: PlannedFile, ref: DatasetRef, report: IngestReport) -> None:
    """Report a file whose dataset is in the repository: skipped, or failed if it is not the same file."""
    there = butler.getURI(ref)
    if file.size is not None and there.isLocal and there.size() != file.size:
        reason = f"the repository has {str(there)!r} for this image and run, of another size; nothing was changed."
        report.failed.append(FailedFile(file.uri, reason))
    else:
        report.skipped.append(ref)


def _register(butler: Butler, files: Sequence[tuple[PlannedFile, DatasetRef]], transfer: str) -> None:
    root = _datastore_root(butler)
    images = [file.description for file, _ in files]
    datasets: dict[str | None, list[FileDataset]] = {}
    moved: list[ResourcePath] = []
    with butler.transaction():
        insert_exposures(butler, images)
        data_ids = expanded_data_ids(butler, images)
        for file, plain in files:
            ref = plain.expanded(data_ids[file.description.observation.exposure_id, file.description.detector])
            uri = ResourcePath(file.uri)
            mode = resolve_transfer(transfer, uri, root)
            if mode not in {None, "direct"}:
                target = butler.getURI(ref, predict=True)
                place(uri, target, str(mode))
                moved.extend([uri] if mode == "move" else [])
                uri, mode = target, None
            datasets.setdefault(mode, []).append(FileDataset(uri, [ref]))
        for mode, group in datasets.items():
            butler.ingest(*group, transfer=mode, skip_existing=True)
    for source in moved:
        source.remove()


def _datastore_root(butler: Butler) -> ResourcePath:
    (root,) = butler.get_datastore_roots().values()
    if root is None:
        raise ParameterError("The repository's datastore has no root; expected one that keeps files.")
    return root
