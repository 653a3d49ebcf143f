"""Commands to be pasted into a shell: exact ones that remove datasets, and those that ingest files where they are."""

from __future__ import annotations

__all__ = ("ingest_commands", "prune_commands")

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from lsst.daf.butler import DatasetRef

from ..constants import DATASET_TYPE
from ..names import parse_product_name

_AT_ONCE = 500  # datasets; the longest argument of a Linux command has 128 kiB
_FILES_AT_ONCE = 200
_SPLIT_OR_PATTERN = re.compile(r"[,*?\[\]]")  # what butler's commands read as more than a name

_Values = tuple[int | str, ...]


def prune_commands(refs: Iterable[DatasetRef], repo: str, *, purge: bool) -> list[str]:
    """Return shell commands that remove datasets from a repository, and nothing else.

    Each is for datasets of one type and run, as Butler searches a run only for what that run itself holds. By
    ``purge`` the datasets go, with their validity ranges and tags; otherwise only their files and what is on record of
    these. Datasets that no command can name are not mentioned.
    """
    groups: dict[tuple[str, str], dict[DatasetRef, None]] = defaultdict(dict)
    for ref in refs:
        groups[ref.run, ref.datasetType.name][ref] = None
    return [
        _command(repo, run, name, members[start : start + _AT_ONCE], purge=purge)
        for (run, name), group in groups.items()
        if not _SPLIT_OR_PATTERN.search(run) and (members := [ref for ref in group if _has_literals(ref)])
        for start in range(0, len(members), _AT_ONCE)
    ]


def ingest_commands(paths: Iterable[str], repo: str) -> list[str]:
    """Return shell commands that ingest images and calibrations in the repository's folders where they are."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        is_image = parse_product_name(path).dataset_type == DATASET_TYPE
        groups["ingest" if is_image else "ingest-calibrations"].append(path)
    return [
        shlex.join(["butler", "spherex", command, repo, *group[start : start + _FILES_AT_ONCE]])
        for command, group in groups.items()
        for start in range(0, len(group), _FILES_AT_ONCE)
    ]


def _has_literals(ref: DatasetRef) -> bool:
    """Whether all values can be written in a query expression, whose strings can hold no quotation mark."""
    return not any("'" in str(value) for value in ref.dataId.required_values)


def _command(repo: str, run: str, dataset_type: str, refs: Sequence[DatasetRef], *, purge: bool) -> str:
    chosen = ["--datasets", dataset_type]
    if expression := _expression(refs):
        chosen += ["--where", expression]
    action = ["--purge", run] if purge else ["--unstore"]
    return shlex.join(["butler", "prune-datasets", repo, run, *chosen, *action])


def _expression(refs: Sequence[DatasetRef]) -> str:
    """Return the query expression of the data IDs of datasets of one type, and of no others."""
    names = list(refs[0].dataId.required)
    rows = [tuple(ref.dataId.required_values) for ref in refs]
    if not names:
        return ""
    # What differs most goes into lists, so that the expression is short and not deep.
    listed = max(range(len(names)), key=lambda place: len({row[place] for row in rows}))
    branches: dict[_Values, list[int | str]] = defaultdict(list)
    for row in sorted(rows, key=repr):
        branches[row[:listed] + row[listed + 1 :]].append(row[listed])
    others = names[:listed] + names[listed + 1 :]
    texts = [
        " AND ".join([*_equalities(others, values), _membership(names[listed], members)])
        for values, members in branches.items()
    ]
    return texts[0] if len(texts) == 1 else " OR ".join(f"({text})" for text in texts)


def _equalities(names: Sequence[str], values: _Values) -> Iterator[str]:
    return (f"{name} = {_literal(value)}" for name, value in zip(names, values, strict=True))


def _membership(name: str, values: Sequence[int | str]) -> str:
    literals = [_literal(value) for value in values]
    return f"{name} = {literals[0]}" if len(literals) == 1 else f"{name} IN ({', '.join(literals)})"


def _literal(value: int | str) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)
