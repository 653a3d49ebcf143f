"""A database's password shows nowhere: not in butler.yaml, what commands print, logs, errors and reports."""

from __future__ import annotations

import logging
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy
import yaml
from command_line import run
from made_once import copy_configuration, copy_repo
from postgres import execute

from spherex_butler import make_repo, open_repo
from spherex_butler.errors import ConfigurationError, ParameterError

SECRET = "Pa55-w0rd"
BUTLER = Path(sys.executable).with_name("butler")


@pytest.fixture(autouse=True)
def _levels_stay() -> Iterator[None]:
    """Commands that run in this process leave Butler's loggers at the level that they are told."""
    loggers = [logging.getLogger(), *(one for one in logging.root.manager.loggerDict.values() if hasattr(one, "level"))]
    before = [(logger, logger.level) for logger in loggers]
    yield
    for logger, level in before:
        logger.setLevel(level)


@dataclass
class Guarded:
    """A repository whose database asks its owner for a password, and its URL without that."""

    repo: Path
    url: str
    user: str


@pytest.fixture
def guarded(postgres_database, tmp_path) -> Iterator[Guarded]:
    user = f"guarded_{uuid.uuid4().hex}"
    engine = sqlalchemy.create_engine(postgres_database)
    with engine.connect() as connection:
        hba = connection.execute(sqlalchemy.text("SHOW hba_file")).scalar_one()
    engine.dispose()
    before = Path(hba).read_text()
    execute(postgres_database, f"CREATE ROLE {user} LOGIN SUPERUSER PASSWORD '{SECRET}'")
    Path(hba).write_text(f"local all {user} scram-sha-256\n{before}")
    execute(postgres_database, "SELECT pg_reload_conf()")
    make_repo(tmp_path / "repo", database=postgres_database).close()
    yield Guarded(tmp_path / "repo", sqlalchemy.make_url(postgres_database).set(username=user).render_as_string(), user)
    Path(hba).write_text(before)
    execute(postgres_database, "SELECT pg_reload_conf()")
    execute(postgres_database, f"DROP OWNED BY {user}")
    execute(postgres_database, f"DROP ROLE {user}")


def with_password(url: str, password: str = SECRET) -> str:
    return sqlalchemy.make_url(url).set(password=password).render_as_string(hide_password=False)


@pytest.mark.parametrize(
    "line",
    [
        ["create", "new", "--database", f"postgresql://anna:{SECRET}@localhost/name"],
        ["create", "new", "--database", f"postgresql://anna@localhost/name?password={SECRET}"],
        ["create", "new", "--database", f"postgresql://anna:{SECRET}@localhost/name", "--dry-run"],
        ["create", f"s3://key:{SECRET}@bucket/root"],
        ["create", "new", "--datastore-root", f"s3://key:{SECRET}@bucket/root"],
        ["create", "new", "--database", f"mysql://anna:{SECRET}@localhost/name"],
        ["create", "new", "--database", f"postgresql://anna:{SECRET}@localhost/name", "--nonsense"],
    ],
    ids=["URL", "parameter", "dry run", "root", "datastore", "other database", "usage"],
)
def test_password_given_to_create_is_refused_and_not_repeated(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = run("--log-level", "DEBUG", *line, code=2 if "--nonsense" in line else 1)
    assert SECRET not in said
    assert "password" in said or "--nonsense" in said
    assert not list(tmp_path.rglob("butler.yaml"))


def test_python_refuses_it_without_repeating_it(tmp_path):
    with pytest.raises(ParameterError, match="holds a password") as caught:
        make_repo(tmp_path / "new", database=f"postgresql://anna:{SECRET}@localhost/name")
    assert SECRET not in str(caught.value)


COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "verify": lambda repo: ["verify", str(repo), "--json"],
    "list": lambda repo: ["list", str(repo)],
    "register": lambda repo: ["register", str(repo)],
    "report": lambda repo: ["report", str(repo), "--output", str(repo / "page.html")],
    "configuration": lambda repo: ["verify", "--config", str(repo)],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_password_of_a_file_shows_nowhere(guarded, command, tmp_path, run_clean):
    authority = tmp_path / "db-auth.yaml"
    authority.write_text(yaml.safe_dump([{"url": guarded.url, "username": guarded.user, "password": SECRET}]))
    authority.chmod(0o600)
    line = COMMANDS[command](guarded.repo)
    said = run_clean(str(BUTLER), "--log-level", "DEBUG", "spherex", *line, LSST_DB_AUTH=str(authority))
    assert SECRET not in said
    written = [path for path in guarded.repo.rglob("*") if path.is_file()]
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []


UNREADABLE = {
    "open to all": ("[]", 0o644, "has incorrect permissions"),
    "no YAML": ("- url: [broken", 0o600, "Unable to load"),
    "no list": ("url: postgresql://localhost", 0o600, "cannot be read: TypeError"),
    "no password": ("- url: postgresql://localhost:1/name", 0o600, "cannot be read: KeyError"),
}
"""Files of passwords: what is in them, their mode, and what is said of them."""


@pytest.mark.parametrize("given", UNREADABLE)
@pytest.mark.parametrize("command", ["list", "create"])
def test_file_of_passwords_that_is_no_such_file_is_refused(command, given, tmp_path, monkeypatch):
    text, mode, found = UNREADABLE[given]
    authority = tmp_path / "db-auth.yaml"
    authority.write_text(text)
    authority.chmod(mode)
    monkeypatch.setenv("LSST_DB_AUTH", str(authority))
    url = "postgresql://localhost:1/name"
    lines = {
        "list": ["list", copy_configuration(copy_repo(tmp_path / "repo"), tmp_path / "new", {"registry": {"db": url}})],
        "create": ["create", tmp_path / "newer", "--database", url],
    }
    said = run(*lines[command], code=1)
    assert found in said
    assert "Expected, in ~/.lsst/db-auth.yaml or the file that LSST_DB_AUTH names, a list in YAML of entries" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_password_that_somebody_wrote_into_butler_yaml_is_masked(guarded, command, tmp_path, run_clean):
    url = with_password(guarded.url)
    repo = copy_configuration(guarded.repo, tmp_path / "by-hand", {"registry": {"db": url}})
    assert SECRET in (repo / "butler.yaml").read_text()
    said = run_clean(str(BUTLER), "--log-level", "DEBUG", "spherex", *COMMANDS[command](repo))
    assert SECRET not in said
    assert not (page := repo / "page.html").exists() or SECRET not in page.read_text()


@pytest.mark.parametrize("where", ["wrong password", "wrong host"])
def test_error_of_a_database_does_not_repeat_it(guarded, where, tmp_path, run_clean):
    wrong = f"{SECRET}-wrong"
    url = with_password(guarded.url, wrong)
    if where == "wrong host":
        url = f"postgresql+psycopg://anna:{wrong}@127.0.0.1:9/name"
    repo = copy_configuration(guarded.repo, tmp_path / "by-hand", {"registry": {"db": url}})
    with pytest.raises(ConfigurationError, match="cannot be opened") as caught:
        open_repo(repo)
    assert SECRET not in str(caught.value)
    said = run_clean(str(BUTLER), "--log-level", "DEBUG", "spherex", "list", str(repo), code=1)
    assert SECRET not in said
    assert "The database" in said
