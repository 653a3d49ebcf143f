"""The code blocks of the documentation's pages: which there are, and what each is for.

======================= ===========================================================================
Block                   What a reader does with it
======================= ===========================================================================
``sh``                  types it into a shell
``python``              types it into Python
``yaml``, ``python``,   saves it as the file that its first line names, as in ``# lightcurves/butler.yaml``;
``toml``                with ``in``, as in ``# in repo/butler.yaml``, changes these keys of a YAML file
``text``                compares it with what the block before printed; ``…`` stands for anything
======================= ===========================================================================

``<!-- not run: why -->`` in the line before a block says that tests leave it out.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import spherex_butler

SOURCE = Path(spherex_butler.__file__).parents[1]
PAGES = [SOURCE / "README.md", *sorted((SOURCE / "docs").rglob("*.md"))]

_FENCE = re.compile(r"(?P<indent> *)(?P<fence>```+|:::+)(?P<language>.*)")
_NOT_RUN = re.compile(r"\s*<!-- not run: (.+) -->\s*")
_FILE = re.compile(r"# (?P<changed>in )?(?P<name>[\w./-]+\.(?:yaml|py|toml))\n")


@dataclass(frozen=True)
class Block:
    """A block of a page.

    Parameters
    ----------
    page
        The page, relative to the source tree.
    line
        Of the page, on which the code begins, from 1.
    language
        As after the fence.
    code
        What stands in it.
    not_run
        Why tests leave it out, if they do.
    """

    page: str
    line: int
    language: str
    code: str
    not_run: str | None = None

    @property
    def place(self) -> str:
        """Where it is, as editors take it."""
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that it is saved as, or whose keys it changes."""
        match = _FILE.match(self.code)
        return match["name"] if match else None

    @property
    def changes_file(self) -> bool:
        """Whether it changes keys of a file that is there."""
        match = _FILE.match(self.code)
        return bool(match and match["changed"])

    @property
    def numbered_code(self) -> str:
        """The code, after as many empty lines as make its line numbers those of the page."""
        return "\n" * (self.line - 1) + self.code


def blocks_of(page: Path) -> list[Block]:
    """Return the code blocks of a page, directives of Sphinx left out."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return [block for block in _found(str(page.relative_to(SOURCE)), lines) if not block.language.startswith("{")]


def _found(page: str, lines: list[str]) -> Iterator[Block]:
    number = 0
    while number < len(lines):
        opening = _FENCE.fullmatch(lines[number])
        if opening:
            begin = number + 1
            end = lines.index(opening["indent"] + opening["fence"], begin)
            reason = _NOT_RUN.fullmatch(lines[number - 1]) if number else None
            code = textwrap.dedent("".join(f"{line}\n" for line in lines[begin:end]))
            yield Block(page, begin + 1, opening["language"].strip(), code, reason[1] if reason else None)
            number = end
        number += 1
