"""Cutouts in a folder: what their files are called, what the headers say they are, and how they are written."""

from __future__ import annotations

__all__ = ("CutoutFile", "FileState", "FolderError", "file_name", "look_at", "make_folder", "write_cutout")

import hashlib
import os
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Self

from astropy.io import fits
from lsst.daf.butler import DatasetRef

from ..errors import ConfigurationError, FormatError, reason_of
from ..files.placement import publish
from ..files.temporary import temporary_file
from ..formats.fits.file import FitsFile, open_local_fits
from ..images.spectral_image import SpectralImage
from ..names import ObservationId
from .cutout_rows import Position

_PREFIX = "SPHEREX CUTOUT"
_UNSAFE = re.compile(r"[^\w.+-]")
_LONGEST = 80  # bytes of the part of a name that the user chose


@dataclass(frozen=True, slots=True)
class CutoutFile:
    """What a file of a cutout is of, as its primary header says: ``HIERARCH SPHEREX CUTOUT …``."""

    dataset: str
    position: Position
    size: str
    planes: str

    def cards(self) -> list[fits.Card]:
        """Return the cards that say so."""
        first, second = ("RA", "DEC") if self.position.on_sky else ("X", "Y")
        values = {
            "DATASET": self.dataset,
            first: self.position.first,
            second: self.position.second,
            "SIZE": self.size,
            "PLANES": self.planes,
        }
        return [fits.Card(f"HIERARCH {_PREFIX} {name}", value) for name, value in values.items()]

    @classmethod
    def of_header(cls, header: fits.Header) -> Self | None:
        """Return what the header of a file says, `None` if it says nothing of the kind."""
        on_sky = f"{_PREFIX} RA" in header
        first, second = ("RA", "DEC") if on_sky else ("X", "Y")
        try:
            dataset, a, b, size, planes = (
                header[f"{_PREFIX} {name}"] for name in ("DATASET", first, second, "SIZE", "PLANES")
            )
            return cls(str(dataset), Position(float(a), float(b), on_sky=on_sky), str(size), str(planes))
        except (KeyError, TypeError, ValueError):
            return None

    def difference(self, other: CutoutFile) -> str | None:
        """Return what another file is of instead, `None` if it is of the same."""
        if other.dataset != self.dataset:
            return f"of dataset {other.dataset} instead of {self.dataset}"
        if not self.position.is_near(other.position):
            return f"at {other.position} instead of {self.position}"
        if other.size != self.size:
            return f"of size {other.size} instead of {self.size}"
        return None if other.planes == self.planes else f"with the planes {other.planes} instead of {self.planes}"


class FolderError(ConfigurationError):
    """The folder cannot be written to, so that no cutout can."""


def make_folder(folder: Path) -> None:
    """Make a folder that cutouts, or what goes with them, are kept in, and those it is in, where they are not there.

    Raises
    ------
    ConfigurationError
        Raised if that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(
            f"There cannot be a folder {str(folder)!r}: {reason_of(error).rstrip('.')}. Expected one that "
            "is there or can be made; give another."
        ) from error


class FileState(Enum):
    """What is under the name of a cutout."""

    ABSENT = "nothing"
    WHOLE = "the cutout"
    DAMAGED = "the cutout, of which a part is missing"


def file_name(source: str | None, position: Position, ref: DatasetRef) -> str:
    """Return what the file of a cutout is called: source, observation and detector, and run.

    A position without a name is called by its coordinates. Spaces become underscores; a name with other characters that
    do not belong in names of files ends in some digits, which tell it from others that are written alike.
    """
    data_id = ref.dataId.required
    exposure, detector = data_id.get("exposure"), data_id.get("detector")
    image = str(ref.id) if exposure is None else f"{_observation(exposure)}D{detector}"
    return f"{_safe(source or _coordinates(position))}_{image}_{_safe(ref.run.replace('/', '_'))}.fits"


def _observation(exposure: Any) -> str:
    try:
        return str(ObservationId.of_exposure(exposure))
    except FormatError:
        return str(exposure)


def _coordinates(position: Position) -> str:
    if position.on_sky:
        return f"{position.first:010.6f}{position.second:+010.6f}"
    return f"x{position.first:.3f}y{position.second:.3f}"


def _safe(text: str) -> str:
    text = text.replace(" ", "_")
    plain = _UNSAFE.sub("_", text).lstrip(".-").encode()[:_LONGEST].decode(errors="ignore")
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def look_at(path: Path, expected: CutoutFile) -> FileState:
    """Return what is under the name of a cutout.

    Raises
    ------
    FormatError
        Raised if that is something else.
    """
    if not os.path.lexists(path):
        return FileState.ABSENT
    try:
        with open_local_fits(path) as file:
            found = CutoutFile.of_header(file.primary.header.header)
            difference = "not a cutout of this kind" if found is None else expected.difference(found)
            if difference is None:
                return FileState.WHOLE if _is_whole(file) else FileState.DAMAGED
    except (FormatError, OSError) as error:
        difference = f"no cutout ({reason_of(error).rstrip('.')})"
    raise FormatError(
        f"{str(path)!r} is there already, {difference}. Nothing was overwritten: give another folder, or another name "
        "in the column source, or move that file away."
    )


def _is_whole(file: FitsFile) -> bool:
    try:
        file.check_complete()
    except FormatError:
        return False
    return bool(len(file.hdus()) == file.primary.header.get(f"{_PREFIX} HDUS"))


def write_cutout(image: SpectralImage, path: Path, what: CutoutFile, *, replace: bool = False) -> None:
    """Write a cutout; the file appears whole or not at all.

    It is not compressed: of a small image that takes ten times as long as all else, and saves next to nothing.

    Raises
    ------
    FileExistsError
        Raised if the name is taken, and what is there is not to be replaced.
    ConfigurationError
        Raised if the folder cannot be written to.
    """
    hdus = image.to_hdulist("none")
    header = hdus[0].header
    for card in [card for card in header.cards if card.keyword.startswith(f"{_PREFIX} ")]:
        header.remove(card.keyword)
    header.extend([*what.cards(), fits.Card(f"HIERARCH {_PREFIX} HDUS", len(hdus))], end=True)
    try:
        with temporary_file(path.parent) as temporary:
            with temporary.open("wb") as stream:  # not by name, by which astropy would make a file without the lock
                hdus.writeto(stream)
            publish(temporary, path, replace=replace)
    except FileExistsError:
        raise
    except OSError as error:
        raise FolderError(
            f"Cutouts cannot be written to {str(path.parent)!r}: {reason_of(error)}. Expected room on its disk and the "
            "permission to write. What was written stays; the same call goes on with the rest."
        ) from error
