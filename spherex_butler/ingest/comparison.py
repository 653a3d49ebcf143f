"""What a repository has of a batch of planned files already: looked up and compared, nothing changed.

Files are compared here, and what headers say with what is on record in `.contradictions`.
"""

from __future__ import annotations

__all__ = ("Comparison", "compare")

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from lsst.daf.butler import Butler, DatasetRef, DatasetType
from lsst.resources import ResourcePath

from ..errors import FormatError
from ..files.failures import FailedFile
from ..files.sameness import quick_difference
from ..images.description import ImageDescription
from ..repository.butler_internals import StoredFile
from ..repository.contention import retry
from ..repository.failures import one_item
from ..repository.image_refs import image_ref
from ..repository.registration import artifact_uri, stored_files
from .contradictions import contradictions, known_records, require_no_contradiction
from .plan import PlannedFile

_REMEDY = "--update-records, update_records=True in Python, replaces what is on record"


@dataclass(slots=True)
class Comparison:
    """Files of one run, by what is to become of them.

    Those that the repository lacks, one for each image; those that it has, with its own files; datasets of files that
    come twice, by different paths; and files that differ from what the repository has, or from another one of the same
    call. ``contradicting`` are the descriptions of new files for which records have to be updated, ``warnings`` what is
    odd about files that may go in all the same.
    """

    new: list[tuple[PlannedFile, DatasetRef]] = field(default_factory=list)
    known: list[tuple[PlannedFile, DatasetRef, ResourcePath]] = field(default_factory=list)
    repeated: list[DatasetRef] = field(default_factory=list)
    failed: list[FailedFile] = field(default_factory=list)
    contradicting: list[ImageDescription] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def compare(
    butler: Butler, dataset_type: DatasetType, batch: Sequence[PlannedFile], *, update_records: bool = False
) -> Comparison:
    """Return which files of a batch, all of one run, the repository has."""
    refs = [
        image_ref(dataset_type, file.name.run, file.description.observation.exposure_id, file.description.detector)
        for file in batch
    ]
    stored = retry(lambda: stored_files(butler, refs))
    found, first = Comparison(), dict[uuid.UUID, PlannedFile]()
    new: list[tuple[PlannedFile, DatasetRef]] = []
    for file, ref in zip(batch, refs, strict=True):
        with one_item(FailedFile.noted(found.failed, file.uri)):
            if ref.id in stored:
                found.known.append((file, ref, _same_file(butler, file, stored[ref.id][0])))
            elif ref.id in first:
                _require_same_image(file, first[ref.id])
                found.repeated.append(ref)
            else:
                first[ref.id] = file
                new.append((file, ref))
    _compare_records(butler, new, found, update_records=update_records)
    return found


def _compare_records(
    butler: Butler, new: Sequence[tuple[PlannedFile, DatasetRef]], found: Comparison, *, update_records: bool
) -> None:
    """Find the new files that contradict what is on record, or one another."""
    known = known_records(butler, {file.description.observation.exposure_id for file, _ in new})
    for file, ref in new:
        with one_item(FailedFile.noted(found.failed, file.uri)):
            said = contradictions(file.description, known)
            if update_records and said and file.description.observation.exposure_id in known.exposures:
                found.contradicting.append(file.description)
            else:
                require_no_contradiction(said, remedy=_REMEDY)
                found.warnings += [f"{file.uri}: {one}; what is on record stays, but {_REMEDY}." for one in said]
            known.add(file.description)
            found.new.append((file, ref))


def _same_file(butler: Butler, file: PlannedFile, record: StoredFile) -> ResourcePath:
    """Return where the repository's file is, having compared it with the one at hand."""
    there = artifact_uri(butler, record)
    if there.isLocal and not there.exists():
        raise FormatError(
            f"the repository's file {str(there)!r} is gone; 'butler spherex verify' prints the command that gives it "
            "up, and no other."
        )
    recorded = None if record.file_size < 0 else record.file_size
    difference = quick_difference(ResourcePath(file.uri), file.size, other=there, recorded=recorded)
    if difference is not None:
        raise FormatError(
            f"the repository has {str(there)!r} for this image and run, {difference}; nothing was changed."
        )
    return there


def _require_same_image(file: PlannedFile, first: PlannedFile) -> None:
    other = ResourcePath(first.uri)
    difference = quick_difference(ResourcePath(file.uri), file.size, other=other, recorded=first.size)
    if difference is not None:
        raise FormatError(f"{first.uri!r} of the same call is the same image of the same run, {difference}.")
