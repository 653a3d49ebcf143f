"""What a check found, made now or read from what ``butler spherex verify`` wrote, as a section of the page."""

from __future__ import annotations

__all__ = ("Verification", "read_verification", "verification_section")

import datetime as dt
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.time import Time

from ..errors import FormatError
from ..verify import Kind, RepositoryFinding, RepositoryReport
from ..verify.report import ADVICE
from .markup import Content, Markup, element, joined, number
from .tables import day, folded, paragraph, table

_LISTED = 100  # findings of a kind


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check found, when that was, if it is known, and which of the subjects were repaired."""

    report: RepositoryReport
    checked: Time | None = None
    repaired: frozenset[str] = frozenset()
    source: str | None = None
    """The file that it was read from."""


def read_verification(path: str | os.PathLike[str]) -> Verification:
    """Return what a check found, from the file that ``butler spherex verify --report`` or ``--json`` wrote.

    Raises
    ------
    FormatError
        Raised if it is no such file.
    """
    file = Path(path)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        report = _report(content)
        repaired = frozenset(one["subject"] for one in content.get("repairs", ()) if one["done"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise FormatError(
            f"{str(file)!r} is not what a check of a repository found ({' '.join(str(error).split())}); expected the "
            "file that 'butler spherex verify REPO --report FILE' writes."
        ) from error
    changed = Time(dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC))
    return Verification(report, changed, repaired, file.name)


def _report(content: Mapping[str, Any]) -> RepositoryReport:
    findings = tuple(
        RepositoryFinding(
            Kind[one["kind"].upper()],
            str(one["subject"]),
            str(one["message"]),
            int(one["count"]),
            bool(one["problem"]),
        )
        for one in content["findings"]
    )
    unlisted, notes = (
        {Kind[kind.upper()]: int(count) for kind, count in content[name].items()}
        for name in ("unlisted", "unlisted_notes")
    )
    checked = {str(name): int(count) for name, count in content["checked"].items()}
    return RepositoryReport(findings, checked, unlisted, notes)


def verification_section(found: Verification | None, repo: str) -> Iterator[Markup]:
    """Yield what a check found, or how to make one."""
    if found is None:
        yield paragraph(
            "This page was made without a check. ",
            element("code", f"butler spherex report {repo} -o FILE --verify"),
            " makes one first, which takes minutes for millions of images; ",
            element("code", f"butler spherex verify {repo} --report FILE"),
            " makes it alone, and ",
            element("code", "report --verified FILE"),
            " shows what that found.",
        )
        return
    report = found.report
    source = f"read from {found.source}, which was written" if found.source else "checked"
    when = "" if found.checked is None else f" ({source} {day(found.checked)} UTC)"
    counts = ", ".join(f"{number(count)} {name}" for name, count in report.checked.items())
    verdict, kind = _verdict(report, found.repaired)
    yield element("p", element("strong", verdict, class_=f"verdict {kind}"), f" {counts}{when}.")
    yield from _kinds(report, found.repaired, repo)


def _verdict(report: RepositoryReport, repaired: frozenset[str]) -> tuple[str, str]:
    problems = sum(one.subject not in repaired for one in report.problems) + sum(report.unlisted.values())
    if problems:
        return f"{number(problems)} {'problem' if problems == 1 else 'problems'} found.", "bad"
    return ("All problems were repaired." if repaired else "No problems found."), "good"


def _kinds(report: RepositoryReport, repaired: frozenset[str], repo: str) -> Iterator[Markup]:
    """Yield the findings of each kind, problems first."""
    keys = [(one.problem, one.kind) for one in report.findings]
    keys += [(True, kind) for kind in report.unlisted] + [(False, kind) for kind in report.unlisted_notes]
    rows, lists = [], []
    for is_problem, kind in sorted(dict.fromkeys(keys), key=lambda key: not key[0]):
        listed = [one for one in report.findings if (one.problem, one.kind) == (is_problem, kind)]
        more = (report.unlisted if is_problem else report.unlisted_notes).get(kind, 0)
        advice = re.sub(r"\bREPO\b", lambda _: repo, ADVICE.get(kind, "")) if is_problem else ""
        count = sum(one.count for one in listed) + more
        rows.append((str(kind), "problem" if is_problem else "note", count, _sentence(advice)))
        lists.append(_listed(kind, listed, more, repaired))
    if rows:
        yield table("What was found, by kind", ("Kind", "", "Images, datasets or files", "What to do"), rows)
        yield joined(lists)


def _sentence(advice: str) -> Content:
    """Return advice without the commands that a colon at its end announces, which verify prints."""
    return f"{advice[:-1]}, see butler spherex verify." if advice.endswith(":") else advice or None


def _listed(kind: Kind, listed: list[RepositoryFinding], more: int, repaired: frozenset[str]) -> Markup:
    shown = listed[:_LISTED]
    items = [
        element(
            "li",
            element("strong", one.subject),
            f": {one.message}",
            element("em", " Repaired.") if one.subject in repaired else None,
        )
        for one in shown
    ]
    hidden = len(listed) - len(shown)
    rest = [
        f"{number(hidden)} more in the report of verify" if hidden else "",
        f"{number(more)} not listed" if more else "",
    ]
    said = "; ".join(filter(None, rest))
    return folded(
        f"{kind} ({number(len(listed))} listed)", element("ul", *items), paragraph(f"… and {said}.") if said else None
    )
