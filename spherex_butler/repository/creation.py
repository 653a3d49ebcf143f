"""How a SPHEREx repository is made: what is written, what is registered, and what is undone if that fails."""

from __future__ import annotations

__all__ = ("make_repo",)

import contextlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from astropy.table import Table
from lsst.daf.butler import Butler, CollectionType, Config, DimensionConfig
from lsst.daf.butler.registry import RegistryConfig
from lsst.daf.butler.registry.interfaces import SchemaAlreadyDefinedError
from lsst.resources import ResourcePath, ResourcePathExpression

from ..configuration.dataset_types import dataset_types
from ..configuration.universe import claim_universe, dimension_config, repository_config, require_ours
from ..constants import CALIBRATION_COLLECTION, DEFAULT_COLLECTION, INSTRUMENT
from ..errors import ConfigurationError, ParameterError
from ..paths import config_uri

_ROOT_TAG = "<butlerRoot>"
_SQLITE_FILE = "gen3.sqlite3"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is going to be made."""

    root: ResourcePath
    config: Config
    dimensions: DimensionConfig
    sqlite: Path | None
    datastore: ResourcePath | None
    keep_roots: bool


def make_repo(
    root: ResourcePathExpression,
    *,
    database: str | None = None,
    datastore_root: ResourcePathExpression | None = None,
    dimensions: DimensionConfig | None = None,
) -> Butler:
    """Make a SPHEREx repository, with its instrument, detectors, channels and dataset types.

    The repository opens with ``Butler.from_config(root)`` wherever this package
    is installed, and picks up its upgrades.

    Parameters
    ----------
    root
        Folder or URI of the new repository; relative to the current folder.
    database
        SQLAlchemy URL of the registry, such as ``postgresql://host/name``; by
        default an SQLite file in ``root``. It is written to the repository's
        configuration: leave passwords to Butler's ``db-auth.yaml``.
    datastore_root
        Folder or URI of the files, by default ``root``; relative to the current
        folder.
    dimensions
        An extension of our universe, from `.extend_universe`.

    Returns
    -------
    butler
        Writeable; searches the collection ``SPHEREx/defaults`` where none is
        given, and takes ``SPHEREx`` for the instrument.

    Raises
    ------
    ConfigurationError
        Raised if there is a repository, a database file or tables in the
        database already (they are left as they are), a remote ``root`` comes
        without ``database``, the driver of the database is not installed,
        ``dimensions`` lacks what a SPHEREx repository needs, or this process
        holds another definition of one of the universes.
    ParameterError
        Raised if ``database`` is not the URL of a database that can be kept.
    """
    plan = _plan(root, database, datastore_root, dimensions)
    with ExitStack() as undo:
        _claim(plan, undo)
        _make(plan)
        if plan.sqlite is None:
            undo.callback(_drop_tables, plan)
        with contextlib.closing(Butler.from_config(plan.root, writeable=True)) as butler:
            _register(butler)
        undo.pop_all()
    return Butler.from_config(plan.root, writeable=True, collections=DEFAULT_COLLECTION, instrument=INSTRUMENT)


def _plan(
    root: ResourcePathExpression,
    database: str | None,
    datastore_root: ResourcePathExpression | None,
    dimensions: DimensionConfig | None,
) -> _Plan:
    root = ResourcePath(root, forceDirectory=True)
    if not root.isLocal and (database is None or _ROOT_TAG in database):
        raise ConfigurationError(
            f"The root {root.geturl()!r} is remote, where an SQLite file cannot be; give database=, such as "
            "'postgresql://host/name'."
        )
    ours = dimension_config()
    claim_universe(ours)
    dimensions = ours if dimensions is None else dimensions
    require_ours(dimensions)
    claim_universe(dimensions)
    config = repository_config(dimensions)
    sqlite: Path | None = Path(root.ospath, _SQLITE_FILE) if root.isLocal else None
    if database is not None:
        config["registry", "db"], sqlite = _resolve_database(database, root)
    datastore = _resolve_datastore(datastore_root, config)
    keep_roots = database is not None or datastore_root is not None
    return _Plan(root, config, dimensions, sqlite, datastore, keep_roots)


def _resolve_database(database: str, root: ResourcePath) -> tuple[str, Path | None]:
    """Return the database's URL with an absolute path, and that path if it is an SQLite file."""
    expected = "expected one such as 'postgresql://host/name' or 'sqlite:////folder/file.sqlite3'."
    try:
        url = sqlalchemy.make_url(database)
    except sqlalchemy.exc.ArgumentError as error:
        raise ParameterError(f"The database {database!r} is not an SQLAlchemy URL; {expected}") from error
    if url.get_backend_name() != "sqlite":
        return database, None
    if url.database in {None, "", ":memory:"}:
        raise ParameterError(f"The database {database!r} is in memory, where no repository can be kept; {expected}")
    name = str(url.database)
    if _ROOT_TAG in name:
        return database, Path(name.replace(_ROOT_TAG, root.ospath))
    path = Path(name).absolute()
    return url.set(database=str(path)).render_as_string(hide_password=False), path


def _resolve_datastore(datastore_root: ResourcePathExpression | None, config: Config) -> ResourcePath | None:
    if datastore_root is None:
        return None
    uri = None if str(datastore_root).startswith(_ROOT_TAG) else ResourcePath(datastore_root, forceDirectory=True)
    config["datastore", "root"] = uri.geturl() if uri else str(datastore_root)
    return uri


def _claim(plan: _Plan, undo: ExitStack) -> None:
    """Take the repository's places for ourselves, or fail with nothing changed."""
    marker = plan.root.join("butler.yaml", forceDirectory=False)
    if plan.root.isLocal:
        _make_folder(Path(plan.root.ospath), undo)
        _create_file(Path(marker.ospath), undo)
    elif marker.exists():
        raise ConfigurationError(_taken(marker.geturl()))
    else:
        undo.callback(_remove, marker)
    if plan.sqlite is not None:
        _create_file(plan.sqlite, undo)
    if plan.datastore is not None and plan.datastore.isLocal:
        _make_folder(Path(plan.datastore.ospath), undo)


def _make(plan: _Plan) -> None:
    database = f"The database of the repository at {plan.root.geturl()!r}"
    try:
        Butler.makeRepo(
            plan.root,
            config=plan.config,
            dimensionConfig=plan.dimensions,
            forceConfigRoot=not plan.keep_roots,
            overwrite=True,  # of the empty file that claims the root
        )
    except ImportError as error:
        message = f"{database} has no driver here: {error}. For PostgreSQL, pip install 'spherex-butler[postgres]'."
        raise ConfigurationError(message) from error
    except SchemaAlreadyDefinedError as error:
        message = f"{database} holds tables already: {error} It was left as it is; give an empty database or schema."
        raise ConfigurationError(message) from error


def _taken(place: str) -> str:
    return (
        f"{place!r} exists already: there is a repository, or what is left of one. Open it with "
        "Butler.from_config, or make the new one elsewhere."
    )


def _make_folder(folder: Path, undo: ExitStack) -> None:
    for parent in (*reversed(folder.parents), folder):
        if not parent.exists():
            parent.mkdir(exist_ok=True)
            undo.callback(_remove_empty, parent)
    if not folder.is_dir():
        raise ConfigurationError(f"{str(folder)!r} is a file; a repository needs a folder.")


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # what others put there stays
        folder.rmdir()


def _create_file(path: Path, undo: ExitStack) -> None:
    """Create an empty file unless it exists, in one step, so that of two processes only one gets it."""
    try:
        path.open("xb").close()
    except FileExistsError:
        raise ConfigurationError(_taken(str(path))) from None
    for name in (path.name, f"{path.name}-journal", f"{path.name}-wal", f"{path.name}-shm"):
        undo.callback(path.with_name(name).unlink, missing_ok=True)


def _remove(uri: ResourcePath) -> None:
    if uri.exists():
        uri.remove()


def _drop_tables(plan: _Plan) -> None:
    """Empty the schema, which Butler takes only if it is empty, of what Butler made there."""
    registry = RegistryConfig(plan.config)
    engine = registry.getDatabaseClass().makeEngine(registry.connectionString)
    metadata = sqlalchemy.MetaData()
    metadata.reflect(engine)
    metadata.drop_all(engine)
    engine.dispose()


def _register(butler: Butler) -> None:
    with butler.transaction():
        for element, records in _instrument_records().items():
            butler.registry.insertDimensionData(element, *records)
    for dataset_type in dataset_types(butler.dimensions):
        butler.registry.registerDatasetType(dataset_type)
    butler.collections.register(CALIBRATION_COLLECTION, CollectionType.CALIBRATION)
    butler.collections.register(DEFAULT_COLLECTION, CollectionType.CHAINED)
    butler.collections.redefine_chain(DEFAULT_COLLECTION, CALIBRATION_COLLECTION)


def _instrument_records() -> dict[str, list[dict[str, Any]]]:
    """Return the records of the instrument, its detectors and their channels, in order of insertion."""
    config = Config(config_uri("repository/instrument.yaml")).toDict()
    text = ResourcePath(config_uri("repository/channels.ecsv")).read().decode()
    channels = Table.read(text, format="ascii.ecsv")
    rows = [dict(zip(channels.colnames, row, strict=True)) for row in channels.as_array().tolist()]
    of_ours = {"instrument": INSTRUMENT}
    return {
        "instrument": [config["instrument"]],
        "detector": [of_ours | record for record in config["detector"]],
        "channel": [of_ours | record for record in rows],
    }
