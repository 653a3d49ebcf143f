"""What callers give, refused before anything is done with it."""

from __future__ import annotations

__all__ = ("detectors_given", "exposures_given", "require_detectors", "require_number", "require_text")

from collections.abc import Iterable
from numbers import Integral
from typing import Any

from .constants import DETECTORS
from .errors import FormatError, ParameterError
from .names import ObservationId, detector_number

_MOST_DIGITS = 18
"""Of a number that fits into 64 bits, which is what databases hold."""


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
    if not _is_whole(value) or value < least or (most is not None and value > most):  # type: ignore[operator]  # a number
        expected = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise ParameterError(f"{name}={value!r} is not possible; expected a whole number {expected}.")


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def require_detectors(numbers: Iterable[object]) -> None:
    """Refuse detectors that do not exist, for which a look-up would just find nothing.

    Raises
    ------
    ParameterError
        Raised if there is one.
    """
    if unknown := sorted({str(number) for number in numbers if number not in DETECTORS}):
        raise ParameterError(
            f"There is no detector {', '.join(unknown)}; expected numbers from 1 to {len(DETECTORS)}, or 'D1' to "
            f"'D{len(DETECTORS)}'."
        )


def detectors_given(detectors: int | str | Iterable[int | str] | None) -> frozenset[int] | None:
    """Return detectors that are given as one or as several, each by its number or as ``"D3"``.

    `None` stands for all, and is returned.

    Raises
    ------
    ParameterError
        Raised if one does not exist.
    """
    if detectors is None:
        return None
    given = [detectors] if isinstance(detectors, int | str) or not isinstance(detectors, Iterable) else detectors
    found = [_detector(one) for one in given]
    require_detectors(found)
    return frozenset(map(int, found))


def _detector(given: Any) -> Any:
    """Return the number of a detector that is written as text; anything else as it is."""
    try:
        return detector_number(given) if isinstance(given, str) else given
    except FormatError:
        return given


def exposures_given(exposures: int | str | Iterable[int | str] | None) -> frozenset[int] | None:
    """Return the ids of exposures that are given as one or as several, each by its id or its observation id.

    `None` stands for all, and is returned.

    Raises
    ------
    ParameterError
        Raised if one is neither.
    """
    if exposures is None:
        return None
    alone = isinstance(exposures, Integral | str) or not isinstance(exposures, Iterable)
    given: Iterable[object] = [exposures] if alone else exposures  # type: ignore[assignment]  # several
    return frozenset(map(_exposure, given))


def _exposure(given: object) -> int:
    number: Any = given
    if isinstance(given, str):
        try:
            is_id = given.isdecimal() and len(given) <= _MOST_DIGITS
            number = int(given) if is_id else ObservationId.parse(given).exposure_id
        except FormatError:
            number = None
    if not _is_whole(number) or len(str(abs(int(number)))) > _MOST_DIGITS:
        raise ParameterError(
            f"There is no exposure {given!r}; expected an exposure id such as 20255110106842, or an observation id "
            "such as '2025W51_1A_0684_2'."
        )
    return int(number)


def require_text(name: str, value: object, example: str) -> None:
    """Refuse what is given for one text and is none; `None` passes.

    Parameters
    ----------
    name
        What the caller knows it as.
    value
        What was given.
    example
        What would be understood.

    Raises
    ------
    ParameterError
        Raised if it is refused.
    """
    if value is not None and not isinstance(value, str):
        raise ParameterError(f"{name}={value!r} is not possible; expected one text such as {example!r}.")
