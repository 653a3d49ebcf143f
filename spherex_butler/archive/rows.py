"""Rows of an archive table to images that can be registered, each checked against itself."""

from __future__ import annotations

__all__ = ("DataLinkError", "RowPlanner")

import math
import re
from functools import lru_cache
from typing import Any

from ..constants import DATASET_TYPE
from ..errors import FormatError
from ..images.description import MJD_RANGE, ImageDescription
from ..ingest.plan import PlannedFile
from ..names import ProcessingToken, ProductName, parse_product_name
from ..repository.runs import release_of
from .access import Access
from .layouts import JOIN_HINT, Layout
from .regions import parse_corners

_COLLECTION = re.compile(r"spherex_(qr\d*)(?:_[a-z]+)?")
_RELEASES = {"qr": "qr1"}  # the collection of the first is named as its folder
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
    """A row has the address of a list of links instead of that of a file."""


class RowPlanner:
    """Makes images of the rows of one table.

    Parameters
    ----------
    layout
        Which column says what.
    access
        Where files are to be read.
    release
        The release all images belong to; by default as their addresses tell.
    """

    def __init__(self, layout: Layout, access: Access, release: str | None) -> None:
        self._names = layout.names
        self._arrange = layout.arrange
        self._access = access
        self._release = release
        self._place = lru_cache(maxsize=16384)(self._find_place)  # folders hold about 1,800 files each

    def address(self, row: tuple[Any, ...]) -> str:
        """Return the address a row gives, blank if it gives none."""
        return str(self._arrange((*row, None))[0] or "").strip()

    def plan(self, row: tuple[Any, ...]) -> PlannedFile:
        """Return the image of a row.

        Parameters
        ----------
        row
            Its values in the layout's columns.

        Raises
        ------
        FormatError
            Raised if it is none, or the row contradicts itself.
        """
        url, region, begin, end, exposure_time, target, obs_id, bandpass, collection = self._arrange((*row, None))
        folder, file_name = self._split(url)
        name = self._parse(file_name, url)
        _require_agreement(name, file_name, obs_id, bandpass)
        prefix, release = self._place(folder, name.token, collection)
        first, last = self._times(begin, end)
        description = ImageDescription(
            observation=name.observation,  # type: ignore[arg-type]  # level2 names have one, which was checked
            detector=name.detector,  # type: ignore[arg-type]  # the same
            begin=first,
            end=last,
            fields={
                **_UNKNOWN,
                "exposure_time": None if exposure_time is None else self._optional_number(exposure_time),
                "target_name": str(target).strip() or None if target is not None else None,
            },
            corners=parse_corners(region),
            expidn=name.observation.exposure_id * 10 + name.detector,  # type: ignore[operator, union-attr]  # the same
        )
        return PlannedFile(prefix + file_name, name, release, description, None)

    def _split(self, url: Any) -> tuple[str, str]:
        if not isinstance(url, str) or not url.strip():
            raise FormatError(f"{self._names['url']} is {url!r}; expected the address of a file.")
        folder, _, file_name = url.strip().rpartition("/")
        return folder, file_name

    def _parse(self, file_name: str, url: str) -> ProductName:
        try:
            name = parse_product_name(file_name)
        except FormatError:
            if "datalink" in url.lower() or "ivo://" in url.lower():
                raise DataLinkError(
                    f"{self._names['url']} is {url!r}, a DataLink, which names no file and no processing; expected a "
                    f"column uri with the file's address, as in: {JOIN_HINT}"
                ) from None
            raise
        if name.dataset_type != DATASET_TYPE or name.observation is None or name.detector is None:
            raise FormatError(
                f"{str(name)!r} is a {name.dataset_type!r}; expected a {DATASET_TYPE!r} image. Calibrations are "
                "ingested from their files, by butler spherex ingest-calibrations."
            )
        if "?" in file_name or "#" in file_name:
            raise FormatError(
                f"{self._names['url']} is {url!r}, a part of an image; expected the address of the whole file, "
                "without what follows the '?'."
            )
        return name

    def _find_place(self, folder: str, token: ProcessingToken, collection: Any) -> tuple[str, str]:
        """Return where files of a folder are read, and their release."""
        prefix = self._access.folder(folder)
        release = release_of(ProductName(DATASET_TYPE, token), f"{folder}/", self._release)
        match = _COLLECTION.fullmatch(str(collection or "").strip().lower())
        said = _RELEASES.get(match[1], match[1]) if match else release
        if self._release is None and said != release:
            raise FormatError(
                f"{self._names['collection']} is {collection!r}, but the file in {folder!r} is of release {release!r}; "
                "expected the same release, or release= to decide."
            )
        return prefix, release

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

    def _optional_number(self, value: Any) -> float | None:
        if isinstance(value, str) and not value.strip():
            return None
        number = self._number("exposure_time", value)
        return number if math.isfinite(number) else None


def _require_agreement(name: ProductName, file_name: str, obs_id: Any, bandpass: Any) -> None:
    """Check that the columns are about the image that the address names."""
    if obs_id and not file_name.startswith(f"{DATASET_TYPE}_{str(obs_id).strip()}D"):
        raise FormatError(f"obs_id is {obs_id!r}, but the file is of {str(name.observation)!r}; expected the same.")
    if bandpass and str(bandpass).strip() != f"SPHEREx-D{name.detector}":
        raise FormatError(
            f"energy_bandpassname is {bandpass!r}, but the file is of detector {name.detector}; "
            f"expected 'SPHEREx-D{name.detector}'."
        )
