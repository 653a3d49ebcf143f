"""Several changes of the registry as one, done again when another process was faster."""

from __future__ import annotations

__all__ = ("together",)

import random
import time
from collections.abc import Callable
from typing import TypeVar

from lsst.daf.butler import Butler
from lsst.daf.butler.registry import ConflictingDefinitionError
from sqlalchemy.exc import OperationalError

from .errors import ConfigurationError

_ATTEMPTS = 5
_PAUSE = 0.2  # seconds, at most, so that two processes do not meet again

_Result = TypeVar("_Result")


def together(butler: Butler, change: Callable[[], _Result]) -> _Result:
    """Return what a change returns, which is made in one transaction.

    Parameters
    ----------
    butler
        A writeable repository.
    change
        Reads and writes; called again, from the start, where another process made it fail.

    Raises
    ------
    ConfigurationError
        Raised if the registry cannot be written to, or others were faster each time.
    """
    if not butler.isWriteable():
        raise ConfigurationError(
            "The repository is read-only here; open it with Butler.from_config(…, writeable=True)."
        )
    attempt = 0
    while True:
        attempt += 1
        try:
            with butler.transaction():
                return change()
        except (ConflictingDefinitionError, OperationalError) as error:
            if attempt == _ATTEMPTS:
                raise ConfigurationError(
                    f"The registry could not be written to in {attempt} attempts, the last of which ended with: "
                    f"{str(error).splitlines()[0]!r}. Nothing was changed; if another process writes to it, try again "
                    "when it is done."
                ) from error
            time.sleep(_PAUSE * random.random())  # noqa: S311  (a pause is no secret)
