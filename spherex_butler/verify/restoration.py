"""Lost and damaged files brought back from copies of them: under the names and records that they have."""

from __future__ import annotations

__all__ = ("RESTORABLE", "Restoration")

import datetime as dt
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lsst.daf.butler import Butler, DatasetRef
from lsst.resources import ResourcePath

from ..errors import FormatError, ParameterError
from ..files.failures import EmptyFolder, FailedFile
from ..files.paths import Paths, expand_paths
from ..files.placement import place
from ..files.remote import download
from ..repository.failures import writing_to
from ..repository.opened import check_opened
from ..repository.registration import FileRecords, artifact_uri, register, stored_files
from .copies import difference
from .report import Kind

RESTORABLE = (Kind.FILE_MISSING, Kind.FILE_SIZE, Kind.FILE_CHECKSUM, Kind.HEADER, Kind.NOT_STORED)
"""Problems that a right copy of the file mends."""


class Restoration:
    """Brings files of datasets back from copies of them.

    Parameters
    ----------
    butler
        A writeable repository.
    refs
        The datasets.
    paths
        Where copies are: files, folders, globs and URLs. A copy has the name that the file has in the repository.
    dry_run
        Whether `restore` only says what it would do; the repository may be read-only then.

    Raises
    ------
    ParameterError
        Raised if a path cannot be searched.
    """

    def __init__(self, butler: Butler, refs: Sequence[DatasetRef], paths: Paths, *, dry_run: bool = False) -> None:
        self._butler = butler
        self._dry_run = dry_run
        self._root = check_opened(butler, writeable=not dry_run).root
        stored = stored_files(butler, refs)
        self._files = {identifier: files[0] for identifier, files in stored.items() if files}
        self._targets = {ref.id: self._target(ref) for ref in refs}
        self._copies = _find({target.basename() for target in self._targets.values()}, paths)

    def _target(self, ref: DatasetRef) -> ResourcePath:
        if file := self._files.get(ref.id):
            uri = artifact_uri(self._butler, file)
        else:
            uri = self._butler.getURI(ref.expanded(self._butler.registry.expandDataId(ref.dataId)), predict=True)
        # A folder in the file's place would make this a URI of a folder, without a file's name.
        return ResourcePath(Path(uri.ospath.rstrip("/")).as_uri(), forceDirectory=False) if uri.isLocal else uri

    def restore(self, ref: DatasetRef) -> str:
        """Bring the file of a dataset back, and return what was done.

        A copy has to have the size and the checksum on record, as far as they are; without a checksum it has to be a
        whole file of the dataset. What is in the file's place is kept under another name.

        Raises
        ------
        FormatError
            Raised if there is no such copy, the file's place is outside of the repository, or a folder with files in
            it is there.
        """
        target, file = self._targets[ref.id], self._files.get(ref.id)
        if target.relative_to(self._root) is None:
            raise FormatError(
                f"{_text(target)} is outside of the repository, which writes nothing there; put a copy there."
            )
        _require_no_folder(target)
        problems = []
        for source in self._copies.get(target.basename(), ()):
            if source == target:
                continue
            with _local(source) as local:
                problem = difference(ref, file, local)
                if problem is None and self._dry_run:
                    return f"{_text(target)} would be brought back from {_text(source)}; nothing was changed."
                if problem is None:
                    aside = _replace(target, local)
                    self._register(ref, target)
                    kept = "" if aside is None else f" What was there is {_text(aside)} now."
                    return f"{_text(target)} is back, from {_text(source)}.{kept}"
            problems.append(f"{_text(source)} {problem}")
        raise FormatError(
            f"{'; '.join(problem.rstrip('.') for problem in problems)}."
            if problems
            else f"nothing by the name {target.basename()} was found to restore it from."
        )

    def _register(self, ref: DatasetRef, target: ResourcePath) -> None:
        """Put a file on record that is on none."""
        if ref.id not in self._files:
            register(self._butler, {ref: [FileRecords(self._butler).inside(ref, target, size=None)]})


def _find(names: set[str], paths: Paths) -> dict[str, list[ResourcePath]]:
    """Return the files with these names, by name, in the order of the paths."""
    found: dict[str, list[ResourcePath]] = defaultdict(list)
    for path in expand_paths(paths, names.__contains__, what="file by the name of a lost one"):
        if isinstance(path, EmptyFolder):
            continue
        if isinstance(path, FailedFile):
            raise ParameterError(f"Copies of lost files cannot be looked for in {path}")
        uri = ResourcePath(path)
        if uri.basename() in names and uri not in found[uri.basename()]:
            found[uri.basename()].append(uri)
    return found


def _require_no_folder(target: ResourcePath) -> None:
    """Refuse to move a folder away that is in a file's place, unless it is empty."""
    path = Path(target.ospath) if target.isLocal else None
    if path is not None and path.is_dir() and not path.is_symlink() and any(path.iterdir()):
        raise FormatError(f"{path} is a folder with files in it; expected a file. Move it away and repair again.")


@contextmanager
def _local(source: ResourcePath) -> Iterator[ResourcePath]:
    """Give a file itself, or a download of it."""
    if source.isLocal:
        yield source
        return
    with TemporaryDirectory(prefix="spherex-butler-") as folder:
        path = Path(folder, source.basename())
        download(source, path)
        yield ResourcePath(path.as_uri())


def _replace(target: ResourcePath, source: ResourcePath) -> ResourcePath | None:
    """Put a copy of a local file in a place; return where that is now which was there before, if anything was."""
    now = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S%f")
    aside = target.updatedFile(f"{target.basename()}.damaged-{now}")
    with writing_to(target):
        if not target.isLocal:
            there = target.exists()
            if there:
                aside.transfer_from(target, transfer="copy")
            target.transfer_from(source, transfer="copy", overwrite=True)  # such stores replace a file at once
            return aside if there else None
        there = os.path.lexists(target.ospath)
        if there:
            Path(target.ospath).rename(aside.ospath)
        try:
            place(source, target, "copy")
        except BaseException:
            if there and not os.path.lexists(target.ospath):
                Path(aside.ospath).rename(target.ospath)
            raise
    return aside if there else None


def _text(uri: ResourcePath) -> str:
    """Return a path, or else a URL."""
    return uri.ospath if uri.isLocal else str(uri)
