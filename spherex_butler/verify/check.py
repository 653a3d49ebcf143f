"""The check of a repository: chains, regions, calibrations and files."""

from __future__ import annotations

__all__ = ("Kind", "RepositoryFinding", "RepositoryReport", "check_repository")

import logging
from collections.abc import Iterator

from lsst.daf.butler import Butler, DatasetRef
from lsst.daf.butler.progress import Progress

from ..constants import DATASET_TYPE
from ..errors import ConfigurationError, ParameterError
from ..repository.butler_internals import file_datastore, lacks_statistics, other_datastores, update_statistics
from ..repository.failures import told_as_repository_failures
from ..repository.instrument import not_registered
from ..repository.opened import check_opened
from .calibrations import CalibrationCheck
from .chains import check_chains
from .files import FileCheck
from .images import Period, check_period, dataset_batches, planning_periods, read_period, runs_by_type
from .report import Findings, Kind, RepositoryFinding, RepositoryReport

_log = logging.getLogger(__name__)


@told_as_repository_failures()
def check_repository(
    butler: Butler, *, checksum: bool = False, headers: bool = False, remote: int = 0, limit: int = 1000
) -> RepositoryReport:
    """Return what is wrong with a repository; nothing is changed.

    Parameters
    ----------
    butler
        A SPHEREx repository; read-only will do.
    checksum
        Whether the content of local files is compared, too, where a checksum
        is on record: Butler writes them where the datastore's configuration
        says so.
    headers
        Whether it is read from the headers of images and calibrations which
        exposure and detector they are of, and of images whether their time and
        place on the sky are those on record.
    remote
        How many requests for remote files are made at once; by default they
        are not asked for, and counted.
    limit
        How many findings of each kind are listed; the others are counted.

    Returns
    -------
    report
        What was found.

    Raises
    ------
    ConfigurationError
        Raised if it is not a SPHEREx repository, its configuration lacks our
        storage classes or formatters, it keeps no files, or its registry knows
        its datastore by another name.
    ParameterError
        Raised if ``remote`` or ``limit`` is negative.

    Notes
    -----
    Images are looked at a planning period at a time, so memory depends on
    neither how many there are nor how much is wrong.
    """
    for name, value in (("remote", remote), ("limit", limit)):
        if value < 0:
            raise ParameterError(f"{name}={value} is negative; expected 0 or more.")
    repository = check_opened(butler, writeable=False)
    _require_name_of_datastore(butler)
    _require_statistics(butler)
    found = Findings(limit)
    with butler.registry.caching_context():
        files = FileCheck(repository, found, checksum=checksum, headers=headers, remote=remote)
        for what in not_registered(butler):
            found.add(Kind.NOT_REGISTERED, what, "is not registered; every SPHEREx repository has it.")
        check_chains(butler, found)
        _check_datasets(butler, files, CalibrationCheck(butler, found), found)
        files.finish()
    return found.report()


def _require_name_of_datastore(butler: Butler) -> None:
    """Refuse a datastore of another name: all its files would seem lost, and the advice would be to remove the rest."""
    if others := other_datastores(butler):
        raise ConfigurationError(
            f"The registry knows the files of this repository as those of the datastore {others[0]!r}, and none as "
            f"those of {file_datastore(butler).name!r}, as butler.yaml has it. Nothing is lost: expected "
            f"'name: {others[0]}' under 'datastore:' in the repository's butler.yaml. Without a name, Butler makes one "
            "of the root, which changes with it."
        )


def _require_statistics(butler: Butler) -> None:
    """Let the database count what its tables hold if it never did: else this check takes minutes, not seconds."""
    if not lacks_statistics(butler):
        return
    update_statistics(butler)
    if lacks_statistics(butler):
        _log.warning(
            "PostgreSQL does not know how many rows some of its tables have, and this user may not have it count them. "
            "The check may take very long; let the owner of the tables run 'ANALYZE' in this database."
        )


def _check_datasets(butler: Butler, files: FileCheck, calibrations: CalibrationCheck, found: Findings) -> None:
    runs = runs_by_type(butler)
    types = [kind for kind in butler.registry.queryDatasetTypes() if kind.name in runs]
    by_period = [kind for kind in types if "planning_period" in kind.dimensions]
    for kind in types:
        if kind not in by_period:
            for batch in dataset_batches(butler, kind, runs[kind.name]):
                files.check(batch)
    for name in Progress(__name__).wrap(planning_periods(butler), desc="Checking planning periods", skip_scalar=False):
        period = read_period(butler, name)
        for kind in by_period:
            batches = dataset_batches(butler, kind, runs[kind.name], period)
            if kind.name == DATASET_TYPE:
                batches = _check_images(period, batches, calibrations, found)
            for batch in batches:
                files.check(batch)
    if found.checked["images"]:
        calibrations.finish()


def _check_images(
    period: Period, batches: Iterator[tuple[DatasetRef, ...]], calibrations: CalibrationCheck, found: Findings
) -> Iterator[tuple[DatasetRef, ...]]:
    """Yield the batches on, having checked regions, times and calibrations of their images."""
    seen: list[DatasetRef] = []
    for batch in batches:
        found.checked["images"] += len(batch)
        calibrations.check(period, batch)
        seen += batch
        yield batch
    check_period(period, seen, found)
