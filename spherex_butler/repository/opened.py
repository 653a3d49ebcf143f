"""Whether a repository can be worked with: checked once, before anything is changed, and passed on with the answer."""

from __future__ import annotations

__all__ = (
    "OpenedRepository",
    "check_opened",
    "datastore_root",
    "may_write",
    "require_spherex",
    "require_universe",
    "require_writeable",
)

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lsst.daf.butler import Butler, DatasetType, DimensionRecord, MissingDatasetTypeError
from lsst.resources import ResourcePath

from ..constants import DETECTORS, INSTRUMENT, REGION
from ..errors import ConfigurationError, ParameterError
from .butler_internals import database_file, is_remote, require_direct
from .configured import require_configuration

_REGISTER = "expected what 'butler spherex register REPO' adds (in Python, spherex_butler.register(butler))."
_ELEMENTS = {"planning_period", "group", "exposure", REGION}


@dataclass(frozen=True, slots=True)
class OpenedRepository:
    """A SPHEREx repository as `check_opened` found it.

    ``root`` is where its datastore keeps files; ``detectors`` are their records, by number.
    """

    butler: Butler
    root: ResourcePath
    instrument: DimensionRecord
    detectors: Mapping[int, DimensionRecord]

    def dataset_type(self, name: str) -> DatasetType:
        """Return a dataset type that `~spherex_butler.make_repo` registers."""
        try:
            return self.butler.get_dataset_type(name)
        except MissingDatasetTypeError as error:
            raise ConfigurationError(f"The repository has no dataset type {name!r}; {_REGISTER}") from error


def check_opened(butler: Butler, *, writeable: bool = True, what: str = "The repository") -> OpenedRepository:
    """Return a repository that is fit for use, with its root and the records of its instrument.

    ``what`` begins the message about a repository that is read-only and has to be writeable.
    """
    if writeable:
        require_writeable(butler, what)
    require_universe(butler)
    root = datastore_root(butler)
    instrument, detectors = require_spherex(butler)
    return OpenedRepository(butler, root, instrument, detectors)


def require_spherex(butler: Butler) -> tuple[DimensionRecord, dict[int, DimensionRecord]]:
    """Refuse a repository in which SPHEREx is not registered; return the records of its instrument and detectors."""
    require_universe(butler)
    require_configuration(butler)
    return _instrument_records(butler)


def require_writeable(butler: Butler, what: str = "The repository") -> None:
    """Refuse a repository that is open for reading only, or whose files this user may not write.

    SQLite opens a file that is read-only all the same, and fails later, midway.
    """
    _require_butler(butler)
    if is_remote(butler):
        raise ConfigurationError(
            f"{what} is read through a Butler server, which changes nothing. Expected the repository's own folder or "
            "butler.yaml, on a machine that reaches its database and files."
        )
    if not butler.isWriteable():
        raise ConfigurationError(f"{what} is read-only here; open it with spherex_butler.open_repo(…, writeable=True).")
    if (denied := _denied(butler)) is not None:
        raise ConfigurationError(
            f"{what} is read-only for this user: {str(denied)!r} cannot be written to. Expected write permission for "
            "the database, its folder and the folder of the files; ask the owner of the repository, or work on a copy "
            "of it. Nothing was changed."
        )


def may_write(butler: Butler) -> bool:
    """Return whether `require_writeable` lets a repository pass."""
    return butler.isWriteable() and _denied(butler) is None


def _denied(butler: Butler) -> Path | None:
    """Return a local file or folder of the repository that this user may not write to."""
    return next((path for path in _written(butler) if path.exists() and not os.access(path, os.W_OK)), None)


def _written(butler: Butler) -> Iterator[Path]:
    """Yield the local files and folders that a change of the repository writes to."""
    if (file := database_file(butler)) is not None:
        yield from (file, file.parent)  # in which its journal is made
    for root in butler.get_datastore_roots().values():
        if root is not None and root.isLocal:
            yield Path(root.ospath)


def _require_butler(butler: object) -> None:
    """Refuse what is no Butler: a path is easily taken for one."""
    if not isinstance(butler, Butler):
        raise ParameterError(
            f"{butler!r} is a {type(butler).__name__}; expected a Butler, such as spherex_butler.open_repo(REPO) "
            "returns."
        )


def require_universe(butler: Butler) -> None:
    """Refuse a repository of another universe."""
    _require_butler(butler)
    missing = sorted(_ELEMENTS - set(butler.dimensions.elements.names))
    if missing:
        raise ConfigurationError(
            f"The repository's universe {butler.dimensions} has no {', '.join(missing)}; expected the SPHEREx universe "
            "or an extension of it, as 'butler spherex create' gives. To join a repository of another universe gives "
            "it storage classes and formatters only (docs/how-to/join-a-repository.md); make one for SPHEREx, too."
        )


def _instrument_records(butler: Butler) -> tuple[DimensionRecord, dict[int, DimensionRecord]]:
    ours = f"instrument = '{INSTRUMENT}'"  # not as a value, which Butler refuses where it is not registered
    with butler.query() as query:
        instruments = list(query.dimension_records("instrument").where(ours))
        found = query.dimension_records("detector").where(ours) if instruments else ()
        detectors = {record.id: record for record in found}
    if len(detectors) != len(DETECTORS):
        raise ConfigurationError(
            f"The repository has {len(instruments) + len(detectors)} records of the instrument {INSTRUMENT!r} and its "
            f"detectors; {_REGISTER}"
        )
    return instruments[0], detectors


def datastore_root(butler: Butler) -> ResourcePath:
    """Return where the repository keeps its files."""
    require_direct(butler)
    roots = butler.get_datastore_roots()
    found = [root for root in roots.values() if root is not None]
    if len(found) != 1:
        raise ConfigurationError(f"The repository's datastore roots are {roots!r}; expected one that keeps files.")
    return found[0]
