"""How a SPHEREx repository is made: what is written, what is registered, and what is undone if that fails."""

from __future__ import annotations

__all__ = ("RepositoryPreview", "make_repo", "preview_repo")

import contextlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from lsst.daf.butler import Butler, Config, DimensionConfig
from lsst.daf.butler.registry import RegistryConfig
from lsst.daf.butler.registry.interfaces import SchemaAlreadyDefinedError
from lsst.resources import ResourcePath, ResourcePathExpression
from sqlalchemy.exc import DBAPIError

from ..configuration.provider import PROVIDER
from ..configuration.universe import claim_universe, dimension_config, repository_config, require_ours
from ..errors import ConfigurationError, ParameterError, hide_secrets, reason_of
from ..files.folders import require_permission
from .database_errors import explain_database_error
from .failures import told_as_repository_failures
from .instrument import register
from .live_obscore import require_record_factory
from .opening import open_repo, require_plain_path

_ROOT_TAG = "<butlerRoot>"
_SQLITE_FILE = "gen3.sqlite3"
_DATABASES = ("postgresql", "sqlite")
_LIVE_TABLE = "lsst.daf.butler.registry.obscore.ObsCoreLiveTableManager"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is going to be made."""

    root: ResourcePath
    config: Config
    dimensions: DimensionConfig
    sqlite: Path | None
    datastore: ResourcePath | None
    keep_roots: bool


@dataclass(frozen=True, slots=True)
class RepositoryPreview:
    """What `make_repo` would make.

    Parameters
    ----------
    root
        Where its configuration would be.
    database
        Its registry: a file, or the URL of a database.
    files
        Where datasets would be.
    """

    root: str
    database: str
    files: str

    def __str__(self) -> str:
        return f"Would make {self.root}, with the database {self.database} and files in {self.files}."


def preview_repo(
    root: ResourcePathExpression,
    *,
    database: str | None = None,
    datastore_root: ResourcePathExpression | None = None,
    dimensions: DimensionConfig | None = None,
    obscore: bool = False,
) -> RepositoryPreview:
    """Return what `make_repo` would make, having changed nothing.

    Parameters and errors are those of `make_repo`.
    """
    plan = _plan(root, database, datastore_root, dimensions, obscore=obscore)
    for place in (_marker(plan.root), None if plan.sqlite is None else ResourcePath(str(plan.sqlite))):
        if place is not None and place.exists():
            raise ConfigurationError(_taken(_text(place)))
    for folder in (plan.root, plan.datastore):
        if folder is not None and folder.isLocal:
            path = Path(folder.ospath)
            if path.is_file():
                raise ConfigurationError(_no_folder(path))
            require_permission(path)
    _require_empty(plan)
    where = hide_secrets(str(plan.config["registry", "db"])) if plan.sqlite is None else str(plan.sqlite)
    return RepositoryPreview(_text(plan.root), where, _text(plan.datastore or plan.root))


def _text(uri: ResourcePath) -> str:
    return uri.ospath if uri.isLocal else uri.geturl()


def _require_empty(plan: _Plan) -> None:
    """Refuse a database that cannot be used, or holds a repository."""
    if plan.sqlite is not None:
        return
    database = f"The database of the repository at {plan.root.geturl()!r}"
    with _told_of(database):
        _require_btree_gist(plan, database)
        engine = _engine(plan)
        try:
            tables = sqlalchemy.inspect(engine).get_table_names(schema=RegistryConfig(plan.config).get("namespace"))
        finally:
            engine.dispose()
    if tables:
        raise ConfigurationError(
            f"{database} holds tables already, such as {tables[0]}; give an empty database or schema."
        )


@told_as_repository_failures()
def make_repo(
    root: ResourcePathExpression,
    *,
    database: str | None = None,
    datastore_root: ResourcePathExpression | None = None,
    dimensions: DimensionConfig | None = None,
    include: Sequence[str] = (),
    obscore: bool = False,
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
        configuration, which others can read, so that one with a password is
        refused. Butler takes passwords from ``~/.lsst/db-auth.yaml`` or the
        file that ``LSST_DB_AUTH`` names, and PostgreSQL from the one that
        ``PGPASSFILE`` names.
    datastore_root
        Folder or URI of the files, by default ``root``; relative to the current
        folder.
    dimensions
        An extension of our universe, from `.extend_universe`.
    include
        Configuration of other packages, with their storage classes and formatters: URIs such as
        ``resource://my_package/butler.yaml``. It stays where it is; whoever opens the repository needs the package.
    obscore
        Whether the database gets a table ``obscore`` with a row for each image, as the Virtual Observatory knows them
        (ObsCore), which is kept up to date with whatever comes and goes. It cannot be added later. Without it, what
        shows images to the Virtual Observatory makes the rows when they are asked for.

    Returns
    -------
    butler
        Writeable, with the defaults of `~spherex_butler.open_repo`.

    Raises
    ------
    ConfigurationError
        Raised if there is a repository, a database file or tables in the
        database already (they are left as they are), a remote ``root`` comes
        without ``database``, the driver of the database is not installed, the
        database cannot be reached or has no ``btree_gist``, the bucket for the
        files is not there, ``dimensions`` lacks what a SPHEREx repository
        needs, this process holds another definition of one of the universes,
        what ``include`` names is not there, or ``obscore`` is wanted and Butler
        finds nothing that makes its rows in the universe's namespace.
    ParameterError
        Raised if ``database`` is not the URL of a database that can be kept, it
        or another URL holds a password, or ``root`` or ``datastore_root`` is a
        path that Butler would take for another one (with ``%20``, ``$NAME``,
        ``?`` or ``#`` in it).
    """
    plan = _plan(root, database, datastore_root, dimensions, obscore=obscore)
    plan.config["includeConfigs"] = [*plan.config["includeConfigs"], *_existing(include)]
    with ExitStack() as undo:
        _claim(plan, undo)
        _make(plan)
        if plan.sqlite is None:
            undo.callback(_drop_tables, plan)
        with contextlib.closing(Butler.from_config(plan.root, writeable=True)) as butler:
            register(butler)
        undo.pop_all()
    _log.debug("made the repository %s", plan.root)
    return open_repo(plan.root, writeable=True)


def _plan(
    root: ResourcePathExpression,
    database: str | None,
    datastore_root: ResourcePathExpression | None,
    dimensions: DimensionConfig | None,
    *,
    obscore: bool,
) -> _Plan:
    root = _folder_uri(root, "The path of the repository")
    if not root.isLocal and (database is None or _ROOT_TAG in database):
        raise ConfigurationError(
            f"The root {root.geturl()!r} is remote, where an SQLite file cannot be; give database=…, such as "
            "'postgresql://host/name'."
        )
    ours = dimension_config()
    claim_universe(ours)
    dimensions = ours if dimensions is None else dimensions
    require_ours(dimensions)
    claim_universe(dimensions)
    config = repository_config(dimensions)
    if obscore:
        require_record_factory(str(dimensions["namespace"]))
        config["registry", "managers", "obscore"] = {"cls": _LIVE_TABLE, "config": PROVIDER.obscore().toDict()}
    sqlite: Path | None = Path(root.ospath, _SQLITE_FILE) if root.isLocal else None
    if database is not None:
        config["registry", "db"], sqlite = _resolve_database(database, root)
    datastore = _resolve_datastore(datastore_root, config)
    for place in (root, datastore):
        _require_bucket(place)
    keep_roots = database is not None or datastore_root is not None
    return _Plan(root, config, dimensions, sqlite, datastore, keep_roots)


def _existing(include: Sequence[str]) -> list[str]:
    """Return what is to be included, all of which is there."""
    for uri in include:
        place = ResourcePath(uri, forceAbsolute=False)
        if not place.isabs() or not place.exists():
            raise ConfigurationError(
                f"There is no {uri!r} to include; expected the URI or the absolute path of a YAML file, such as "
                "'resource://my_package/butler.yaml' of a package that is installed."
            )
    return [*include]


def _folder_uri(root: ResourcePathExpression, what: str) -> ResourcePath:
    """Return the URI of a folder that Butler reads as it is given."""
    require_plain_path(root, what)
    _require_no_password(str(root), what)
    try:
        return ResourcePath(root, forceDirectory=True)
    except (NotImplementedError, ImportError) as error:
        need = ", with what it needs: pip install 'spherex-butler[s3]'" if isinstance(error, ImportError) else ""
        raise ParameterError(f"{what} is {str(root)!r}: {error}; expected a folder or an s3:// URI{need}.") from error


def _require_no_password(text: str, what: str) -> None:
    hidden = hide_secrets(text)
    if hidden != text:
        raise ParameterError(
            f"{what}, {hidden!r}, holds a password, which would stay readable in the repository's butler.yaml. Leave "
            "it out: Butler takes passwords from ~/.lsst/db-auth.yaml or the file that LSST_DB_AUTH names, PostgreSQL "
            "from the one that PGPASSFILE names, and S3 from the environment (AWS_PROFILE, AWS_ACCESS_KEY_ID)."
        )


def _require_bucket(uri: ResourcePath | None) -> None:
    """Refuse a bucket that is not there before anything is made: Butler would notice at the first file."""
    if uri is None or uri.scheme != "s3":
        return
    bucket = uri.root_uri()
    try:
        found = bucket.exists()
    except Exception as error:
        raise ConfigurationError(
            f"The bucket {str(bucket)!r} cannot be looked at: {reason_of(error).rstrip('.')}. Expected one that can be "
            "read and written; check the credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID) and S3_ENDPOINT_URL."
        ) from error
    if not found:
        raise ConfigurationError(
            f"There is no bucket {str(bucket)!r} that these credentials can see; expected one for the files of the "
            "repository. Make it, or correct its name, the credentials (AWS_PROFILE) or S3_ENDPOINT_URL."
        )


def _resolve_database(database: str, root: ResourcePath) -> tuple[str, Path | None]:
    """Return the database's URL with an absolute path, and that path if it is an SQLite file."""
    expected = "expected one such as 'postgresql://host/name' or 'sqlite:////folder/file.sqlite3'."
    _require_no_password(database, "The URL of the database")
    try:
        url = sqlalchemy.make_url(database)
    except sqlalchemy.exc.ArgumentError as error:
        raise ParameterError(f"The database {database!r} is not an SQLAlchemy URL; {expected}") from error
    if (kind := url.get_backend_name()) not in _DATABASES:
        raise ParameterError(
            f"The database {database!r} is of the kind {kind!r}, which Butler does not know; {expected}"
        )
    if kind != "sqlite":
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
    inside = str(datastore_root).startswith(_ROOT_TAG)
    uri = None if inside else _folder_uri(datastore_root, "The place of the files")
    config["datastore", "root"] = uri.geturl() if uri else str(datastore_root)
    return uri


def _claim(plan: _Plan, undo: ExitStack) -> None:
    """Take the repository's places for ourselves, or fail with nothing changed."""
    marker = _marker(plan.root)
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
    """Make the repository as Butler does, with a ``butler.yaml`` that its folder can be moved with.

    Its path is given, and written once more without the root that Butler then adds: Butler by itself takes a dot in
    the folder's name for an extension (https://github.com/lsst/daf_butler, ``Config.dumpToUri``).
    """
    database = f"The database of the repository at {plan.root.geturl()!r}"
    marker = _marker(plan.root)
    with _told_of(database):
        _require_btree_gist(plan, database)
        config = Butler.makeRepo(
            plan.root,
            config=plan.config,
            dimensionConfig=plan.dimensions,
            forceConfigRoot=not plan.keep_roots,
            outfile=marker,
            overwrite=True,  # of the empty file that claims the root
        )
    del config["root"]
    config.dumpToUri(marker)


@contextlib.contextmanager
def _told_of(database: str) -> Iterator[None]:
    """Tell failures of a database by what they mean."""
    try:
        yield
    except ImportError as error:
        message = f"{database} has no driver here: {error}. For PostgreSQL, pip install 'spherex-butler[postgres]'."
        raise ConfigurationError(message) from error
    except SchemaAlreadyDefinedError as error:
        message = f"{database} holds tables already: {error} It was left as it is; give an empty database or schema."
        raise ConfigurationError(message) from error
    except DBAPIError as error:
        raise ConfigurationError(f"{database} cannot be used. {explain_database_error(error)}") from error


def _require_btree_gist(plan: _Plan, database: str) -> None:
    """Refuse a PostgreSQL database without what Butler needs, which it would notice with its connection open."""
    if plan.sqlite is not None:
        return
    engine = _engine(plan)
    try:
        with engine.connect() as connection:
            found = connection.execute(
                sqlalchemy.text("SELECT 1 FROM pg_extension WHERE extname = 'btree_gist'")
            ).scalar()
    finally:
        engine.dispose()
    if not found:
        raise ConfigurationError(
            f"{database} lacks PostgreSQL's extension btree_gist, which Butler needs. Have an administrator run "
            "'CREATE EXTENSION btree_gist' in this database, and give the same command again."
        )


def _marker(root: ResourcePath) -> ResourcePath:
    return root.join("butler.yaml", forceDirectory=False)


def _taken(place: str) -> str:
    return (
        f"{place!r} exists already: there is a repository, or what is left of one. Open it with "
        "spherex_butler.open_repo, or make the new one elsewhere."
    )


def _make_folder(folder: Path, undo: ExitStack) -> None:
    for parent in (*reversed(folder.parents), folder):
        if not parent.exists():
            parent.mkdir(exist_ok=True)
            undo.callback(_remove_empty, parent)
    if not folder.is_dir():
        raise ConfigurationError(_no_folder(folder))


def _no_folder(path: Path) -> str:
    return f"{str(path)!r} is a file; a repository needs a folder."


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
    engine = _engine(plan)
    metadata = sqlalchemy.MetaData()
    metadata.reflect(engine)
    metadata.drop_all(engine)
    engine.dispose()


def _engine(plan: _Plan) -> sqlalchemy.Engine:
    """Return Butler's own engine, with the password that it finds for the database."""
    registry = RegistryConfig(plan.config)
    engine: sqlalchemy.Engine = registry.getDatabaseClass().makeEngine(registry.connectionString)
    return engine
