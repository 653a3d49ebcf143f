"""Whose failure an error is: one item's, which keeps no other out, or the repository's own, which ends the call."""

from __future__ import annotations

__all__ = (
    "database_error",
    "one_item",
    "told_as_repository_failures",
    "writing_to",
)

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lsst.resources import ResourcePath
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError

from ..errors import RepositoryError, SpherexButlerError, causes_of, reason_of
from ..files.failures import FailingAlone
from ..files.folders import may_be_made
from ..files.waiting import is_silence
from .database_errors import explain_database_error, lacks_rights

_OF_DATABASE = (OperationalError, InterfaceError, InternalError)
_OF_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_GOES_ON = "What was registered before stays; the same call goes on with the rest."


def one_item(give_up: Callable[[Exception], object]) -> FailingAlone:
    """Hand whatever is raised for one item to a function, and go on; the repository's own failure is raised."""

    def judge(error: Exception) -> None:
        if isinstance(error, RepositoryError) or _failure_of_repository(error) is not None:
            raise error
        give_up(error)

    return FailingAlone(judge)


@contextmanager
def told_as_repository_failures(*, writes: bool = False) -> Iterator[None]:
    """Raise failures of the database as `.RepositoryError`; where something is written, it says what to do again.

    Each public function that asks the database is decorated with it, so that no error shows the statement that failed.
    """
    try:
        yield
    except SpherexButlerError:
        raise
    except Exception as error:
        if (found := _failure_of_repository(error)) is None:
            raise
        goes_on = f" {_GOES_ON}" if writes else ""
        raise RepositoryError(f"{explain_database_error(found)}{goes_on}") from error


@contextmanager
def writing_to(target: ResourcePath) -> Iterator[None]:
    """Raise a `.RepositoryError` where a file cannot be written because of the place it should go to.

    A store that does not answer was asked for a minute by then, and would be for each file.
    """
    try:
        yield
    except Exception as error:
        if (fault := _fault_of_place(target, error)) is None:
            raise
        raise RepositoryError(f"{fault} {_GOES_ON}") from error


def _fault_of_place(target: ResourcePath, error: Exception) -> str | None:
    """Return in what a place for files is at fault, and what is expected there; `None` if it is not."""
    if target.scheme == "s3" and type(error).__module__.startswith("botocore") and is_silence(error):
        return (
            f"The S3 store with the repository's files does not answer: {reason_of(error).rstrip('.')}. Expected it at "
            "the address in S3_ENDPOINT_URL, or at Amazon where that is not set."
        )
    if isinstance(error, OSError):
        forbidden = isinstance(error, PermissionError) and target.isLocal
        if error.errno in _OF_DISK or (forbidden and not may_be_made(Path(target.ospath).parent)):
            return (
                f"The repository's files cannot be written: {reason_of(error)}. Expected room on its disk and the "
                "permission to write."
            )
    return None


def _failure_of_repository(error: Exception) -> DBAPIError | None:
    """Return the database's own failure if this error is one, and no fault of what was asked for."""
    found = database_error(error)
    return found if found is not None and (isinstance(found, _OF_DATABASE) or lacks_rights(found)) else None


def database_error(error: BaseException | None) -> DBAPIError | None:
    """Return the error of the database, which Butler may have wrapped in its own."""
    return next((one for one in causes_of(error) if isinstance(one, DBAPIError)), None)
