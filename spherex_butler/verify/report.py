"""What can be wrong with a repository, what to do about it, and the report of what was found."""

from __future__ import annotations

__all__ = ("ADVICE", "Findings", "Kind", "RepositoryFinding", "RepositoryReport")

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lsst.daf.butler import DatasetRef

from ..summaries import Summarized, number_of
from .commands import ingest_commands, prune_commands


class Kind(StrEnum):
    """What was found."""

    NO_CHECKSUM = "content not compared"
    NOT_REGISTERED = "not registered"
    COLLECTION_TYPE = "collection of another type"
    RUN_UNCHAINED = "run in no chain"
    CHAIN_INCOMPLETE = "chain incomplete"
    CHAIN_ORDER = "chain out of order"
    REGION_MISSING = "region row missing"
    REGION_NULL = "off the sky"
    TIMESPAN_MISSING = "exposure without time"
    NO_CALIBRATION = "image without calibration"
    RANGE_OVERLAP = "validity ranges overlap"
    RANGE_GAP = "gap between validity ranges"
    RANGE_BOUND = "bound inside an exposure"
    TYPE_ABSENT = "no such calibrations"
    FILE_MISSING = "file missing"
    FILE_SIZE = "file of another size"
    FILE_CHECKSUM = "file of another content"
    HEADER = "header of another dataset"
    HEADER_RECORDS = "header contradicts records"
    FILE_UNREADABLE = "file not readable"
    NOT_STORED = "dataset without file"
    NO_DATASET = "file without dataset"
    FILE_UNREFERRED = "file not registered"
    STALE_PART = "left by a killed copy"
    NOT_CHECKED = "not checked"


ADVICE: Mapping[Kind, str] = {
    Kind.NOT_REGISTERED: "butler spherex register REPO",
    Kind.COLLECTION_TYPE: "rename or remove it; its name is taken by convention.",
    Kind.RUN_UNCHAINED: "butler spherex verify REPO --fix --complete-chains, unless you took it out; then put it into "
    "a chain of yours, and it is only noted.",
    Kind.CHAIN_INCOMPLETE: "butler spherex verify REPO --fix --complete-chains, unless you took them out.",
    Kind.CHAIN_ORDER: "butler spherex verify REPO --fix",
    Kind.REGION_MISSING: "butler spherex verify REPO --fix, which reads the headers of local files; queries with "
    "dimension records leave such images out.",
    Kind.TIMESPAN_MISSING: "ingest the exposure again with --update-records.",
    Kind.NO_CALIBRATION: "butler spherex ingest-calibrations REPO FILES, or butler spherex certify REPO.",
    Kind.RANGE_OVERLAP: "decertify one of them.",
    Kind.RANGE_BOUND: "certify again with a bound between exposures, or one calibration in one range; Butler gives "
    "such images none.",
    Kind.FILE_MISSING: "put it back there, if it was moved or renamed. Or butler spherex verify REPO --fix --from "
    "PATH, where PATH has copies. Or give the file up and ingest it again; the dataset stays, with its tags and "
    "validity ranges. To give up the files listed here, and no others:",
    Kind.FILE_SIZE: "butler spherex verify REPO --fix --from PATH, where PATH has right copies. Or remove the file and "
    "ingest the right one; the dataset stays, with its tags and validity ranges. To remove the files listed here, and "
    "no others (files outside of the repository are only forgotten):",
    Kind.FILE_CHECKSUM: "as for a file of another size, with --checksum. To remove the files listed here, no others:",
    Kind.HEADER: "butler spherex verify REPO --headers --fix --from PATH, where PATH has right copies. Or remove the "
    "file and ingest the right one; the dataset stays. To remove the files listed here, and no others (files outside "
    "of the repository are only forgotten):",
    Kind.HEADER_RECORDS: "if the header is right, ingest the file again with --update-records; queries by position or "
    "time go by the records.",
    Kind.FILE_UNREADABLE: "make it accessible and check again.",
    Kind.NOT_STORED: "butler spherex verify REPO --fix --from PATH, where PATH has its file; or ingest it again. To "
    "remove the datasets listed here for good, and no others:",
    Kind.NO_DATASET: "a removal was interrupted; Butler finishes it in Python: "
    "Butler.from_config(…, writeable=True)._datastore.emptyTrash(), which deletes these files.",
    Kind.FILE_UNREFERRED: "ingest it where it is. If that says that it is already there, its dataset has another file, "
    "and you may remove this one:",
    Kind.STALE_PART: "butler spherex verify REPO --fix",
}
"""What to do, by kind; a colon at the end stands before commands."""

_PURGED: Mapping[Kind, bool] = {
    Kind.FILE_MISSING: False,
    Kind.FILE_SIZE: False,
    Kind.FILE_CHECKSUM: False,
    Kind.HEADER: False,
    Kind.NOT_STORED: True,
}
"""Whether the commands for a kind remove datasets, or their files only."""


@dataclass(frozen=True, slots=True)
class RepositoryFinding:
    """One thing that was found.

    Parameters
    ----------
    kind
        What is wrong, or noted.
    subject
        The collection, planning period, dataset or file that it is about.
    message
        What was found there, and what was expected.
    count
        How many images, datasets or files it stands for.
    problem
        Whether something is wrong; otherwise it is a note.
    dataset
        The dataset that it is about, if it is about one.
    """

    kind: Kind
    subject: str
    message: str
    count: int = 1
    problem: bool = True
    dataset: DatasetRef | None = None

    def __str__(self) -> str:
        return f"{'' if self.problem else 'note: '}{self.kind}: {self.subject}: {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as what JSON can hold."""
        return {
            "kind": self.kind.name.lower(),
            "subject": self.subject,
            "message": self.message,
            "count": self.count,
            "problem": self.problem,
            "dataset": None if self.dataset is None else str(self.dataset.id),
        }


@dataclass(frozen=True, slots=True, repr=False)
class RepositoryReport(Summarized):
    """What `.check_repository` found.

    Parameters
    ----------
    findings
        Ordered by kind; of each kind no more than were asked for.
    checked
        How many images, datasets and files were looked at.
    unlisted
        By kind, how many images, datasets or files have problems beyond those listed.
    unlisted_notes
        The same of notes.
    uncalibrated
        How many images do not find a calibration that they are expected to find, of one type or of several.
    """

    findings: tuple[RepositoryFinding, ...]
    checked: Mapping[str, int]
    unlisted: Mapping[Kind, int]
    unlisted_notes: Mapping[Kind, int]
    uncalibrated: int = 0

    @property
    def problems(self) -> tuple[RepositoryFinding, ...]:
        """The listed findings about which something should be done."""
        return tuple(finding for finding in self.findings if finding.problem)

    @property
    def ok(self) -> bool:
        """Whether there are no problems, listed or not."""
        return not (self.problems or self.unlisted)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        counts = ", ".join(number_of(count, name.removesuffix("s")) for name, count in self.checked.items())
        if self.ok:
            return f"{counts} checked; no problems"
        problems = number_of(len(self.problems) + sum(self.unlisted.values()), "problem")
        lacking = f", {number_of(self.uncalibrated, 'image')} without calibrations" if self.uncalibrated else ""
        return f"{counts} checked; {problems}{lacking}"

    def lines(self, repo: str = "REPO") -> list[str]:
        """Return the report line by line, with commands for the repository by this name."""
        more = [f"{kind}: {count} more like these" for kind, count in self.unlisted.items()]
        more += [f"note: {kind}: {count} more like these" for kind, count in self.unlisted_notes.items()]
        kinds = dict.fromkeys([*(finding.kind for finding in self.problems), *self.unlisted])
        advice = [line for kind in kinds for line in self._advice(kind, repo)]
        return [*map(str, self.findings), *more, *advice, self.summary]

    def _advice(self, kind: Kind, repo: str) -> Iterator[str]:
        """Yield what to do, and the commands for it, a line each."""
        text = re.sub(r"\bREPO\b", lambda _: shlex.quote(repo), ADVICE[kind])
        commands: list[str] = []
        if kind in _PURGED:
            datasets = [finding.dataset for finding in self.problems if finding.kind is kind]
            known = [dataset for dataset in datasets if dataset is not None]
            commands = prune_commands(known, repo, purge=_PURGED[kind])
        if kind is Kind.FILE_UNREFERRED:
            commands = ingest_commands((one.subject for one in self.problems if one.kind is kind), repo)
        none = "" if commands or kind not in _PURGED else " no command can name them."
        yield f"to do: {kind}: {text}{none}"
        yield from (f"    {command}" for command in commands)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what JSON can hold."""
        return {
            "ok": self.ok,
            "checked": dict(self.checked),
            "findings": [finding.to_dict() for finding in self.findings],
            "unlisted": {kind.name.lower(): count for kind, count in self.unlisted.items()},
            "unlisted_notes": {kind.name.lower(): count for kind, count in self.unlisted_notes.items()},
        }


@dataclass(slots=True)
class Findings:
    """Findings as they are made; beyond a limit of each kind they are only counted, so that memory does not grow."""

    limit: int
    checked: Counter[str] = field(default_factory=lambda: Counter(images=0, datasets=0, files=0))
    uncalibrated: int = 0
    _listed: dict[tuple[Kind, bool], list[RepositoryFinding]] = field(default_factory=dict)
    _unlisted: Counter[tuple[Kind, bool]] = field(default_factory=Counter)

    def add(
        self,
        kind: Kind,
        subject: str,
        message: str,
        *,
        count: int = 1,
        problem: bool = True,
        dataset: DatasetRef | None = None,
    ) -> None:
        """Add a finding; the parameters are those of `RepositoryFinding`."""
        listed = self._listed.setdefault((kind, problem), [])
        if len(listed) < self.limit:
            listed.append(RepositoryFinding(kind, subject, message, count, problem, dataset))
        else:
            self._unlisted[kind, problem] += count

    def unlisted(self, kind: Kind, count: int) -> None:
        """Count problems that were not even made findings."""
        self._unlisted[kind, True] += count

    def report(self) -> RepositoryReport:
        """Return what was found so far."""
        keys = [(kind, problem) for kind in Kind for problem in (True, False)]
        ordered = tuple(finding for key in keys for finding in self._listed.get(key, ()))
        problems, notes = (
            {kind: count for kind in Kind if (count := self._unlisted[kind, problem])} for problem in (True, False)
        )
        return RepositoryReport(ordered, dict(self.checked), problems, notes, self.uncalibrated)
