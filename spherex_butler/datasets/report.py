"""A dataset shown: what it is, where its files are and what they hold."""

from __future__ import annotations

__all__ = ("DatasetFile", "DatasetReport", "describe_dataset")

from dataclasses import dataclass
from typing import Any

import astropy.units as u
from lsst.daf.butler import Butler, DatasetRef
from lsst.resources import ResourcePath

from ..errors import FormatError, hide_secrets, reason_of
from ..formats.regular import require_regular
from ..repository.butler_internals import StoredFile
from ..repository.json_values import json_value
from ..repository.registration import artifact_uri, stored_files
from ..summaries import Summarized
from .content import Content
from .reading import read_content

_VERIFY = "'butler spherex verify REPO' says what to do."


@dataclass(frozen=True, slots=True)
class DatasetFile:
    """A file of a dataset.

    Parameters
    ----------
    uri
        Where it is.
    size
        Bytes on record; `None` if none are.
    checksum
        On record; `None` if none is.
    component
        Which component of the dataset it holds; `None` if it holds all of it.
    content
        What is in it; `None` if it could not be read, or its format is none of those that are looked into.
    problem
        Why it could not be read.
    """

    uri: ResourcePath
    size: int | None
    checksum: str | None
    component: str | None
    content: Content | None
    problem: str | None

    def lines(self) -> list[str]:
        """Return what is known of it, a line each."""
        return [
            f"file        {hide_secrets(str(self.uri))}",
            *([f"component   {self.component}"] if self.component else []),
            f"size        {'not on record' if self.size is None else _bytes(self.size)}",
            *([f"checksum    {self.checksum}"] if self.checksum else []),
            *self._content_lines(),
        ]

    def _content_lines(self) -> list[str]:
        if self.problem is not None:
            return [f"problem     {self.problem}"]
        if self.content is None:
            return [f"content     not looked into, as {self.uri.getExtension() or 'no extension'!r} is no known format"]
        number = len(self.content.parts)
        heading = f"content     {self.content.format}, {number} {'part' if number == 1 else 'parts'}"
        return [heading, *(f"  {line}" for line in self.content.lines())]

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        content = None if self.content is None else {"format": self.content.format, "parts": self.content.parts}
        found: dict[str, Any] = json_value(
            {
                "uri": self.uri,
                "size": None if self.size is None else {"value": self.size, "unit": u.byte},
                "checksum": self.checksum,
                "component": self.component,
                "content": content,
                "problem": self.problem,
            }
        )
        return found


@dataclass(frozen=True, slots=True, repr=False)
class DatasetReport(Summarized):
    """What `describe_dataset` found.

    Parameters
    ----------
    ref
        The dataset.
    files
        Its files: usually one; none if it was registered without, or they were given up.
    """

    ref: DatasetRef
    files: tuple[DatasetFile, ...]

    @property
    def ok(self) -> bool:
        """Whether each file could be read."""
        return all(file.problem is None for file in self.files)

    @property
    def summary(self) -> str:
        """Which dataset it is, in words."""
        wrong = "" if self.ok else "; not every file can be read"
        return f"{' '.join(filter(None, (self.ref.datasetType.name, self._data_id)))}, in {self.ref.run}{wrong}"

    @property
    def _data_id(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.ref.dataId.required.items())

    @property
    def provenance(self) -> dict[str, Any]:
        """What the files say that the dataset was made from."""
        contents = [file.content for file in self.files if file.content is not None]
        return {name: value for content in contents for name, value in content.provenance.items()}

    @property
    def _no_provenance(self) -> str:
        if any(file.content is not None and file.content.format == "FITS" for file in self.files):
            return "none: the file was not written by Butler"
        return "none: it is recorded in FITS files, and in tables that Butler itself writes"

    def __str__(self) -> str:
        kind = self.ref.datasetType
        files = [line for file in self.files for line in file.lines()]
        provenance = [f"  {name:28}{value}" for name, value in self.provenance.items()]
        return "\n".join(
            [
                f"dataset     {kind.name} ({kind.storageClass_name})",
                f"data ID     {self._data_id or 'none'}",
                f"id          {self.ref.id}",
                f"run         {self.ref.run}",
                *(files or ["file        none on record"]),
                "provenance",
                *(provenance or [f"  {self._no_provenance}"]),
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what JSON can hold."""
        found: dict[str, Any] = json_value(self.ref) | json_value(
            {"files": self.files, "provenance": self.provenance, "ok": self.ok}
        )
        return found


def describe_dataset(butler: Butler, ref: DatasetRef) -> DatasetReport:
    """Return what a dataset is, where its files are and what they hold, which is not read whole.

    Parameters
    ----------
    butler
        The repository.
    ref
        A dataset that is registered there, of any storage class.

    Returns
    -------
    report
        What could be read of it, and why the rest could not.
    """
    stored = stored_files(butler, [ref]).get(ref.id, [])
    return DatasetReport(ref, tuple(_file(butler, file) for file in stored))


def _file(butler: Butler, stored: StoredFile) -> DatasetFile:
    uri = artifact_uri(butler, stored)
    size = stored.file_size if stored.file_size >= 0 else None
    content = problem = None
    try:
        _check_size(uri, size)
        content = read_content(uri, size)
    except FileNotFoundError:
        problem = f"the file is not there. {_VERIFY}"
    except Exception as error:  # noqa: BLE001  # whatever a damaged file makes its reader raise is what is to be shown
        problem = reason_of(error)
    return DatasetFile(uri, size, stored.checksum, stored.component, content, problem)


def _check_size(uri: ResourcePath, size: int | None) -> None:
    """Refuse a local file that is not there, is no regular file, or has not the size on record."""
    if not uri.isLocal:
        return
    require_regular(uri.ospath)
    if (found := uri.size()) != size is not None:
        raise FormatError(f"it has {_bytes(found)}; {size:,} are on record. {_VERIFY}")


def _bytes(number: int) -> str:
    return f"{number:,} {'byte' if number == 1 else 'bytes'}"
