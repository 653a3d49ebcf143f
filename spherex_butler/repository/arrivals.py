"""Files on their way into a repository: placed first, outside of any transaction, and registered where they are."""

from __future__ import annotations

__all__ = (
    "INGEST_ERRORS",
    "Arrival",
    "bring_in",
    "datastore_root",
    "foresee",
    "register",
    "remove_sources",
    "require_writeable",
    "stored_uri",
)

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lsst.daf.butler import Butler, ButlerUserError, DatasetRef, FileDataset
from lsst.daf.butler.registry import RegistryError
from lsst.resources import ResourcePath
from sqlalchemy.exc import SQLAlchemyError

from ..errors import ConfigurationError
from ..files.placement import place, remove_source, resolve_transfer

INGEST_ERRORS = (ButlerUserError, LookupError, OSError, RegistryError, RuntimeError, SQLAlchemyError, ValueError)
"""What keeps a file out of the repository, but not the others."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that is where Butler will read it, not registered yet.

    Parameters
    ----------
    source
        Where it came from.
    ref
        The dataset it becomes.
    uri
        Where Butler will read it.
    mode
        How `register` tells Butler of it: ``direct``, or `None` for a file inside the datastore.
    moved
        Whether ``source`` has to go after the registration.
    """

    source: ResourcePath
    ref: DatasetRef
    uri: ResourcePath
    mode: str | None
    moved: bool


def require_writeable(butler: Butler, what: str = "The repository") -> None:
    """Refuse a repository that is open for reading only.

    Raises
    ------
    ConfigurationError
        Raised if it is.
    """
    if not butler.isWriteable():
        raise ConfigurationError(f"{what} is read-only here; open it with Butler.from_config(…, writeable=True).")


def datastore_root(butler: Butler) -> ResourcePath:
    """Return where the repository keeps its files.

    Raises
    ------
    ConfigurationError
        Raised if that is not one place.
    """
    roots = butler.get_datastore_roots()
    found = [root for root in roots.values() if root is not None]
    if len(found) != 1:
        raise ConfigurationError(f"The repository's datastore roots are {roots!r}; expected one that keeps files.")
    return found[0]


def stored_uri(butler: Butler, ref: DatasetRef) -> ResourcePath | None:
    """Return where a registered dataset is, `None` if its file was given up."""
    try:
        return butler.getURI(ref)
    except FileNotFoundError:
        return None


def bring_in(butler: Butler, source: ResourcePath, ref: DatasetRef, *, transfer: str) -> Arrival:
    """Put a file where Butler will read it.

    Parameters
    ----------
    butler
        The repository; nothing is registered.
    source
        The file.
    ref
        The dataset it becomes, its data ID with records, from which the file's name follows.
    transfer
        One of `.files.placement.TRANSFER_MODES`.

    Raises
    ------
    FormatError
        Raised if another file has that place.
    ParameterError
        Raised if the mode does not suit the file or the repository.
    """
    arrival, mode = foresee(butler, source, ref, transfer=transfer)
    if mode is not None:
        place(source, arrival.uri, mode)
    return arrival


def foresee(butler: Butler, source: ResourcePath, ref: DatasetRef, *, transfer: str) -> tuple[Arrival, str | None]:
    """Return what `bring_in` would return, and the mode in which the file has to be placed, `None` if it has not."""
    mode = resolve_transfer(transfer, source, datastore_root(butler))
    if mode is None or mode == "direct":
        return Arrival(source, ref, source, mode, moved=False), None
    # With the source's extension, which may be another than the formatter's own: .yml, .fits.gz.
    target = butler.getURI(ref, predict=True).updatedExtension(source.getExtension())
    return Arrival(source, ref, target, None, moved=mode == "move"), mode


def register(butler: Butler, arrivals: Sequence[Arrival]) -> None:
    """Register files that are in place, best in a transaction; their dimension records must be there."""
    for mode in (None, "direct"):
        datasets = [FileDataset(arrival.uri, [arrival.ref]) for arrival in arrivals if arrival.mode == mode]
        butler.ingest(*datasets, transfer=mode, skip_existing=True)


def remove_sources(arrivals: Iterable[Arrival]) -> list[str]:
    """Remove the sources of moves, after the registration; return what was odd."""
    moved = [arrival for arrival in arrivals if arrival.moved]
    reasons = ((arrival.source, remove_source(arrival.source, arrival.uri)) for arrival in moved)
    return [f"{source}: was ingested but not removed: {reason}." for source, reason in reasons if reason is not None]
