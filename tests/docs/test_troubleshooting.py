"""The messages that the page on errors explains are those that the package prints, or Butler."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from calibration_repositories import DARK, EXPOSURE, NEWER_DARK, observe, put_image, register
from lsst.daf.butler import Butler, ButlerUserError, EmptyQueryResultError
from lsst.daf.butler.registry import ConflictingDefinitionError
from made_once import new_repo

import spherex_butler
from spherex_butler import SpectralImage
from spherex_butler.calibrations import certify
from spherex_butler.testing import make_spectral_image

PACKAGE = Path(spherex_butler.__file__).parent
PAGE = PACKAGE.parent / "docs" / "how-to" / "troubleshooting.md"
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


def messages(section: str) -> list[str]:
    """Return the messages that a section explains."""
    terms = re.findall(r"^(`.+`)\n: ", SECTIONS[section], re.MULTILINE)
    return [message for term in terms for message in re.findall(r"`(.+?)`", term)]


OF_BUTLER = messages("Butler's own")
MESSAGES = [message for section in SECTIONS if section != "Butler's own" for message in messages(section)]
HOLE = "\N{OBJECT REPLACEMENT CHARACTER}"  # for what a message holds of the moment; no message has this character
FILLED = f"(?:…|[^ ]?{HOLE}.*?)"


def texts(path: Path) -> list[str]:
    """Return the strings of a module but for docstrings, with holes for what is put into them."""
    found = []
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    documentation = {node.value for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if node in documentation:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
        elif isinstance(node, ast.JoinedStr):
            found.append("".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values))
    return found


@pytest.fixture(scope="module")
def package_texts() -> list[str]:
    return [text for path in sorted(PACKAGE.rglob("*.py")) for text in texts(path)]


@pytest.mark.parametrize("message", MESSAGES)
def test_explained_message_is_printed(message, package_texts):
    pattern = re.compile(FILLED.join(map(re.escape, message.split("…"))), re.DOTALL)
    assert any(pattern.search(text) for text in package_texts), f"No text of the package is like {message!r}"


REFUSALS = (ButlerUserError, ConflictingDefinitionError, EmptyQueryResultError, RuntimeError, TypeError)
IMAGE = {"exposure": 20255110106842, "detector": 3}
OWN = "u/me/test"


def put_without_writing(butler: Butler, image: SpectralImage) -> None:
    with Butler.from_config(butler._config) as reader:
        reader.put(image, "level2", IMAGE, run=OWN)


def put_twice(butler: Butler, image: SpectralImage) -> None:
    for _ in range(2):
        butler.put(image, "level2", IMAGE, run=OWN)


MISTAKES: list[tuple[str, Callable[[Butler, SpectralImage], object]]] = [
    ("Possible reasons for empty result:", lambda butler, _: butler.query_datasets("level2", where="detector = 9")),
    (
        "do not agree (int, string)",
        lambda butler, _: butler.query_datasets("level2", where="exposure = '2025W51_1A_0684_2'"),
    ),
    (
        "matched no records when constrained by {'full_name': '3'}",
        lambda butler, _: butler.get("level2", exposure=20255110106842, detector="3"),
    ),
    ("Butler is read-only.", put_without_writing),
    ("Ambiguous calibration validity range match.", lambda butler, _: butler.query_datasets("dark")),
    ("Ambiguous calibration validity range match.", lambda butler, _: butler.get("dark", detector=3)),
    (
        "Failed to serialize dataset",
        lambda butler, image: butler.put(image, "level2", {**IMAGE, "exposure": 20255110106843}, run=OWN),
    ),
    ("A database constraint failure was triggered by inserting one or more datasets", put_twice),
]
"""Of users, with the words of the page by which Butler answers."""


@pytest.fixture(scope="module")
def butler() -> Iterator[Butler]:
    """A repository with two exposures, and two darks that are valid at different times."""
    with new_repo() as opened:
        put_image(opened, make_spectral_image(obs_id=EXPOSURE, detector=3, size=8))
        observe(opened, "2025W51_1A_0684_3", begin=61028.25)
        for token, times in ((DARK, {"end": "2026-07-20"}), (NEWER_DARK, {"begin": "2026-07-20"})):
            register(opened, "dark", token, [3])
            certify(opened, "dark", token=token, **times)
        opened.collections.register(OWN)
        yield opened


@pytest.mark.parametrize(("message", "mistake"), MISTAKES)
def test_explained_message_is_butlers(butler, message, mistake):
    image = make_spectral_image(obs_id=EXPOSURE, detector=3, size=8)
    with pytest.raises(REFUSALS) as caught:
        mistake(butler, image)
    assert message in str(caught.value)


def test_every_message_of_butler_is_provoked():
    assert {message for message, _ in MISTAKES} == set(OF_BUTLER)


def test_page_explains_the_likely_ones():
    assert len(MESSAGES) == len(set(MESSAGES)) >= 40
