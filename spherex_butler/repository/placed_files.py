"""Files in the place where a repository will read them, put there before they are registered."""

from __future__ import annotations

__all__ = (
    "Arrival",
    "PlacedFile",
    "has_own_copy",
    "moved_before",
    "place_file",
    "planned_place",
    "remove_moved_sources",
)

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lsst.daf.butler import Butler, ButlerUserError, DatasetRef
from lsst.resources import ResourcePath

from ..constants import INSTRUMENT
from ..errors import FormatError
from ..files.failures import FailedFile, MissingFile
from ..files.placement import place, remove_source, resolve_transfer
from ..files.sameness import same_bytes
from ..names import parse_product_name
from .butler_internals import StoredFile
from .failures import writing_to
from .opened import OpenedRepository
from .registration import known_ids

_File = TypeVar("_File")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """A file that is where Butler will read it.

    ``moved`` tells whether its source has to go after the registration of ``ref``.
    """

    source: ResourcePath
    ref: DatasetRef
    uri: ResourcePath
    moved: bool = False


@dataclass(frozen=True, slots=True)
class Arrival(Generic[_File]):
    """A planned file in its place, and what is to be on record of it."""

    file: _File
    placed: PlacedFile
    record: StoredFile


def place_file(
    repository: OpenedRepository, source: ResourcePath, ref: DatasetRef, *, transfer: str, size: int | None = None
) -> PlacedFile:
    """Put a file where Butler will read it, and return where that is; nothing is registered.

    The file's name follows from the records of the dataset's data ID. No other file is overwritten. A full disk, or
    one that may not be written to, is a `.RepositoryError`. ``size`` is as of `.place`.
    """
    placed, mode = planned_place(repository, source, ref, transfer=transfer)
    if mode is not None:
        with writing_to(placed.uri):
            place(source, placed.uri, mode, size=size)
        _log.debug("placed %s as %s by %s", source, placed.uri, mode)
    return placed


def planned_place(
    repository: OpenedRepository, source: ResourcePath, ref: DatasetRef, *, transfer: str
) -> tuple[PlacedFile, str | None]:
    """Return what `place_file` would return, and how the file would be placed: `None` if it would stay where it is."""
    mode = resolve_transfer(transfer, source, repository.root)
    if mode is None or mode == "direct":
        return PlacedFile(source, ref, source), None
    # With the source's extension, which may be another than the formatter's own: .yml, .fits.gz.
    target = repository.butler.getURI(ref, predict=True).updatedExtension(source.getExtension())
    return PlacedFile(source, ref, target, moved=mode == "move"), mode


def has_own_copy(repository: OpenedRepository, source: ResourcePath, there: ResourcePath) -> bool:
    """Return whether the repository keeps its own copy of a file, byte for byte, so that the file may be removed."""
    try:
        return source != there and there.relative_to(repository.root) is not None and same_bytes(source, there)
    except OSError:  # another process finished the move, or one of them may not be read
        return False


def moved_before(butler: Butler, failure: FailedFile) -> DatasetRef | None:
    """Return the dataset that a file that is gone has become, as its name tells; `None` if there is none."""
    if not isinstance(failure, MissingFile):
        return None
    try:
        name = parse_product_name(failure.uri)
    except FormatError:
        return None
    exposure = None if name.observation is None else name.observation.exposure_id
    of_image = {"exposure": exposure, "detector": name.detector}
    data_id = {key: value for key, value in of_image.items() if value is not None}
    try:
        ref = butler.find_dataset(name.dataset_type, data_id, instrument=INSTRUMENT, collections=name.run)
    except (ButlerUserError, LookupError):  # no such type or run, or a name of the wrong form for the type
        return None
    return ref if ref is not None and known_ids(butler, [ref]) else None


def remove_moved_sources(placed: Iterable[PlacedFile]) -> list[str]:
    """Remove the sources of moves after the registration; return a warning for each that stays."""
    moved = [file for file in placed if file.moved]
    reasons = ((file.source, remove_source(file.source, file.uri)) for file in moved)
    return [f"{source}: was ingested but not removed: {reason}." for source, reason in reasons if reason is not None]
