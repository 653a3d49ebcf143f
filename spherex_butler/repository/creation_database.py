"""The database of a new repository: whether Butler can use it, and how it is emptied if that fails."""

from __future__ import annotations

__all__ = ("drop_tables", "require_btree_gist", "require_empty", "told_of")

import contextlib
from collections.abc import Iterator

import sqlalchemy
from lsst.daf.butler.registry import RegistryConfig
from lsst.daf.butler.registry.interfaces import SchemaAlreadyDefinedError
from sqlalchemy.exc import DBAPIError

from ..errors import ConfigurationError
from .creation_plan import Plan
from .database_errors import concerns_credentials, explain_credentials_error, explain_database_error


@contextlib.contextmanager
def told_of(database: str) -> Iterator[None]:
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
    except (RuntimeError, LookupError, TypeError) as error:
        if not concerns_credentials(error):
            raise
        raise ConfigurationError(f"{database} cannot be used. {explain_credentials_error(error)}") from error


def require_btree_gist(plan: Plan, database: str) -> None:
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


def require_empty(plan: Plan) -> None:
    """Refuse a database that cannot be used, or holds a repository."""
    if plan.sqlite is not None:
        return
    database = f"The database of the repository at {plan.root.geturl()!r}"
    with told_of(database):
        require_btree_gist(plan, database)
        engine = _engine(plan)
        try:
            tables = sqlalchemy.inspect(engine).get_table_names(schema=RegistryConfig(plan.config).get("namespace"))
        finally:
            engine.dispose()
    if tables:
        raise ConfigurationError(
            f"{database} holds tables already, such as {tables[0]}; give an empty database or schema."
        )


def drop_tables(plan: Plan) -> None:
    """Empty the schema, which Butler takes only if it is empty, of what Butler made there."""
    engine = _engine(plan)
    metadata = sqlalchemy.MetaData()
    metadata.reflect(engine)
    metadata.drop_all(engine)
    engine.dispose()


def _engine(plan: Plan) -> sqlalchemy.Engine:
    """Return Butler's own engine, with the password that it finds for the database."""
    registry = RegistryConfig(plan.config)
    engine: sqlalchemy.Engine = registry.getDatabaseClass().makeEngine(registry.connectionString)
    return engine
