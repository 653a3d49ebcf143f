"""How many images there are: by release, detector, survey, planning period and processing."""

from __future__ import annotations

__all__ = ("images_section", "processings_section")

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lsst.daf.butler import DimensionRecord

from ..calibrations.ranges import token_of
from ..constants import DETECTORS
from ..repository.runs import release_of_run
from ..search.inventory import ExposureCount, ImageCount
from .charts import Stack, legend, stacked_chart
from .facts import Facts
from .markup import Content, Markup, element, number
from .tables import bar, day, many, paragraph, share, table

_NO_RELEASE = "of no release"


def images_section(known: Facts) -> Iterator[Markup]:
    """Yield counts of images by release, detector, survey and planning period."""
    by_release = _summed(known.images, lambda one: _release(one.run))
    releases = sorted(by_release, key=lambda name: (name == _NO_RELEASE, name))
    yield paragraph(
        "Each processing of an image counts here; see ",
        element("a", "processings", href="#processings"),
        " for those that are superseded.",
    )
    tables = [_releases(known.images, by_release, releases), _detectors(known)]
    if known.exposures:
        tables.append(_surveys(known.exposures))
    yield element("div", *tables, class_="side")
    yield from _by_period(known, releases)


def _release(run: str) -> str:
    return release_of_run(run) or _NO_RELEASE


def _summed(images: Iterable[ImageCount], key: Callable[[ImageCount], Any]) -> dict[Any, int]:
    found: Counter[Any] = Counter()
    for one in images:
        found[key(one)] += one.images
    return dict(found)


def _releases(images: Sequence[ImageCount], counts: Mapping[str, int], releases: Sequence[str]) -> Markup:
    runs = Counter(_release(run) for run in {one.run for one in images})
    largest = max(counts.values())
    rows = [
        (name, runs[name], counts[name], bar(counts[name], largest, f"k{place % 6}"))
        for place, name in enumerate(releases)
    ]
    return table("Images by release", ("Release", "Processings", "Images", ""), rows)


def _detectors(known: Facts) -> Markup:
    counts = _summed(known.images, lambda one: one.detector)
    largest = max(counts.values())
    rows = [
        (f"D{number}", _band(known.detectors[number]), counts.get(number, 0), bar(counts.get(number, 0), largest))
        for number in DETECTORS
    ]
    return table("Images by detector", ("Detector", "Wavelengths", "Images", ""), rows)


def _band(record: DimensionRecord) -> str:
    values: Any = record.toDict()
    return f"{values['wavelength_min']:.2f}–{values['wavelength_max']:.2f}\N{NO-BREAK SPACE}µm"


def _surveys(exposures: Sequence[ExposureCount]) -> Markup:
    counts: Counter[str] = Counter()
    for one in exposures:
        counts[one.survey or "not known"] += one.exposures
    largest = max(counts.values())
    rows = [(name, count, bar(count, largest)) for name, count in counts.most_common()]
    return table("Exposures by survey", ("Survey", "Exposures", ""), rows)


def _by_period(known: Facts, releases: Sequence[str]) -> Iterator[Markup]:
    of_period: defaultdict[str, list[ImageCount]] = defaultdict(list)
    for one in known.images:
        of_period[one.planning_period].append(one)
    exposures: defaultdict[str, list[ExposureCount]] = defaultdict(list)
    for counted in known.exposures:
        exposures[counted.planning_period].append(counted)
    names = sorted(of_period.keys() | exposures.keys())
    stacks = [Stack(name, _summed(of_period[name], lambda one: _release(one.run))) for name in names]
    title = f"Images of each of {number(len(names))} planning periods, in their order; the parts of a bar are releases."
    yield element("h3", "By planning period")
    yield element("figure", stacked_chart(title, stacks, releases), element("figcaption", title, legend(releases)))
    rows = [_period(name, of_period[name], exposures[name]) for name in names]
    headings = ("Planning period", "From (UTC)", "Exposures", "Images", *(f"D{one}" for one in DETECTORS), "Releases")
    yield many("Planning periods", table("Images by planning period", headings, rows), len(rows))


def _period(name: str, images: Sequence[ImageCount], exposures: Sequence[ExposureCount]) -> tuple[Content, ...]:
    by_detector = _summed(images, lambda one: one.detector)
    begin = min((one.begin for one in exposures if one.begin is not None), default=None)
    return (
        name,
        day(begin),
        sum(one.exposures for one in exposures),
        sum(by_detector.values()),
        *(by_detector.get(detector, 0) for detector in DETECTORS),
        ", ".join(sorted({_release(one.run) for one in images})) or None,
    )


def processings_section(known: Facts) -> Iterator[Markup]:
    """Yield how many images each run holds, and how many of them a newer processing supersedes."""
    counts = _summed(known.images, lambda one: one.run)
    periods = {run: len({one.planning_period for one in known.images if one.run == run}) for run in counts}
    searched = [run for run in known.searched if run in counts]
    superseded = {run: counts[run] - known.found_first.get(run, 0) for run in searched}
    total, old = sum(counts.values()), sum(superseded.values())
    unsearched = total - sum(counts[run] for run in searched)
    yield paragraph(
        f"{number(total)} images in {number(len(counts))} processings. ",
        element("strong", f"{number(old)} ({share(old, total)}) are superseded" if old else "None is superseded"),
        (": a search by default finds a newer processing of the same image in their place." if old else ".")
        + (f" {number(unsearched)} are in runs that are not searched by default." if unsearched else ""),
    )
    order = {run: place for place, run in enumerate(known.searched)}
    runs = sorted(counts, key=lambda run: (order.get(run, len(order)), run))
    largest = max(counts.values())
    rows = [
        (
            element("code", token_of(run)),
            _release(run),
            periods[run],
            counts[run],
            superseded.get(run, "not searched"),
            bar(counts[run], largest),
        )
        for run in runs
    ]
    headings = ("Processing", "Release", "Planning periods", "Images", "Superseded", "")
    yield many("Processings", table("Processings, as they are searched", headings, rows), len(rows), at_once=30)
