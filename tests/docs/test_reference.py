"""The reference names everything public, under the name that users import."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import spherex_butler

REFERENCE = Path(spherex_butler.__file__).parents[1] / "docs" / "reference"
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in sorted(REFERENCE.glob("*.md")))
DIRECTIVES = re.findall(r"^\.\. auto(\w+):: (\S+)\n((?:   :.*\n)*)", TEXT, re.MULTILINE)

PACKAGES = (
    "spherex_butler",
    "spherex_butler.archive",
    "spherex_butler.calibrations",
    "spherex_butler.errors",
    "spherex_butler.export",
    "spherex_butler.formatters",
    "spherex_butler.images",
    "spherex_butler.ingest",
    "spherex_butler.names",
    "spherex_butler.obscore",
    "spherex_butler.plot",
    "spherex_butler.report",
    "spherex_butler.search",
    "spherex_butler.service",
    "spherex_butler.spectra",
    "spherex_butler.tasks",
    "spherex_butler.testing",
    "spherex_butler.verify",
)
"""Those that users import from."""


def described(package: str) -> set[str]:
    """Return the names of a package that a directive of the reference describes."""
    names = {name.rpartition(".")[2] for kind, name, _ in DIRECTIVES if kind != "module" and is_of(name, package)}
    for kind, name, options in DIRECTIVES:
        members = re.search(r":members:[ ]*(.*)", options)
        if kind == "module" and name == package and members:
            excluded = re.search(r":exclude-members: (.*)", options)
            every = set(importlib.import_module(package).__all__)
            names |= (
                set(members[1].split(", ")) if members[1] else every - set(excluded[1].split(", ") if excluded else ())
            )
    return names


def is_of(name: str, package: str) -> bool:
    """Return whether a described name is that of something in a package."""
    holder, _, last = name.rpartition(".")
    return getattr(importlib.import_module(holder), last) is getattr(importlib.import_module(package), last, None)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_described(package):
    public = set(importlib.import_module(package).__all__) - {"__version__"}
    assert public - described(package) == set()


def test_every_package_with_public_names_is_looked_at():
    root = Path(spherex_butler.__file__).parent
    found = {
        f"spherex_butler.{path.parent.name}"
        for path in root.glob("*/__init__.py")
        if getattr(importlib.import_module(f"spherex_butler.{path.parent.name}"), "__all__", ())
    }
    assert found - set(PACKAGES) <= {"spherex_butler.cli"}


def test_every_described_name_exists():
    for kind, name, _ in DIRECTIVES:
        holder, _, last = name.rpartition(".")
        assert kind == "module" or hasattr(importlib.import_module(holder), last), name
        assert kind != "module" or importlib.import_module(name).__doc__, name
