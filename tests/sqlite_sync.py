"""SQLite without waiting for the disk: nothing that tests write has to survive the machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def sqlite_without_sync() -> Iterator[None]:
    """Let SQLite leave it to the system when to write, in this process and those forked from it."""
    event.listen(Engine, "connect", _leave_it)
    yield
    event.remove(Engine, "connect", _leave_it)


def _leave_it(connection: Any, _: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        # A database that has first to be mended, or is none, is for what opens it to find.
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA synchronous = OFF")
