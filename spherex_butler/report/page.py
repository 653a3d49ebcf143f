"""The page as a whole: its head, which forbids every request, its sections, and what it says where there is nothing."""

from __future__ import annotations

__all__ = ("document", "page", "repository_name")

import base64
import hashlib
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import PurePosixPath

from ..repository.times import format_time
from .calibrations import calibrations_section
from .channels import channels_section
from .facts import Facts
from .images import images_section, processings_section
from .markup import Content, Markup, element, number
from .sky import sky_section
from .tables import SHOWN, facts, paragraph, share, table
from .verification import verification_section


def page(known: Facts) -> str:
    """Return the page as HTML, with no reference to anything outside of it."""
    name = repository_name(known.summary.root)
    sections = {title: _section(title, content) for title, content in _contents(known).items()}
    return document(
        f"SPHEREx repository {name}",
        _header(known, name),
        _navigation(sections),
        element("main", *sections.values()),
        _footer(known),
    )


def repository_name(root: str) -> str:
    """Return what pages call a repository with its files in some folder."""
    return PurePosixPath(root.rstrip("/") or "/").name or root


def document(title: str, *body: Markup, reload_after: int | None = None) -> str:
    """Return a page in the style of the report, which runs no script and asks for nothing.

    Parameters
    ----------
    title
        Of the window.
    *body
        What is in it.
    reload_after
        Seconds after which a browser asks for the page again; by default it never does.
    """
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),
        element("meta", http_equiv="refresh", content=str(reload_after)) if reload_after is not None else None,
        element("title", title),
        element("style", Markup(style)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', *body), lang='en')}\n"


def _header(known: Facts, name: str) -> Markup:
    found = known.summary
    lead = "There are no exposures yet."
    if found.begin is not None and found.end is not None:
        lead = f"Observations from {format_time(found.begin)[:10]} to {format_time(found.end)[:10]}."
    numbers = [
        ("images", sum(found.images.values())),
        ("exposures", found.exposures),
        ("planning periods", found.planning_periods),
        ("processings", len(found.images)),
        ("calibrations", sum(found.calibrations.values())),
    ]
    tiles = [element("li", element("strong", number(count)), f" {what}") for what, count in numbers]
    if known.sky is not None:
        seen = share(int((known.sky.depth > 0).sum()), len(known.sky.depth))
        tiles.append(element("li", element("strong", seen), " of the sky"))
    return element(
        "header",
        element("p", "SPHEREx repository", class_="kicker"),
        element("h1", name),
        paragraph(lead),
        element("ul", *tiles, class_="tiles"),
    )


def _navigation(names: Iterable[str]) -> Markup:
    links = (element("li", element("a", name.capitalize(), href=f"#{name}")) for name in names)
    return element("nav", element("ul", *links), aria_label="Sections")


def _contents(known: Facts) -> dict[str, Iterator[Markup]]:
    """Return what is in each section, by its name; without images there are no sections of what they show."""
    has_calibrations = any(known.summary.calibrations.values())
    contents = {
        "repository": _repository(known),
        "images": images_section(known) if known.images else _no_images(known),
    }
    if known.sky is not None:
        contents |= {
            "sky": sky_section(known.sky, known.repo),
            "channels": channels_section(known.sky),
            "processings": processings_section(known),
        }
    return contents | {
        "calibrations": calibrations_section(known) if has_calibrations else _no_calibrations(known),
        "checks": verification_section(known.verification, known.repo),
    }


def _section(name: str, content: Iterator[Markup]) -> Markup:
    return element("section", element("h2", name.capitalize()), *content, id=name)


def _repository(known: Facts) -> Iterator[Markup]:
    """Yield what and where the repository is."""
    found = known.summary
    pairs: list[tuple[str, Content]] = [
        ("Files in", element("code", found.root)),
        ("Database", element("code", known.database)),
        ("Universe of dimensions", found.universe),
        *((f"Version of {name}", version) for name, version in known.versions.items()),
        ("Searched by default", ", ".join(found.defaults) or "nothing"),
        ("This page made", f"{format_time(known.made)[:19].replace('T', ' ')} UTC"),
    ]
    yield facts(pairs)
    others = [(name, count) for name, count in found.others.items() if count]
    if others:
        yield table("Datasets of other types", ("Type", "Datasets"), others[:SHOWN])


def _no_images(known: Facts) -> Iterator[Markup]:
    yield paragraph(
        "There are no images yet. ",
        element("code", f"butler spherex ingest {known.repo} FOLDER"),
        " brings Level 2 files in, and ",
        element("code", f"butler spherex ingest-archive {known.repo} TABLE"),
        " registers those of the archive where they are.",
    )


def _no_calibrations(known: Facts) -> Iterator[Markup]:
    yield paragraph(
        "There are no calibrations yet, so that images find none. ",
        element("code", f"butler spherex ingest-calibrations {known.repo} FOLDER"),
        " brings the archive's files in and says when they are valid.",
    )


def _footer(known: Facts) -> Markup:
    made = f"{format_time(known.made)[:19].replace('T', ' ')} UTC"
    return element(
        "footer", paragraph(f"Made by spherex-butler {known.versions['spherex-butler']}, {made}. Times are UTC.")
    )
