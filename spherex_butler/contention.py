"""What to do where another process was faster: the same again, a little later."""

from __future__ import annotations

__all__ = ("patiently",)

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from lsst.daf.butler.registry import RegistryError
from sqlalchemy.exc import DBAPIError, IntegrityError

_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)  # seconds, at most, before each further attempt
_CONFLICTS = 4  # further attempts after a row was there already: it will be found then
_SERIALIZATION = frozenset({"40001", "40P01", "55P03"})  # PostgreSQL: serialization failure, deadlock, lock not got

_log = logging.getLogger(__name__)

_Result = TypeVar("_Result")


def patiently(action: Callable[[], _Result]) -> _Result:
    """Return what an action returns that reads or writes the registry, tried again while others are in its way.

    Parameters
    ----------
    action
        Undoes what it did where it fails, as a transaction does.
    """
    for number, pause in enumerate(_PAUSES):
        try:
            return action()
        except (DBAPIError, RegistryError) as error:
            reason = _database_error(error)
            if not (_is_locked(reason) or (isinstance(reason, IntegrityError) and number < _CONFLICTS)):
                raise
            _log.info("Another process was faster: %s", reason)
        time.sleep(pause * random.random())  # noqa: S311  (so that the two do not meet again; no secret)
    return action()


def _database_error(error: BaseException | None) -> DBAPIError | None:
    """Return what the database said, which Butler may have put into other words."""
    while error is not None and not isinstance(error, DBAPIError):
        error = error.__cause__
    return error


def _is_locked(error: DBAPIError | None) -> bool:
    """Whether another process has what this one wants to change."""
    said = getattr(error, "orig", None)
    name = str(getattr(said, "sqlite_errorname", ""))
    return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or getattr(said, "sqlstate", "") in _SERIALIZATION
