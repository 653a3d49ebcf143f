"""What calibrations there are, and when they are valid."""

from __future__ import annotations

__all__ = ("calibrations_section",)

from collections.abc import Iterator

from astropy.time import Time

from ..repository.times import format_time
from .facts import CalibrationCollection, Facts
from .markup import Content, Markup, element, number
from .tables import SHOWN, bar, many, paragraph, table
from .validity import lines_of, validity_chart

_LINES = 200  # of a chart


def calibrations_section(known: Facts) -> Iterator[Markup]:
    """Yield datasets by type, and a chart and a table of validity for each collection."""
    counts = known.summary.calibrations
    certified: dict[str, set[object]] = {}
    tokens: dict[str, dict[str, None]] = {}
    for collection in known.calibrations:
        for one in collection.certifications:
            certified.setdefault(one.ref.datasetType.name, set()).add(one.ref.id)
            tokens.setdefault(one.ref.datasetType.name, {})[one.token] = None
    largest = max(counts.values(), default=0)
    rows = [
        (
            name,
            count,
            len(certified.get(name, ())),
            ", ".join(sorted(tokens.get(name, ()))) or "none",
            bar(count, largest),
        )
        for name, count in counts.items()
        if count
    ]
    headings = ("Type", "Datasets", "Valid at some time", "Tokens of these", "")
    yield table("Calibrations by type", headings, rows)
    if not known.calibrations:
        yield paragraph(
            "None of them is valid at any time, so that images find none. ",
            element("code", f"butler spherex certify {known.repo}"),
            " says when they are valid.",
        )
    for collection in known.calibrations:
        yield from _validity(known, collection)


def _bound(time: Time | None) -> str:
    return "open" if time is None else format_time(time).replace("T", " ")


def _validity(known: Facts, collection: CalibrationCollection) -> Iterator[Markup]:
    lines = lines_of(collection.certifications)
    title = f"When the calibrations of {collection.name} are valid, by type and detector, with their tokens."
    yield element("h3", "Validity in ", element("code", collection.name))
    begin, end = known.summary.begin, known.summary.end
    observed: tuple[Time, Time] | None = None if begin is None or end is None else (begin, end)
    said = f"{title} Arrows: valid without an end, or beyond what is drawn. Shaded: the time of the observations."
    if len(lines) > _LINES:
        said += f" {number(len(lines) - _LINES)} more lines are not drawn."
    yield element("figure", validity_chart(title, lines[:_LINES], observed), element("figcaption", said))
    rows: list[tuple[Content, ...]] = [
        (
            line.dataset_type,
            line.detectors,
            element("code", one.token),
            _bound(one.timespan.begin),
            _bound(one.timespan.end),
            str(one.rule),
        )
        for line in lines
        for one in line.certifications
    ]
    headings = ("Type", "Detectors", "Token", "From (UTC)", "Until (UTC)", "Rule")
    yield many(
        "Validity ranges", table(f"Validity in {collection.name}", headings, rows[:SHOWN]), len(rows), at_once=12
    )
    if len(rows) > SHOWN:
        command = f"butler spherex calibrations {known.repo} --collection {collection.name}"
        yield paragraph(f"… and {number(len(rows) - SHOWN)} more; ", element("code", command), " lists all.")
