"""Files that paths stand for: paths of files and folders, globs, and URLs."""

from __future__ import annotations

__all__ = ("PathList", "Paths", "expand_paths", "format_by_suffix", "listed_paths")

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lsst.resources import ResourcePath

from ..errors import ParameterError
from .failures import EmptyFolder, FailedFile, FailingAlone, MissingFile
from .folders import Folder, folder_uri, has_magic, search

Paths = str | os.PathLike[str] | ResourcePath | Iterable[str | os.PathLike[str] | ResourcePath]
"""One path, or several."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*:[^/]*@")
_SEARCHED = frozenset({"s3", "gs"})
"""Stores that list what they hold."""


def format_by_suffix(path: str | os.PathLike[str], formats: Mapping[str, Sequence[str]]) -> str:
    """Return the format that a file's name stands for, of those that are given with the ends of names.

    Raises
    ------
    ParameterError
        Raised if it stands for none.
    """
    suffix = Path(path).suffix.lower()
    found = next((name for name, suffixes in formats.items() if suffix in suffixes), None)
    if found is None:
        known = ", ".join(suffix for suffixes in formats.values() for suffix in suffixes)
        raise ParameterError(f"{os.fspath(path)!r} names no known format; expected {known} at its end.")
    return found


def listed_paths(lines: Iterable[str]) -> Iterator[str]:
    """Yield the paths of a list: one a line, without blank lines and those that begin with ``#``."""
    for line in lines:
        path = line.strip()
        if path and not path.startswith("#"):
            yield path


@dataclass(frozen=True, slots=True)
class PathList:
    """The paths of a list in a file, which is read each time they are gone through.

    Parameters
    ----------
    file
        The list: one path or URL a line, relative to the current folder.
    before
        Paths that come before the list.
    """

    file: str | os.PathLike[str]
    before: Sequence[str] = ()

    def __iter__(self) -> Iterator[str]:
        yield from self.before
        with Path(self.file).open(encoding="utf-8", errors="surrogateescape") as lines:  # as file names are read
            yield from listed_paths(lines)


def expand_paths(paths: Paths, is_wanted: Callable[[str], bool], *, what: str) -> Iterator[str | FailedFile]:
    """Yield the URIs of the files that paths stand for, and a failure for each path without files.

    Parameters
    ----------
    paths
        Files, folders, globs and URLs.  Folders are searched with those in
        them, also where links lead to them, each once.
    is_wanted
        Decides by a file's name whether it is wanted, if it is found in a
        folder; a path or a glob that names it is enough.
    what
        What those files are called in reasons: ``level2_*.fits``.

    Raises
    ------
    ParameterError
        Raised if a path is empty.
    """
    for path in [paths] if isinstance(paths, (str, os.PathLike, ResourcePath)) else paths:
        text = str(path) if isinstance(path, ResourcePath) else os.fspath(path)
        if not text:
            raise ParameterError("A path is empty; expected a file, a folder ('.' for the current one) or a URL.")
        failures: list[FailedFile] = []
        with FailingAlone(FailedFile.noted(failures, text)):
            yield from _files(text, is_wanted, what)
        yield from failures


def _files(text: str, is_wanted: Callable[[str], bool], what: str) -> Iterator[str | FailedFile]:
    scheme = _SCHEME.match(text)
    if scheme is None:
        yield from _local(Path(text), is_wanted, what)
    else:
        yield from _address(text, scheme[1].lower(), is_wanted, what)


def _local(path: Path, is_wanted: Callable[[str], bool], what: str) -> Iterator[str | FailedFile]:
    """Yield ``file://`` URIs, as a ``%`` or ``#`` in a bare path would have a meaning of its own."""
    path = path.absolute()
    path = path.resolve() if ".." in path.parts else path
    if path.is_dir():
        yield from _found(path, (), is_wanted, what)
    elif path.exists() or path.is_symlink():
        yield path.as_uri()
    elif has_magic(str(path)):
        fixed = next(number for number, part in enumerate(path.parts) if has_magic(part))
        yield from _found(Path(*path.parts[:fixed]), path.parts[fixed:], is_wanted, what)
    else:
        yield MissingFile(path.as_uri(), "there is no such file or folder.")


def _address(text: str, scheme: str, is_wanted: Callable[[str], bool], what: str) -> Iterator[str | FailedFile]:
    if _PASSWORD.match(text):
        yield FailedFile(
            text,
            "the address holds a password, which would be readable in the repository; leave it out. A token is taken "
            "from the file that LSST_HTTP_AUTH_BEARER_TOKEN names.",
        )
        return
    parts = text.split("/")
    fixed = next((number for number, part in enumerate(parts) if has_magic(part)), len(parts))
    searched = scheme in _SEARCHED and (text.endswith("/") or fixed < len(parts))
    try:
        uri = ResourcePath("/".join(parts[:fixed]) + "/" if searched and fixed < len(parts) else text)
    except NotImplementedError as error:
        yield FailedFile(text, f"{error}; expected a path or an http, https or s3 URL.")
    except ImportError as error:
        extra = "s3" if scheme == "s3" else "https"
        yield FailedFile(text, f"{error}; pip install 'spherex-butler[{extra}]'.")
    else:
        if uri.isLocal:
            yield from _local(Path(uri.ospath), is_wanted, what)
        elif searched:
            yield from _found(uri, tuple(part for part in parts[fixed:] if part), is_wanted, what)
        elif text.endswith("/"):
            reason = f"a folder of {scheme!r} cannot be searched; expected the URLs of files, such as a list of them."
            yield FailedFile(text, reason)
        else:
            yield str(uri)


def _found(
    folder: Folder, pattern: tuple[str, ...], is_wanted: Callable[[str], bool], what: str
) -> Iterator[str | FailedFile]:
    """Yield what is found, or a failure if nothing is."""
    nothing = True
    for entry in search(folder, pattern, is_wanted):
        nothing = False
        yield entry
    if nothing and not pattern:
        yield EmptyFolder(folder_uri(folder), f"there is no {what} in this folder.")
    elif nothing:
        yield EmptyFolder(folder_uri(folder), f"nothing in this folder matches the pattern {'/'.join(pattern)!r}.")
