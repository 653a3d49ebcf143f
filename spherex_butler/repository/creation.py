"""How a SPHEREx repository is made: what is written, what is registered, and what is undone if that fails."""

from __future__ import annotations

__all__ = ("RepositoryPreview", "make_repo", "preview_repo")

import contextlib
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lsst.daf.butler import Butler, DimensionConfig
from lsst.resources import ResourcePath, ResourcePathExpression

from ..errors import ConfigurationError, hide_secrets
from ..files.folders import require_permission
from .creation_database import drop_tables, require_btree_gist, require_empty, told_of
from .creation_plan import Plan, marker_of, plan_repository
from .failures import told_as_repository_failures
from .instrument import register
from .opening import open_repo

_log = logging.getLogger(__name__)


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
    plan = plan_repository(root, database, datastore_root, dimensions, obscore=obscore)
    for place in (marker_of(plan.root), None if plan.sqlite is None else ResourcePath(str(plan.sqlite))):
        if place is not None and place.exists():
            raise ConfigurationError(_taken(_text(place)))
    for folder in (plan.root, plan.datastore):
        if folder is not None and folder.isLocal:
            path = Path(folder.ospath)
            if path.is_file():
                raise ConfigurationError(_no_folder(path))
            require_permission(path)
    require_empty(plan)
    where = hide_secrets(str(plan.config["registry", "db"])) if plan.sqlite is None else str(plan.sqlite)
    return RepositoryPreview(_text(plan.root), where, _text(plan.datastore or plan.root))


def _text(uri: ResourcePath) -> str:
    return uri.ospath if uri.isLocal else uri.geturl()


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
        ``root`` or ``datastore_root`` is a folder inside of another repository,
        what ``include`` names is not there, or ``obscore`` is wanted and Butler
        finds nothing that makes its rows in the universe's namespace.
    ParameterError
        Raised if ``database`` is not the URL of a database that can be kept, it
        or another URL holds a password, or ``root`` or ``datastore_root`` is a
        path that Butler would take for another one (with ``%20``, ``$NAME``,
        ``?`` or ``#`` in it).
    """
    plan = plan_repository(root, database, datastore_root, dimensions, include, obscore=obscore)
    with ExitStack() as undo:
        _claim(plan, undo)
        _make(plan)
        if plan.sqlite is None:
            undo.callback(drop_tables, plan)
        with contextlib.closing(Butler.from_config(plan.root, writeable=True)) as butler:
            register(butler)
        undo.pop_all()
    _log.debug("made the repository %s", plan.root)
    return open_repo(plan.root, writeable=True)


def _claim(plan: Plan, undo: ExitStack) -> None:
    """Take the repository's places for ourselves, or fail with nothing changed."""
    marker = marker_of(plan.root)
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


def _make(plan: Plan) -> None:
    """Make the repository as Butler does, with a ``butler.yaml`` that its folder can be moved with.

    Its path is given, and written once more without the root that Butler then adds: Butler by itself takes a dot in
    the folder's name for an extension (https://github.com/lsst/daf_butler, ``Config.dumpToUri``).
    """
    database = f"The database of the repository at {plan.root.geturl()!r}"
    marker = marker_of(plan.root)
    with told_of(database):
        require_btree_gist(plan, database)
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
