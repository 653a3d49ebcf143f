"""Repairs of what a check found, as far as they are safe: no dataset is removed, and no file of a user."""

from __future__ import annotations

__all__ = ("Repair", "repair")

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lsst.daf.butler import Butler, DatasetRef
from lsst.daf.butler.progress import Progress

from ..constants import CALIBRATION_COLLECTION, DATASET_TYPE
from ..errors import FormatError, reason_of
from ..files.failures import FailedFile, or_failed
from ..files.paths import Paths
from ..files.temporary import is_stale
from ..images.description import ImageDescription
from ..names import RUN_PREFIX, ProcessingToken, ProductName
from ..repository.contention import retry
from ..repository.exposures import insert_exposures
from ..repository.failures import one_item, told_as_repository_failures
from ..repository.image_refs import dataset_text
from ..repository.live_obscore import renew_rows
from ..repository.opened import require_writeable
from ..repository.registration import stored_uri
from ..repository.runs import chain_members, ensure_run, put_in_order, ranked, release_chains, release_of
from ..summaries import number_of
from .headers import describe_file, require_image
from .images import dataset_batches, read_period, runs_by_type
from .report import Kind, RepositoryFinding
from .restoration import RESTORABLE, Restoration

_BATCH = 500  # headers to read before their regions are inserted


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of a finding.

    Parameters
    ----------
    finding
        What was to be repaired.
    done
        Whether all of it is repaired.
    message
        What was done, or why nothing was.
    """

    finding: RepositoryFinding
    done: bool
    message: str

    def __str__(self) -> str:
        return f"{'repaired' if self.done else 'not repaired'}: {self.finding.subject}: {self.message}"


@told_as_repository_failures(writes=True)
def repair(
    butler: Butler,
    findings: Iterable[RepositoryFinding],
    *,
    complete_chains: bool = False,
    sources: Paths | None = None,
    dry_run: bool = False,
) -> list[Repair]:
    """Repair what can be repaired safely: chains, missing region rows of images in local files, leftovers of copies.

    With ``sources``, lost and damaged files as well.

    Parameters
    ----------
    butler
        A writeable SPHEREx repository.
    findings
        From the report of `.check_repository`; those of other kinds are left alone, and so are notes.
    complete_chains
        Whether runs and chains that are in no chain are put where ingest would have put them. It cannot be told
        whether they never were there, or somebody took them out on purpose.
    sources
        Where copies of lost and damaged files are: files, folders, globs and URLs. A copy takes its file's place if it
        has that one's name, the size and checksum on record and, without a checksum, is a whole file of the dataset.
        What was in the place stays there under another name. Files outside of the repository are left alone.
    dry_run
        Whether to change nothing, and say what would be repaired. The repository may be read-only then.

    Returns
    -------
    repairs
        What became of each finding of these kinds.

    Raises
    ------
    ConfigurationError
        Raised if the repository is read-only.
    ParameterError
        Raised if copies cannot be looked for in one of the ``sources``; nothing has been repaired then.
    """
    if not dry_run:
        require_writeable(butler)
    wanted = [finding for finding in findings if finding.problem]
    restored = [] if sources is None else _restore(butler, wanted, sources, dry_run=dry_run)
    actions = dict.fromkeys(_ACTIONS, _would_repair) if dry_run else _ACTIONS
    actions = actions if complete_chains else actions | dict.fromkeys(_COMPLETING, _leave_out)
    ordered = [(finding, act) for kind, act in actions.items() for finding in wanted if finding.kind is kind]
    repairs = restored + [_repair(finding, partial(act, butler, finding.subject)) for finding, act in ordered]
    return [replace(one, done=False) for one in repairs] if dry_run else repairs


def _restore(butler: Butler, findings: Iterable[RepositoryFinding], sources: Paths, *, dry_run: bool) -> list[Repair]:
    """Bring lost and damaged files back before anything is read from them."""
    wanted = [(one, one.dataset) for one in findings if one.kind in RESTORABLE and one.dataset is not None]
    restoration = Restoration(butler, [ref for _, ref in wanted], sources, dry_run=dry_run)
    steps = Progress(__name__).wrap(wanted, desc="Restoring files")
    return [_repair(finding, partial(restoration.restore, ref)) for finding, ref in steps]


def _repair(finding: RepositoryFinding, act: Callable[[], str]) -> Repair:
    errors: list[Exception] = []
    with one_item(errors.append):
        return Repair(finding, done=True, message=retry(act))
    (error,) = errors
    message = str(error) if isinstance(error, _NotRepairedError) else reason_of(error)
    return Repair(finding, done=False, message=message)


class _NotRepairedError(Exception):
    """Why something was not repaired, or not all of it."""


def _leave_out(_butler: Butler, _subject: str) -> str:
    raise _NotRepairedError("left as it is, as somebody may want it so; --complete-chains puts in what is missing.")


def _would_repair(_butler: Butler, _subject: str) -> str:
    return "would be repaired; nothing was changed."


def _chain_run(butler: Butler, run: str) -> str:
    name = ProductName(DATASET_TYPE, ProcessingToken.parse(run.removeprefix(RUN_PREFIX)))
    release = release_of(name)
    ensure_run(butler, name, release)
    return f"is in the chain of {release} now."


def _complete_defaults(butler: Butler, chain: str) -> str:
    missing = [name for name in release_chains() if chain_members(butler, name)]
    put_in_order(butler, chain, *missing, CALIBRATION_COLLECTION)
    return f"is {', '.join(chain_members(butler, chain))} now."


def _order_chain(butler: Butler, chain: str) -> str:
    put_in_order(butler, chain)
    return f"has {ranked(chain_members(butler, chain))[0]} first of its releases and processings now."


def _remove_part(_: Butler, path: str) -> str:
    if not is_stale(Path(path)):
        raise _NotRepairedError("is gone or in use again; it was left alone.")
    Path(path).unlink()
    return "was removed."


def _insert_regions(butler: Butler, period: str) -> str:
    known = read_period(butler, period)
    there = known.regions | known.off_sky
    runs = runs_by_type(butler).get(DATASET_TYPE, [])
    dataset_type = butler.get_dataset_type(DATASET_TYPE)
    missing: dict[tuple[int, int], list[DatasetRef]] = {}
    for batch in dataset_batches(butler, dataset_type, runs, known):
        for ref in batch:
            key = int(ref.dataId["exposure"]), int(ref.dataId["detector"])
            if key not in there:
                missing.setdefault(key, []).append(ref)
    return _insert_in_batches(butler, list(missing.values()))


def _insert_in_batches(butler: Butler, images: Sequence[Sequence[DatasetRef]]) -> str:
    reasons: list[str] = []
    count = 0
    starts = range(0, len(images), _BATCH)
    for start in Progress(__name__).wrap(starts, desc="Inserting regions"):
        described = list(_describe_all(butler, images[start : start + _BATCH], reasons))
        with butler.transaction():
            insert_exposures(butler, described)
            stated = {(one.observation.exposure_id, one.detector): one.stated for one in described}
            renew_rows(butler, {exposure for exposure, _ in stated}, stated)
        count += len(described)
    inserted = f"{number_of(count, 'region row')} {'was' if count == 1 else 'were'} inserted"
    if reasons:
        raise _NotRepairedError(f"{inserted}; {len(reasons)} could not be made from headers, the first: {reasons[0]}")
    return f"{inserted}."


def _describe_all(
    butler: Butler, images: Iterable[Sequence[DatasetRef]], reasons: list[str]
) -> Iterator[ImageDescription]:
    """Yield a description of each image from the header of its first processing whose local file can be read."""
    for refs in images:
        problems = []
        for ref in refs:
            described = or_failed(dataset_text(ref), partial(_describe, butler, ref))
            if not isinstance(described, FailedFile):
                yield described
                break
            problems.append(str(described))
        else:
            reasons.append(problems[0])


def _describe(butler: Butler, ref: DatasetRef) -> ImageDescription:
    uri = stored_uri(butler, ref)
    if uri is None or not uri.isLocal:
        raise FormatError(f"its file is {str(uri)!r}; only headers of local files are read.")
    description = describe_file(uri)
    require_image(ref, description)
    return description


_ACTIONS: dict[Kind, Callable[[Butler, str], str]] = {
    Kind.RUN_UNCHAINED: _chain_run,
    Kind.CHAIN_INCOMPLETE: _complete_defaults,
    Kind.CHAIN_ORDER: _order_chain,
    Kind.REGION_MISSING: _insert_regions,
    Kind.STALE_PART: _remove_part,
}
"""What is repaired, in this order: adding a run to a chain may already put the chain in order."""

_COMPLETING = (Kind.RUN_UNCHAINED, Kind.CHAIN_INCOMPLETE)
"""What may be as it is because somebody wants it so."""
