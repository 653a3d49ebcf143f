"""What a database's error means to the reader: what happened, and what to do."""

from __future__ import annotations

__all__ = ("concerns_credentials", "explain_credentials_error", "explain_database_error", "lacks_rights")

import re
import traceback

from lsst.utils.db_auth import DbAuthError
from sqlalchemy.exc import DBAPIError

from ..errors import reason_of

_SQLITE = {
    "SQLITE_READONLY_ROLLBACK": "A process was killed while it wrote to the database, and what it began has to be "
    "undone, which a repository opened for reading cannot do. If no process works on it any more, run 'butler spherex "
    "verify REPO --fix' as a user who may write to it, or in Python Butler.from_config(REPO, writeable=True).close(). "
    "What was finished stays",
    "SQLITE_READONLY": "The database cannot be written to: its file or its folder is read-only for this user. Expected "
    "write permission for both; ask the owner of the repository, or work on a copy",
    "SQLITE_CANTOPEN": "The database cannot be opened. Expected an SQLite file that this user may read, in a folder "
    "that exists",
    "SQLITE_BUSY": "The database is locked by another process. Try again when that has ended",
    "SQLITE_LOCKED": "The database is locked by another process. Try again when that has ended",
    "SQLITE_FULL": "The disk with the database is full. Make room and give the same command again; what was finished "
    "stays",
    "SQLITE_IOERR": "The disk with the database could not be read or written. See to the disk and try again",
    "SQLITE_CORRUPT": "The database is damaged. Restore the file from a backup",
    "SQLITE_NOTADB": "The database file is not an SQLite database. Restore the file from a backup",
}
"""By SQLite's name of the error, or its beginning; the longer first."""

_POSTGRES = {
    "42501": "This user may not do that in the database. Ask its owner for the rights on the repository's tables: "
    "to read them and, for what changes the repository, to insert, update and delete rows",
    "25006": "The database is read-only. Expected one that can be written to, such as the primary server",
    "28": "The database refused this user. Butler takes user and password from ~/.lsst/db-auth.yaml, or from the file "
    "that LSST_DB_AUTH names; PostgreSQL also from the one that PGPASSFILE names",
    "3D000": "There is no such database on that server. Have it made ('createdb'), or correct its name",
    "53": "The database server has not enough room, memory or connections. Try again later",
    "57P": "The database server was shut down. Try again when it runs",
}
"""By PostgreSQL's SQLSTATE, or its beginning."""

_NOT_CONNECTED = {
    "28": "password authentication failed|no password supplied|no pg_hba.conf entry|role .* not (exist|permitted)",
    "3D000": "database .* does not exist",
    "53": "too many (clients|connections)|connection slots",
}
"""What the server says to who gets no connection, by SQLSTATE, which psycopg's errors then lack."""

_UNREACHABLE = (
    "The database server cannot be reached. Expected one that answers at the host and port of the database's URL, with "
    "the user that ~/.lsst/db-auth.yaml (or the file that LSST_DB_AUTH names) gives for it"
)


def lacks_rights(error: DBAPIError) -> bool:
    """Whether a database refuses a user what was asked for, which SQLAlchemy takes for a wrong query."""
    return str(getattr(error.orig, "sqlstate", None)) in {"42501", "25006"}


def explain_database_error(error: DBAPIError) -> str:
    """Return in a paragraph what a database's error means, and what to do."""
    said = error.orig
    sqlite = str(getattr(said, "sqlite_errorname", None) or "")
    state = getattr(said, "sqlstate", None) or next(
        (code for code, words in _NOT_CONNECTED.items() if re.search(words, str(said))), None
    )
    if sqlite:
        found = [meaning for name, meaning in _SQLITE.items() if sqlite.startswith(name)]
    elif state:
        found = [meaning for code, meaning in _POSTGRES.items() if str(state).startswith(code)]
    else:
        found = [_UNREACHABLE] if error.connection_invalidated or type(error).__name__ == "OperationalError" else []
    meaning = found[0] if found else "The database failed"
    return f"{meaning}. It said: {reason_of(error).rstrip('.?')}."


def concerns_credentials(error: BaseException) -> bool:
    """Whether an error comes from the file of users and passwords, whose entries Butler takes as they are."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return bool(frame.f_globals["__name__"] == DbAuthError.__module__)


def explain_credentials_error(error: BaseException) -> str:
    """Return in a paragraph what is wrong with the file of users and passwords, and what it should be."""
    unread = f"The users and passwords for databases cannot be read: {reason_of(error)}"
    found = str(error).rstrip(".") if isinstance(error, DbAuthError) else unread
    return (
        f"{found}. Expected, in ~/.lsst/db-auth.yaml or the file that LSST_DB_AUTH names, a list in YAML of entries "
        "with url, username and password, which nobody but its owner may read ('chmod 600')."
    )
