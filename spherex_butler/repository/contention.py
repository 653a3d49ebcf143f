"""Changes of the registry while other processes change it, too: tried again, and split where one item is wrong."""

from __future__ import annotations

__all__ = ("in_transaction", "retry", "split_on_failure")

import logging
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from lsst.daf.butler import Butler
from lsst.daf.butler.registry import ConflictingDefinitionError, RegistryError
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from ..errors import ConfigurationError, reason_of
from .failures import database_error, one_item
from .opened import require_writeable

PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
"""Seconds, at most, before each further attempt."""

CONFLICTS = 4
"""Further attempts after a conflict with something that is there already, which the next attempt finds."""

_SERIALIZATION = frozenset({"40001", "40P01", "55P03"})  # PostgreSQL: serialization failure, deadlock, lock not got

_log = logging.getLogger(__name__)

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def retry(action: Callable[[], _Result], *, pauses: Sequence[float] = PAUSES) -> _Result:
    """Return what an action on the registry returns, tried again while other processes are in its way.

    The action undoes what it did where it fails, as a transaction does; pauses are in seconds, at most.
    """
    for number, pause in enumerate(pauses):
        try:
            return action()
        except (DBAPIError, RegistryError) as error:
            said = database_error(error)
            is_there = isinstance(said, IntegrityError) or isinstance(error, ConflictingDefinitionError)
            if not (_is_locked(said) or (is_there and number < CONFLICTS)):
                raise
            _log.info("Another process was faster: %s", error)
        time.sleep(pause * random.random())  # noqa: S311  (so that the two do not meet again; no secret)
    return action()


def in_transaction(butler: Butler, change: Callable[[], _Result], *, pauses: Sequence[float] = PAUSES) -> _Result:
    """Return what a change of the registry returns, made in one transaction.

    It is called again, from the start, where another process made it fail; it is an error if that stays so.
    """
    require_writeable(butler)

    def attempt() -> _Result:
        with butler.transaction():
            return change()

    try:
        return retry(attempt, pauses=pauses)
    except (ConflictingDefinitionError, OperationalError) as error:
        if isinstance(error, OperationalError) and not _is_locked(error):
            raise
        raise ConfigurationError(
            f"The registry could not be written to; the last attempt ended with: {str(error).splitlines()[0]!r}. "
            "Nothing was changed; if another process writes to it, try again when it is done."
        ) from error


def split_on_failure(
    items: Sequence[_Item], action: Callable[[Sequence[_Item]], None], give_up: Callable[[_Item, Exception], None]
) -> None:
    """Call an action with all items at once; where that fails, with halves of them, until each wrong one stands alone.

    The action undoes what it did where it fails. ``give_up`` is called with an item that fails alone, and why, whatever
    was raised; the repository's own failure is the fault of no item, and ends the call.
    """
    if not items:
        return
    errors: list[Exception] = []
    with one_item(errors.append):
        retry(partial(action, items))
    if errors and len(items) == 1:
        give_up(items[0], errors[0])
    elif errors:
        _log.info("%d could not be registered together: %s", len(items), reason_of(errors[0]))
        middle = len(items) // 2
        split_on_failure(items[:middle], action, give_up)
        split_on_failure(items[middle:], action, give_up)


def _is_locked(error: DBAPIError | None) -> bool:
    """Return whether another process has locked what this one wants to change."""
    said = getattr(error, "orig", None)
    name = str(getattr(said, "sqlite_errorname", ""))
    return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or getattr(said, "sqlstate", "") in _SERIALIZATION
