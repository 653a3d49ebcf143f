"""What callers give, refused before anything is done with it."""

from __future__ import annotations

__all__ = ("detectors_given", "require_detectors", "require_number")

from collections.abc import Iterable
from numbers import Integral

from .constants import DETECTORS
from .errors import ParameterError


def require_number(name: str, value: object, least: int = 1, most: int | None = None) -> None:
    """Refuse what is no whole number, or too small or too large a one.

    Parameters
    ----------
    name
        What the caller knows it as.
    value
        What was given.
    least, most
        The smallest, and the largest if there is one.

    Raises
    ------
    ParameterError
        Raised if it is refused.
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):  # type: ignore[operator]  # a number
        expected = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise ParameterError(f"{name}={value!r} is not possible; expected a whole number {expected}.")


def require_detectors(numbers: Iterable[object]) -> None:
    """Refuse detectors that do not exist, for which a look-up would just find nothing.

    Raises
    ------
    ParameterError
        Raised if there is one.
    """
    if unknown := sorted({str(number) for number in numbers if number not in DETECTORS}):
        raise ParameterError(f"There is no detector {', '.join(unknown)}; expected numbers from 1 to {len(DETECTORS)}.")


def detectors_given(detectors: int | Iterable[int] | None) -> frozenset[int] | None:
    """Return detectors that are given as one or as several; `None` stands for all, and is returned.

    Raises
    ------
    ParameterError
        Raised if one does not exist.
    """
    if detectors is None:
        return None
    given = [detectors] if isinstance(detectors, int | str) or not isinstance(detectors, Iterable) else detectors
    found = list(given)
    require_detectors(found)
    return frozenset(map(int, found))
