"""Check of files: whether they are there, as large as on record, and with the same content."""

from __future__ import annotations

__all__ = ("FileCheck",)

import errno
import os
import re
import stat
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from lsst.daf.butler import DatasetRef
from lsst.resources import ResourcePath

from ..errors import reason_of
from ..files.waiting import limit_waits
from ..repository.butler_internals import StoredFile, records_without_dataset
from ..repository.image_refs import dataset_text
from ..repository.opened import OpenedRepository
from ..repository.registration import artifact_uri, file_checksum, stored_files
from ..summaries import number_of
from .headers import HeaderCheck
from .report import Findings, Kind
from .servers import Servers
from .unreferred import check_folders

_PLAIN = re.compile(r"[\w./,=@~-]+", re.ASCII)  # in a URI what it is in a path
_LOCAL = "file://"

_RECORD = (
    "Butler records checksums of what comes in after 'checksum: true' was set under 'datastore:' in the repository's "
    "butler.yaml; --headers compares what the headers of files say."
)

_Problem = tuple[Kind, str]


class FileCheck:
    """A check of files that is given datasets batch by batch; with ``remote=0`` no remote file is asked for."""

    def __init__(
        self, repository: OpenedRepository, found: Findings, *, checksum: bool, headers: bool, remote: int
    ) -> None:
        self._repository = repository
        self._butler = repository.butler
        self._found = found
        self._checksum = checksum
        self._remote = remote
        self._headers = HeaderCheck(repository.butler) if headers else None
        self._root = repository.root
        self._folder = self._root.ospath.rstrip("/") if self._root.isLocal else None
        self._unasked: Counter[str] = Counter()
        self._servers = Servers()
        self._without_checksum = 0

    def check(self, refs: Sequence[DatasetRef]) -> None:
        """Check the files of datasets."""
        stored = stored_files(self._butler, refs)
        if self._headers is not None:
            self._headers.prepare(refs)
        asked: list[tuple[DatasetRef, StoredFile]] = []
        for ref in refs:
            files = stored.get(ref.id, [])
            if not files:
                self._about(Kind.NOT_STORED, ref, "is registered, but no file is on record.")
            for file in files:
                path = self._local_path(file)
                self._found.checked["files"] += path is not None or bool(self._remote)
                if path is not None:
                    self._check_local(ref, file, path)
                elif self._remote:
                    asked.append((ref, file))
                else:
                    self._unasked[self._server(file)] += 1
        self._found.checked["datasets"] += len(refs)
        self._ask(asked)

    def finish(self) -> None:
        """Check what belongs to no dataset, and say what was not checked."""
        count, rows = records_without_dataset(self._butler, self._found.limit)
        for identifier, path in rows:
            message = f"is on record for {identifier}, a dataset that was removed or whose removal was begun."
            self._found.add(Kind.NO_DATASET, path, message)
        self._found.unlisted(Kind.NO_DATASET, count - len(rows))
        listed = bool(self._remote) and self._servers.answers(_server_of(str(self._root)))
        check_folders(self._repository, self._found, remote=listed)
        for server, count in sorted(self._unasked.items()):
            message = f"{count} files there were not checked; --remote does that."
            self._found.add(Kind.NOT_CHECKED, server, message, count=count, problem=False)
        for server, count, why in self._servers.unasked():
            message = f"{number_of(count, 'file')} there were not asked for any more, as requests failed: {why}"
            self._found.add(Kind.FILE_UNREADABLE, server, message, count=count)
            self._found.checked["files"] -= count
        if self._without_checksum:
            self._found.add(
                Kind.NO_CHECKSUM,
                "checksums",
                f"{number_of(self._without_checksum, 'file')} without a checksum on record, of which only the size was "
                f"compared. {_RECORD}",
                count=self._without_checksum,
                problem=False,
            )

    def _local_path(self, file: StoredFile) -> str | None:
        """Return where a local file is; without making a URI, which takes longer, if its path is plain."""
        if _PLAIN.fullmatch(file.path):
            return None if self._folder is None else f"{self._folder}/{file.path}"
        path = file.path.removeprefix(_LOCAL)
        if path is not file.path and path.startswith("/") and _PLAIN.fullmatch(path):
            return path
        if "://" in file.path and not file.path.startswith(_LOCAL):
            return None
        uri = artifact_uri(self._butler, file)
        return uri.ospath if uri.isLocal else None

    def _check_local(self, ref: DatasetRef, file: StoredFile, path: str) -> None:
        try:
            status = Path(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            self._missing(ref, path, _target(path))
        except OSError as error:
            if error.errno == errno.ELOOP:
                self._about(Kind.FILE_MISSING, ref, f"{path} is a link that leads to itself; expected a file.")
            else:
                self._unreadable(ref, path, error)
        else:
            if not stat.S_ISREG(status.st_mode):
                what = "a folder" if stat.S_ISDIR(status.st_mode) else "something else"
                self._about(Kind.FILE_MISSING, ref, f"{path} is {what}; expected a file.")
            elif self._same_size(ref, file, path, status.st_size):
                self._check_content(ref, file, path)
                self._note(ref, self._header_problem(ref, ResourcePath(Path(path).as_uri()), None))

    def _check_content(self, ref: DatasetRef, file: StoredFile, path: str) -> None:
        if not self._checksum:
            return
        if file.checksum is None:
            self._without_checksum += 1
            return
        try:
            actual = file_checksum(ResourcePath(Path(path).as_uri()))
        except OSError as error:
            self._unreadable(ref, path, error)
            return
        if actual != file.checksum:
            message = f"{path} has the checksum {actual}; {file.checksum} is on record."
            self._about(Kind.FILE_CHECKSUM, ref, message)

    def _ask(self, files: Sequence[tuple[DatasetRef, StoredFile]]) -> None:
        """Check remote files, a limited number at a time."""
        if not files:
            return
        with ThreadPoolExecutor(self._remote) as pool:
            answers = pool.map(self._look_at_remote, files)
            for (ref, file), answer in zip(files, answers, strict=True):
                place = file.path if "://" in file.path else str(self._root.join(file.path))
                if answer is None:
                    continue
                if isinstance(answer, FileNotFoundError):
                    self._missing(ref, place)
                elif isinstance(answer, Exception):
                    self._unreadable(ref, place, answer)
                elif self._same_size(ref, file, place, answer[0]):
                    self._note(ref, answer[1])

    def _look_at_remote(self, asked: tuple[DatasetRef, StoredFile]) -> tuple[int, _Problem | None] | Exception | None:
        """Return what is to be said of a file: nothing if its server does not answer any more."""
        ref, file = asked
        server = self._server(file)
        if not self._servers.may_be_asked(server):
            return None
        try:
            uri = artifact_uri(self._butler, file)
            limit_waits(uri)
            size = uri.size()
        except Exception as error:  # noqa: BLE001  # whatever the protocol raises is the finding
            self._servers.note(server, error)
            return error
        self._servers.note(server, None)
        return size, self._header_problem(ref, uri, size)

    def _header_problem(self, ref: DatasetRef, uri: ResourcePath, size: int | None) -> _Problem | None:
        return None if self._headers is None else self._headers.problem(ref, uri, size)

    def _note(self, ref: DatasetRef, problem: _Problem | None) -> None:
        if problem is not None:
            self._about(problem[0], ref, problem[1])

    def _same_size(self, ref: DatasetRef, file: StoredFile, place: str, size: int) -> bool:
        if file.file_size < 0 or file.file_size == size:  # negative: not on record
            return True
        message = f"{place} has {size} bytes; {file.file_size} are on record."
        self._about(Kind.FILE_SIZE, ref, message)
        return False

    def _about(self, kind: Kind, ref: DatasetRef, message: str) -> None:
        self._found.add(kind, dataset_text(ref), message, dataset=ref)

    def _missing(self, ref: DatasetRef, place: str, target: str | None = None) -> None:
        """Report a file that is not there; ``target`` is what a link in its place leads to."""
        message = "is not there." if target is None else f"is a link to {target}, which is not there."
        self._about(Kind.FILE_MISSING, ref, f"{place} {message}")

    def _unreadable(self, ref: DatasetRef, place: str, error: Exception) -> None:
        self._about(Kind.FILE_UNREADABLE, ref, f"{place}: {reason_of(error)}")

    def _server(self, file: StoredFile) -> str:
        return _server_of(file.path if "://" in file.path else str(self._root))


def _server_of(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def _target(path: str) -> str | None:
    """Return where a symbolic link leads to that is broken."""
    return os.path.realpath(path) if Path(path).is_symlink() else None
