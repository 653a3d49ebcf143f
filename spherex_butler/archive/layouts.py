"""Which columns of an archive table say what of an image.

Two kinds of rows are understood, and what joins them:

- those of SIA2 (ObsCore with the address of the file): ``access_url``,
  ``s_region``, ``t_min``, ``t_max``;
- those of ``spherex.plane`` joined with ``spherex.artifact``: ``uri``, ``poly``,
  ``time_bounds_lower``, ``time_bounds_upper``.

Where a table has both, ``uri`` is the address: the ``access_url`` of
``spherex.obscore`` is a DataLink, which names no file.  Upper and lower case
are the same, and a table's name before a column's (``p.poly``) is left out.
"""

from __future__ import annotations

__all__ = ("JOIN_HINT", "Layout", "find_layout")

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from ..errors import FormatError

JOIN_HINT = (
    "SELECT o.*, a.uri FROM spherex.obscore o JOIN spherex.plane p ON o.obs_publisher_did = p.obs_publisher_did "
    "JOIN spherex.artifact a ON a.planeid = p.planeid WHERE a.producttype = 'science'"
)
"""How rows of ``spherex.obscore`` get the addresses of their files."""

_ROLES: Mapping[str, tuple[str, ...]] = {
    "url": ("uri", "access_url"),
    "region": ("s_region", "poly"),
    "begin": ("t_min", "time_bounds_lower"),
    "end": ("t_max", "time_bounds_upper"),
    "exposure_time": ("t_exptime", "time_exposure"),
    "target_name": ("target_name",),
    "obs_id": ("obs_id", "observationid"),
    "bandpass": ("energy_bandpassname",),
    "collection": ("obs_collection", "collection"),
}
"""What is to be known of an image, and the columns that say it, the better one first."""

_REQUIRED = ("url", "region", "begin", "end")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a table says what.

    Parameters
    ----------
    names
        By role, the column that says it, as the table spells it.
    positions
        Indices of these columns in the table.
    arrange
        Puts their values, followed by one `None`, in the order of the roles;
        what the table does not say is `None`.
    """

    names: Mapping[str, str]
    positions: tuple[int, ...]
    arrange: Callable[[tuple[Any, ...]], tuple[Any, ...]]


def find_layout(columns: Sequence[str], source: str) -> Layout:
    """Return where a table says what.

    Parameters
    ----------
    columns
        The table's columns.
    source
        What the table is called in messages.

    Raises
    ------
    FormatError
        Raised if the table does not say enough.
    """
    plain = {name.strip().rpartition(".")[2].lower(): number for number, name in reversed(list(enumerate(columns)))}
    found = {role: plain[name] for role, names in _ROLES.items() for name in reversed(names) if name in plain}
    missing = [_ROLES[role] for role in _REQUIRED if role not in found]
    if missing:
        raise FormatError(
            f"{source} has the columns {list(columns)}, but no {' and no '.join(map(' or '.join, missing))}. Expected "
            "are either rows of SIA2, with access_url, s_region, t_min and t_max, or spherex.plane joined with "
            "spherex.artifact, with uri, poly, time_bounds_lower and time_bounds_upper."
        )
    order = {role: number for number, role in enumerate(found)}
    arrange = itemgetter(*(order.get(role, -1) for role in _ROLES))
    return Layout({role: columns[number] for role, number in found.items()}, tuple(found.values()), arrange)
