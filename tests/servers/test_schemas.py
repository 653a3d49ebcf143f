"""Several repositories in one PostgreSQL database, each in the schema of its owner."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
import sqlalchemy
from lsst.daf.butler import Butler
from made_once import copy_configuration, copy_exposures
from postgres import execute

from spherex_butler import make_repo
from spherex_butler.ingest import ingest_files
from spherex_butler.verify import check_repository


@pytest.fixture
def owners(postgres_database) -> Iterator[dict[str, str]]:
    """Return the database's URL for each of two users, who have a schema of their own."""
    names = [f"{name}_{uuid.uuid4().hex}" for name in ("anna", "ben")]
    database = sqlalchemy.make_url(postgres_database)
    for name in names:
        execute(postgres_database, f"CREATE ROLE {name} LOGIN")
        execute(postgres_database, f"CREATE SCHEMA AUTHORIZATION {name}")
    yield {name: database.set(username=name).render_as_string(hide_password=False) for name in names}
    for name in names:
        execute(postgres_database, f"DROP OWNED BY {name} CASCADE")
        execute(postgres_database, f"DROP ROLE {name}")


def count(butler: Butler) -> int:
    return len(butler.query_datasets("level2", collections="SPHEREx/defaults", explain=False))


def test_each_owner_has_a_repository_and_lets_others_read_it(owners, tmp_path):
    (anna, annas), (ben, bens) = owners.items()
    with make_repo(tmp_path / "anna", database=annas) as butler:
        ingest_files(butler, copy_exposures(tmp_path / "files"), transfer="copy")
        assert count(butler) == 6
    with make_repo(tmp_path / "ben", database=bens) as butler:
        assert count(butler) == 0
    execute(annas, f"GRANT USAGE ON SCHEMA {anna} TO {ben}")
    execute(annas, f"GRANT SELECT ON ALL TABLES IN SCHEMA {anna} TO {ben}")
    changes = {"registry": {"db": bens, "namespace": anna}, "datastore": {"root": str(tmp_path / "anna")}}
    with Butler.from_config(copy_configuration(tmp_path / "anna", tmp_path / "annas", changes)) as butler:
        assert count(butler) == 6
        assert [str(one) for one in check_repository(butler).problems] == []
