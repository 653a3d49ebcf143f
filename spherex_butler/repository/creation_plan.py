"""What a new repository will be, and whether it can be made: all that is known before anything is changed."""

from __future__ import annotations

__all__ = ("Plan", "marker_of", "plan_repository")

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from lsst.daf.butler import Config, DimensionConfig
from lsst.resources import ResourcePath, ResourcePathExpression

from ..configuration.provider import PROVIDER
from ..configuration.universe import claim_universe, dimension_config, repository_config, require_ours
from ..errors import ConfigurationError, ParameterError, hide_secrets, reason_of
from .configured import holds_repository
from .live_obscore import require_record_factory
from .opening import require_plain_path

_ROOT_TAG = "<butlerRoot>"
_SQLITE_FILE = "gen3.sqlite3"
_DATABASES = ("postgresql", "sqlite")
_LIVE_TABLE = "lsst.daf.butler.registry.obscore.ObsCoreLiveTableManager"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to be made."""

    root: ResourcePath
    config: Config
    dimensions: DimensionConfig
    sqlite: Path | None
    datastore: ResourcePath | None
    keep_roots: bool


def plan_repository(
    root: ResourcePathExpression,
    database: str | None,
    datastore_root: ResourcePathExpression | None,
    dimensions: DimensionConfig | None,
    include: Sequence[str] = (),
    *,
    obscore: bool,
) -> Plan:
    """Return what is going to be made, or refuse it; `.creation.make_repo` describes the parameters and errors."""
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
    config["includeConfigs"] = [*config["includeConfigs"], *_existing(include)]
    if obscore:
        require_record_factory(str(dimensions["namespace"]))
        config["registry", "managers", "obscore"] = {"cls": _LIVE_TABLE, "config": PROVIDER.obscore().toDict()}
    sqlite: Path | None = Path(root.ospath, _SQLITE_FILE) if root.isLocal else None
    if database is not None:
        config["registry", "db"], sqlite = _resolve_database(database, root)
    datastore = _resolve_datastore(datastore_root, config)
    for place in (root, datastore):
        _require_bucket(place)
        _require_outside(place, root)
    keep_roots = database is not None or datastore_root is not None
    return Plan(root, config, dimensions, sqlite, datastore, keep_roots)


def marker_of(root: ResourcePath) -> ResourcePath:
    """Return where the configuration of a repository is, which claims its root."""
    return root.join("butler.yaml", forceDirectory=False)


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


def _require_outside(uri: ResourcePath | None, root: ResourcePath) -> None:
    """Refuse a folder inside of another repository, which takes the files there for its own, if forgotten ones."""
    if uri is None or not uri.isLocal:
        return
    for parent in Path(uri.ospath).resolve().parents:
        is_own = root.isLocal and parent == Path(root.ospath).resolve()
        if not is_own and holds_repository(parent):
            raise ConfigurationError(
                f"{uri.ospath!r} is inside of the repository at {str(parent)!r}, which would take the files for its "
                "own; expected a folder outside of it. Make the repository elsewhere."
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
