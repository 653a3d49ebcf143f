"""The messages that the page on errors explains are those that the package prints."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import spherex_butler

PACKAGE = Path(spherex_butler.__file__).parent
PAGE = PACKAGE.parent / "docs" / "how-to" / "troubleshooting.md"
TERMS = re.findall(r"^(`.+`)\n: ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
MESSAGES = [message for term in TERMS for message in re.findall(r"`(.+?)`", term)]
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


def test_page_explains_the_likely_ones():
    assert len(MESSAGES) == len(set(MESSAGES)) >= 40
