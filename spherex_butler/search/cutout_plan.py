"""Which cutouts are to be read, of which images on which servers, and which are in the folder already."""

from __future__ import annotations

__all__ = ("CutoutPlan", "CutoutRequest", "ImageJob", "plan_cutouts")

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import astropy.units as u
from astropy.table import Table
from lsst.daf.butler import Butler, DatasetRef

from ..constants import FULL_FRAME
from ..errors import FormatError, ParameterError, hide_secrets
from ..images.cutouts import Size, sides_of
from ..images.level2 import checked_planes
from ..repository.butler_internals import StoredFile, is_remote, with_file_records
from ..repository.image_refs import dataset_text
from ..repository.opened import require_universe
from ..repository.registration import artifact_uri
from ..summaries import number_of
from .cutout_files import CutoutFile, FileState, file_name, look_at
from .cutout_report import FailedCutout
from .cutout_rows import CutoutRow, Position, cutout_rows

LOCAL = ""
"""In place of a server, for files of this machine."""

REMOTE = "where a Butler server says"
"""In place of a server, for files whose addresses a Butler server gives out, for a time, when they are read."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CutoutRequest:
    """What all cutouts of a call have in common: size, planes, and the folder they go to, if any."""

    sides: u.Quantity
    planes: tuple[str, ...] | None
    folder: Path | None

    @classmethod
    def of(cls, size: Size, planes: str | Iterable[str] | None, folder: Path | None) -> CutoutRequest:
        """Return what is asked for.

        Raises
        ------
        ParameterError
            Raised if size or planes make no sense.
        """
        sides = sides_of(size)
        if not all(0 < side < float("inf") for side in sides.value):
            raise ParameterError(f"size={size!r} is not positive and finite; expected an angle or a number of pixels.")
        if sides.unit == u.dimensionless_unscaled:
            _require_pixels(size, sides.value)
        return cls(sides, None if planes is None else tuple(sorted(checked_planes(planes))), folder)

    def file(self, ref: DatasetRef, position: Position) -> CutoutFile:
        """Return what the file of a cutout says it is."""
        in_pixels = self.sides.unit == u.dimensionless_unscaled
        sides = self.sides.value if in_pixels else self.sides.to_value(u.arcsec)
        height, width = (f"{side:.8g}" for side in sides)
        size = f"{height} x {width} {'pix' if in_pixels else 'arcsec'}"
        return CutoutFile(str(ref.id), position, size, "all" if self.planes is None else ",".join(self.planes))


def _require_pixels(size: object, sides: Sequence[float]) -> None:
    """Refuse a size in pixels of which an angle was meant, and warn of one that is larger than the detector."""
    if min(sides) < 0.5:
        raise ParameterError(
            f"size={size!r} is less than one pixel, as a size without a unit is in pixels; expected a whole number of "
            "them, or an angle such as 0.02 * u.deg (0.02deg in a shell)."
        )
    if max(sides) > FULL_FRAME:
        _log.warning(
            "Cutouts of %g pixels are larger than a detector, which has %d; a size without a unit is in pixels.",
            max(sides), FULL_FRAME,
        )  # fmt: skip


@dataclass(slots=True)
class Wanted:
    """A cutout that is to be read once: where, for which rows, and the files it goes to, with the rows of each.

    Files of ``damaged`` are replaced.
    """

    position: Position
    rows: list[int] = field(default_factory=list)
    files: dict[Path, list[int]] = field(default_factory=dict)
    damaged: set[Path] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class ImageJob:
    """An image, and the cutouts that are wanted of it."""

    ref: DatasetRef
    server: str
    wanted: Sequence[Wanted]


@dataclass(slots=True)
class CutoutPlan:
    """What is to be done about the rows of a table.

    Parameters
    ----------
    subjects
        What each row is about, in words.
    jobs
        What is to be read.
    there
        Files that are there already, with their rows.
    failed
        Rows of which it is known already that they get nothing.
    """

    subjects: list[str]
    jobs: list[ImageJob]
    there: dict[Path, list[int]]
    failed: list[FailedCutout]

    @property
    def cutouts(self) -> int:
        """How many cutouts are to be read."""
        return sum(len(job.wanted) for job in self.jobs)

    @property
    def rows(self) -> int:
        """How many rows they are for."""
        return sum(len(wanted.rows) for job in self.jobs for wanted in job.wanted)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        servers = sorted({job.server or "this machine" for job in self.jobs})
        where = f" ({', '.join(servers)})" if servers else ""
        return (
            f"{number_of(self.cutouts, 'cutout')} of {number_of(len(self.jobs), 'image')} fetched{where}, "
            f"{len(self.there)} already there, {len(self.failed)} failed"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the counts, and the rows that fail, as what JSON can hold."""
        return {
            "to_fetch": self.cutouts,
            "images": len(self.jobs),
            "there": len(self.there),
            "failed": [one.to_dict() for one in self.failed],
        }


def plan_cutouts(butler: Butler, table: Table, request: CutoutRequest) -> CutoutPlan:
    """Return what is to be done, having looked at the registry and the folder, and at no image.

    Raises
    ------
    ParameterError
        Raised if the table lacks columns.
    ConfigurationError
        Raised if it is no SPHEREx repository, or one that has not database and files itself.
    """
    require_universe(butler)
    rows = cutout_rows(table)
    asked = [row for row in rows if isinstance(row, CutoutRow)]
    images = _Images(butler, asked)
    planner = _Planner(request, images)
    for row in asked:
        planner.add(row)
    failed = [row for row in rows if isinstance(row, FailedCutout)]
    subjects = [row.subject if isinstance(row, FailedCutout) else images.subject(row) for row in rows]
    return CutoutPlan(
        subjects, list(planner.jobs()), planner.there, sorted([*failed, *planner.failed], key=lambda one: one.row)
    )


class _Images:
    """The datasets that rows name, and where their files are."""

    def __init__(self, butler: Butler, rows: Iterable[CutoutRow]) -> None:
        refs = butler.get_many_datasets({row.dataset for row in rows})
        if is_remote(butler):
            self.refs = {ref.id: ref for ref in refs}
            self.servers: Mapping[DatasetRef, str | None] = dict.fromkeys(refs, REMOTE)
            return
        files = with_file_records(butler, refs)
        self.refs = {ref.id: ref for ref in files}
        self.servers = {ref: _server(butler, of) for ref, of in files.items()}

    def subject(self, row: CutoutRow) -> str:
        """Return what a row is about."""
        ref = self.refs.get(row.dataset)
        image = f"dataset {row.dataset}" if ref is None else dataset_text(ref, with_id=False)
        return " ".join(filter(None, [row.source and f"source {row.source}", f"at {row.position} of", image]))


def _server(butler: Butler, files: Sequence[StoredFile]) -> str | None:
    """Return the server that an image is on, `None` if its file was given up."""
    if not files:
        return None
    uri = artifact_uri(butler, files[0])
    parts = urlsplit(str(uri))
    return LOCAL if uri.isLocal else hide_secrets(f"{parts.scheme}://{parts.netloc}")


class _Planner:
    """Takes in row after row, and puts together what asks for the same."""

    def __init__(self, request: CutoutRequest, images: _Images) -> None:
        self._request = request
        self._images = images
        self._wanted: dict[DatasetRef, dict[Position, Wanted]] = {}
        self._files: dict[Path, tuple[CutoutFile, FileState, int]] = {}
        self.there: dict[Path, list[int]] = {}
        self.failed: list[FailedCutout] = []

    def jobs(self) -> Iterator[ImageJob]:
        for ref, wanted in self._wanted.items():
            yield ImageJob(ref, self._images.servers[ref] or LOCAL, list(wanted.values()))

    def add(self, row: CutoutRow) -> None:
        ref = self._images.refs.get(row.dataset)
        if ref is None:
            self._fail(row, f"There is no dataset {row.dataset} in this repository; was the table made with another?")
        elif self._images.servers[ref] is None:
            self._fail(row, "Its file was given up: the repository has no record of one.")
        elif self._request.folder is None:
            self._want(ref, row.position).rows.append(row.number)
        else:
            self._add_file(ref, row, self._request.folder)

    def _want(self, ref: DatasetRef, position: Position) -> Wanted:
        return self._wanted.setdefault(ref, {}).setdefault(position, Wanted(position))

    def _add_file(self, ref: DatasetRef, row: CutoutRow, folder: Path) -> None:
        path = folder / file_name(row.source, row.position, ref)
        what = self._request.file(ref, row.position)
        try:
            state = self._state(path, what, row.number)
        except FormatError as error:
            self._fail(row, str(error))
            return
        if state is FileState.WHOLE:
            self.there.setdefault(path, []).append(row.number)
            return
        wanted = self._want(ref, self._files[path][0].position)  # an earlier row's, if that is nearly the same
        wanted.rows.append(row.number)
        wanted.files.setdefault(path, []).append(row.number)
        if state is FileState.DAMAGED:
            wanted.damaged.add(path)

    def _state(self, path: Path, what: CutoutFile, row: int) -> FileState:
        """Return what is under a name, or will be there after an earlier row of this table."""
        if path not in self._files:
            self._files[path] = what, look_at(path, what), row
        earlier, state, first = self._files[path]
        if (difference := earlier.difference(what)) is not None:
            raise FormatError(
                f"Its file would have the same name as that of row {first}, {str(path)!r}, but is {difference}; give "
                "each position a name of its own in the column source."
            )
        return state

    def _fail(self, row: CutoutRow, reason: str) -> None:
        self.failed.append(FailedCutout(row.number, self._images.subject(row), reason))
