"""Searching folders, of this machine's file systems and of object stores, one listing at a time.

Unlike `pathlib.Path.glob` this names the folders that cannot be read, goes on
where a link leads to another one, and never holds more than the names of the
folders it is in.
"""

from __future__ import annotations

__all__ = ("Folder", "LocalFolder", "RemoteFolder", "has_magic", "search")

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import quote

from lsst.resources import ResourcePath

from ..errors import reason_of
from .failures import FailedFile

_MAGIC = re.compile(r"[*?[]")
_ANY_DEPTH = "**"


class Folder(Protocol):
    """A folder that can be listed."""

    @property
    def uri(self) -> str:
        """Where it is, without a slash at the end."""

    @property
    def identity(self) -> object:
        """What is equal for two paths to the same folder; `None` where a folder has only one path."""

    def entries(self) -> tuple[list[str], list[str]]:
        """Return the names of the folders in it and of the files, each in order; `OSError` if it cannot be read."""

    def folder(self, name: str) -> Self:
        """Return a folder in it."""


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder of this machine's file systems.

    Parameters
    ----------
    path
        Absolute path.
    """

    path: str

    @property
    def uri(self) -> str:
        """Where it is."""
        return Path(self.path).as_uri().removesuffix("/")

    @property
    def identity(self) -> object:
        """Device and inode."""
        found = Path(self.path).stat()
        return found.st_dev, found.st_ino

    def entries(self) -> tuple[list[str], list[str]]:
        """Return the names of the folders and of the files."""
        folders: list[str] = []
        files: list[str] = []
        with os.scandir(self.path) as found:
            for entry in found:
                (folders if entry.is_dir() else files).append(entry.name)
        return sorted(folders), sorted(files)

    def folder(self, name: str) -> Self:
        """Return a folder in it."""
        return type(self)(str(Path(self.path, name)))


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder of an object store: the keys that begin with its name.

    Parameters
    ----------
    root
        Its URI.
    """

    root: ResourcePath

    @property
    def uri(self) -> str:
        """Where it is."""
        return str(self.root).removesuffix("/")

    @property
    def identity(self) -> object:
        """Nothing: there are no links."""
        return None

    def entries(self) -> tuple[list[str], list[str]]:
        """Return the names of the folders and of the files."""
        try:
            found = next(iter(self.root.walk()), None)
        except OSError:
            raise
        except Exception as error:  # the store's own exceptions have no other base
            raise OSError(f"the folder cannot be listed: {reason_of(error)}") from error
        folders, files = ((), ()) if found is None else (found[1], found[2])
        return sorted(name.removesuffix("/") for name in folders), sorted(filter(None, files))

    def folder(self, name: str) -> Self:
        """Return a folder in it."""
        return type(self)(self.root.join(name, forceDirectory=True))


def has_magic(text: str) -> bool:
    """Whether a path is a pattern."""
    return _MAGIC.search(text) is not None


def search(folder: Folder, pattern: Sequence[str], is_wanted: Callable[[str], bool]) -> Iterator[str | FailedFile]:
    """Yield the URIs of the files in a folder that match a pattern, and the folders that cannot be read.

    Parameters
    ----------
    folder
        Where to begin.
    pattern
        Parts of a path relative to it, as in a shell: ``**`` stands
        for any number of folders.  Folders that it ends at are searched; an
        empty one stands for all in the folder.
    is_wanted
        Says by its name whether a file in a folder that is searched is meant.
    """
    yield from _search(folder, tuple(pattern), is_wanted, set())


def _search(
    folder: Folder, pattern: tuple[str, ...], is_wanted: Callable[[str], bool], seen: set[object]
) -> Iterator[str | FailedFile]:
    try:
        identity = folder.identity
        if (identity, pattern) in seen:
            return
        folders, files = folder.entries()
    except OSError as error:
        yield FailedFile(folder.uri, reason_of(error))
        return
    if identity is not None:
        seen.add((identity, pattern))
    if pattern[:1] == (_ANY_DEPTH,):
        yield from _search(folder, pattern[1:], is_wanted, seen)
        deeper, rest = [name for name in folders if pattern[1:] and not name.startswith(".")], pattern
    else:
        deeper, rest = [name for name in folders if _matches(name, pattern)], pattern[1:]
        base = folder.uri
        for name in files:
            if is_wanted(name) if not pattern else len(pattern) == 1 and _matches(name, pattern):
                yield f"{base}/{quote(os.fsencode(name))}"
    for name in deeper:
        yield from _search(folder.folder(name), rest, is_wanted, seen)


def _matches(name: str, pattern: tuple[str, ...]) -> bool:
    """Whether a name matches the first part of a pattern; a hidden one only a part that begins with a dot too."""
    if not pattern:
        return True
    return fnmatchcase(name, pattern[0]) and (not name.startswith(".") or pattern[0].startswith("."))
