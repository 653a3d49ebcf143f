"""Trying again where another process is in the way, and only there."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy
from lsst.daf.butler.registry import ConflictingDefinitionError
from sqlalchemy.exc import IntegrityError, OperationalError

from spherex_butler.errors import ConfigurationError, RepositoryError
from spherex_butler.repository.contention import CONFLICTS, PAUSES, in_transaction, retry, split_on_failure
from spherex_butler.repository.failures import told_as_repository_failures


@pytest.fixture
def execute(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Return a function that executes a statement in an SQLite file and waits for nobody."""
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/file", connect_args={"timeout": 0})

    def execute(statement: str) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)

    execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
    yield execute
    engine.dispose()


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """Return the pauses that were made, without making them."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


def test_locked_database_is_waited_for(execute, tmp_path, monkeypatch):
    other = sqlite3.connect(tmp_path / "file", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    made = []

    def end_at_third(pause):
        made.append(pause)
        if len(made) == 3:
            other.execute("COMMIT")

    monkeypatch.setattr(time, "sleep", end_at_third)
    retry(lambda: execute("INSERT INTO numbers VALUES (1)"))
    other.close()
    assert len(made) == 3
    assert all(0 <= pause <= longest for pause, longest in zip(made, PAUSES, strict=False))


def test_patience_ends(execute, tmp_path, pauses):
    other = sqlite3.connect(tmp_path / "file", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OperationalError, match="database is locked"):
        retry(lambda: execute("INSERT INTO numbers VALUES (1)"))
    other.close()
    assert len(pauses) == len(PAUSES)


def test_conflict_in_the_words_of_butler_is_tried_again(execute):
    execute("INSERT INTO numbers VALUES (1)")
    numbers = iter([1, 1, 2])

    def insert() -> str:
        try:
            execute(f"INSERT INTO numbers VALUES ({next(numbers)})")
        except IntegrityError as error:
            raise ConflictingDefinitionError("A database constraint failure was triggered") from error
        return "done"

    assert retry(insert) == "done"


def test_other_errors_are_raised_at_once(execute, pauses):
    with pytest.raises(OperationalError, match="no such table"):
        retry(lambda: execute("INSERT INTO nowhere VALUES (1)"))

    assert pauses == []


def test_serialization_failure_is_tried_again(postgres_database):
    engine = sqlalchemy.create_engine(postgres_database, isolation_level="SERIALIZABLE")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE numbers (number INTEGER)")
        connection.exec_driver_sql("INSERT INTO numbers VALUES (1)")
    attempts = []

    def increment() -> None:
        attempts.append(1)
        with engine.begin() as connection:
            connection.exec_driver_sql("SELECT number FROM numbers")
            if len(attempts) == 1:
                with engine.begin() as other:
                    other.exec_driver_sql("UPDATE numbers SET number = number + 1")
            connection.exec_driver_sql("UPDATE numbers SET number = number + 1")

    retry(increment)
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT number FROM numbers").scalar() == 3
    engine.dispose()
    assert len(attempts) == 2


@pytest.mark.parametrize(
    "error",
    [
        ConflictingDefinitionError("not of the database"),
        IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed")),
    ],
)
def test_conflict_that_stays_is_tried_a_few_times_only(pauses, error):
    def conflict() -> None:
        raise error

    with pytest.raises(type(error), match=re.escape(str(error.args[0]))):
        retry(conflict)
    assert len(pauses) == CONFLICTS


def test_what_is_wrong_stands_alone_and_the_others_are_done():
    done, failed = [], []

    def action(numbers):
        if 13 in numbers:
            raise ValueError(f"{len(numbers)} with 13")
        done.extend(numbers)

    split_on_failure(range(20), action, lambda number, error: failed.append((number, str(error))))
    assert done == [number for number in range(20) if number != 13]
    assert failed == [(13, "1 with 13")]


def test_nothing_is_halved_where_the_database_fails():
    attempts = []

    def action(numbers):
        attempts.append(len(numbers))
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorname = "SQLITE_FULL"
        raise OperationalError("INSERT", {}, full)

    with (
        pytest.raises(RepositoryError, match=r"^The disk with the database is full\. .* the same call goes on"),
        told_as_repository_failures(writes=True),
    ):
        split_on_failure(range(20), action, lambda *_: pytest.fail("no number is to blame"))
    assert attempts == [20]


def test_database_that_stays_locked_is_an_error_that_says_so(butler):
    attempts = []

    def fail():
        attempts.append(1)
        locked = sqlite3.OperationalError("database is locked")
        locked.sqlite_errorname = "SQLITE_BUSY"
        raise OperationalError("UPDATE", {}, locked)

    with pytest.raises(ConfigurationError, match=r"could not be written to; .*database is locked'.*try again when"):
        in_transaction(butler, fail, pauses=(0, 0, 0, 0))
    assert len(attempts) == 5
