"""Which columns of an archive table say what, and its rows as images that can be registered.

Two kinds of rows are understood, and the join of both:

- rows of SIA2 (ObsCore with the address of the file): ``access_url``,
  ``s_region``, ``t_min``, ``t_max``;
- rows of ``spherex.plane`` joined with ``spherex.artifact``: ``uri``, ``poly``,
  ``time_bounds_lower``, ``time_bounds_upper``.

Where a table has both, ``uri`` is the address: the ``access_url`` of
``spherex.obscore`` is a DataLink, which names no file.  The case of names does
not matter, nor does a table's name before a column's (``p.poly``).  Each row
is checked against itself.
"""

from __future__ import annotations

__all__ = ("DataLinkError", "RowPlanner")

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from ..constants import DATASET_TYPE
from ..errors import FormatError
from ..images.description import MJD_RANGE, ImageDescription
from ..ingest.plan import PlannedFile
from ..names import ObservationId, ProcessingToken, ProductName, parse_product_name
from ..repository.runs import doubt_of, release_of
from .regions import parse_corners

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
    "s_ra": ("s_ra",),
    "s_dec": ("s_dec",),
    "access_estsize": ("access_estsize",),
    "obs_release_date": ("obs_release_date",),
}
"""What there is to know of an image, and the columns that may say it, the better one first."""

_REQUIRED = ("url", "region", "begin", "end")
_JOIN = (
    "SELECT o.*, a.uri FROM spherex.obscore o JOIN spherex.plane p ON o.obs_publisher_did = p.obs_publisher_did "
    "JOIN spherex.artifact a ON a.planeid = p.planeid WHERE a.producttype = 'science'"
)
"""How rows of ``spherex.obscore`` get the addresses of their files."""

_COLLECTION = re.compile(r"spherex_(qr\d*)(?:_[a-z]+)?")
_RELEASES = {"qr": "qr1"}  # the first release's collection has the name of its folder
_UNKNOWN: dict[str, Any] = {
    "exposure_time": None,
    "target_name": None,
    "science_program": None,
    "observation_reason": None,
    "tracking_ra": None,  # s_ra is the centre of a detector, not the boresight
    "tracking_dec": None,
    "sky_angle": None,
}
"""The fields of an exposure, of which tables know the first two."""


class DataLinkError(FormatError):
    """A row has the address of a list of links instead of the address of a file."""


class RowPlanner:
    """Turns the rows of one table into images.

    ``source`` is the table's name in messages, ``relocate`` as `.access` returns it. Without a ``release``,
    addresses tell it. ``positions`` are the indices of the columns that rows must have, in this order.
    """

    def __init__(
        self, columns: Sequence[str], source: str, relocate: Callable[[str], str], release: str | None
    ) -> None:
        found = _find_columns(columns, source)
        self.positions = tuple(found.values())
        self._names = {role: columns[number] for role, number in found.items()}
        order = {role: number for number, role in enumerate(found)}
        self._arrange = itemgetter(*(order.get(role, -1) for role in _ROLES))  # -1: the None after the row
        self._relocate = relocate
        self._release = release
        self._place = lru_cache(maxsize=16384)(self._find_place)  # folders hold about 1,800 files each

    def address(self, row: tuple[Any, ...]) -> str:
        """Return the address in a row, blank if there is none."""
        return str(self._arrange((*row, None))[0] or "").strip()

    def plan(self, row: tuple[Any, ...]) -> PlannedFile:
        """Return the image that a row stands for."""
        url, region, begin, end, exposure_time, target, obs_id, bandpass, collection, *rest = self._arrange(
            (*row, None)
        )
        folder, file_name = self._split(url)
        name, observation, detector = self._parse(file_name, url)
        _require_agreement(observation, detector, file_name, obs_id, bandpass)
        prefix, release, doubt = self._place(folder, name.token, collection)
        first, last = self._times(begin, end)
        fields = {
            **_UNKNOWN,
            "exposure_time": self._optional_number("exposure_time", exposure_time),
            "target_name": None if target is None else str(target).strip() or None,
        }
        description = ImageDescription(
            observation=observation,
            detector=detector,
            begin=first,
            end=last,
            fields=fields,
            corners=parse_corners(region),
            expidn=observation.exposure_id * 10 + detector,
            stated=dict(self._stated(*rest)),
        )
        return PlannedFile(prefix + file_name, name, release, description, None, doubt)

    def _split(self, url: Any) -> tuple[str, str]:
        if not isinstance(url, str) or not url.strip():
            raise FormatError(f"{self._names['url']} is {url!r}; expected the address of a file.")
        folder, _, file_name = url.strip().rpartition("/")
        return folder, file_name

    def _parse(self, file_name: str, url: str) -> tuple[ProductName, ObservationId, int]:
        try:
            name = parse_product_name(file_name)
        except FormatError:
            if "datalink" in url.lower() or "ivo://" in url.lower():
                raise DataLinkError(
                    f"{self._names['url']} is {url!r}, a DataLink, which names no file and no processing; expected a "
                    f"column uri with the file's address, as in: {_JOIN}"
                ) from None
            raise
        if name.dataset_type != DATASET_TYPE or name.observation is None or name.detector is None:
            raise FormatError(
                f"{str(name)!r} is a {name.dataset_type!r}; expected a {DATASET_TYPE!r} image. Calibrations are "
                "ingested from their files, by butler spherex ingest-calibrations."
            )
        if "?" in file_name or "#" in file_name:
            raise FormatError(
                f"{self._names['url']} is {url!r}, a part of an image; expected the address of the whole file."
            )
        return name, name.observation, name.detector

    def _find_place(self, folder: str, token: ProcessingToken, collection: Any) -> tuple[str, str, str | None]:
        """Return the URL under which the files of a folder are read, their release, and why that may be wrong."""
        prefix = self._relocate(folder)
        product = ProductName(DATASET_TYPE, token), f"{folder}/", self._release
        release = release_of(*product)
        match = _COLLECTION.fullmatch(str(collection or "").strip().lower())
        said = _RELEASES.get(match[1], match[1]) if match else release
        if self._release is None and said != release:
            raise FormatError(
                f"{self._names['collection']} is {collection!r}, but the file in {folder!r} is of release {release!r}; "
                "expected the same release, or release= to decide."
            )
        return prefix, release, doubt_of(*product)

    def _times(self, begin: Any, end: Any) -> tuple[float, float]:
        first, last = self._number("begin", begin), self._number("end", end)
        if not MJD_RANGE[0] < first < last < min(first + 1, MJD_RANGE[1]):
            raise FormatError(
                f"{self._names['begin']} is {begin!r} and {self._names['end']} {end!r}; expected the beginning and "
                f"the end of one exposure, as MJD between {MJD_RANGE[0]:.0f} and {MJD_RANGE[1]:.0f}."
            )
        return first, last

    def _number(self, role: str, value: Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError):
            raise FormatError(f"{self._names[role]} is {value!r}; expected a number.") from None

    def _optional_number(self, role: str, value: Any) -> float | None:
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        number = self._number(role, value)
        return number if math.isfinite(number) else None

    def _stated(self, ra: Any, dec: Any, size: Any, published: Any) -> Iterator[tuple[str, Any]]:
        """Yield what a table says besides, of ObsCore's columns."""
        for name, value in (("s_ra", ra), ("s_dec", dec), ("access_estsize", size)):
            if (number := self._optional_number(name, value)) is not None:
                yield name, number
        if text := str(published or "").strip():
            yield "obs_release_date", text


def _find_columns(columns: Sequence[str], source: str) -> dict[str, int]:
    """Return by role the index of the column that plays it."""
    plain = {name.strip().rpartition(".")[2].lower(): number for number, name in reversed(list(enumerate(columns)))}
    found = {role: plain[name] for role, names in _ROLES.items() for name in reversed(names) if name in plain}
    missing = [_ROLES[role] for role in _REQUIRED if role not in found]
    if missing:
        raise FormatError(
            f"{source} has the columns {list(columns)}, but no {' and no '.join(map(' or '.join, missing))}. Expected "
            "are either rows of SIA2, with access_url, s_region, t_min and t_max, or spherex.plane joined with "
            "spherex.artifact, with uri, poly, time_bounds_lower and time_bounds_upper."
        )
    return found


def _require_agreement(observation: ObservationId, detector: int, file_name: str, obs_id: Any, bandpass: Any) -> None:
    """Check that the columns are about the image that the address names."""
    if obs_id and not file_name.startswith(f"{DATASET_TYPE}_{str(obs_id).strip()}D"):
        raise FormatError(f"obs_id is {obs_id!r}, but the file is of {str(observation)!r}; expected the same.")
    expected = f"SPHEREx-D{detector}"
    if bandpass and str(bandpass).strip() != expected:
        raise FormatError(
            f"energy_bandpassname is {bandpass!r}, but the file is of detector {detector}; expected {expected!r}."
        )
