"""Choosing columns, keys and rows by name, glob and slice, the same way in every format."""

from __future__ import annotations

__all__ = ("as_slice", "select_names")

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ..errors import ParameterError


def select_names(available: Sequence[str], wanted: str | Iterable[str] | None, *, what: str) -> list[str]:
    """Return the available names that were asked for, in the file's order.

    ``wanted`` is a name, a glob (``*``, ``?``, ``[…]``) or a list of either; `None` stands for all. A name that
    exists is taken literally, even if it looks like a glob. ``what`` says in errors what the names are:
    ``"column"``.
    """
    if wanted is None:
        return list(available)
    patterns = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)
    chosen: set[str] = set()
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise ParameterError(f"{what}s must be names or globs, not {pattern!r}.")
        matches = {pattern} & set(available) or {name for name in available if fnmatchcase(name, pattern)}
        if not matches:
            raise ParameterError(f"There is no {what} {pattern!r}; the file has {list(available)!r}.")
        chosen |= matches
    return [name for name in available if name in chosen]


def as_slice(rows: Any, *, what: str = "rows") -> slice:
    """Return ``rows`` if it is a slice with a positive step, or `None` as the whole."""
    if rows is None:
        return slice(None)
    if not isinstance(rows, slice) or (rows.step is not None and rows.step < 1):
        raise ParameterError(f"{what}={rows!r} is not a slice with a positive step, such as slice(0, 100).")
    return rows
