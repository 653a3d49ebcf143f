"""Imports point inwards, without a circle, and what a module of each ring loads; every module is looked at."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import spherex_butler

ROOT = Path(spherex_butler.__file__).parent

ORDER = {
    "pure": ("lazy", "summaries", "errors", "names", "constants", "arguments", "paths", "formats", "images"),
    "butler": (
        "files",
        "configuration",
        "formatters",
        "repository",
        "datasets",
        "ingest",
        "archive",
        "calibrations",
        "search",
        "spectra",
        "export",
        "verify",
        "obscore",
        "report",
        "service",
    ),
    "edge": ("testing", "plot", "instrument", "tasks", "cli", "__main__"),
}
"""Rooms of each ring, from the inside out; each imports itself and what stands before it."""
ROOMS = tuple(room for ring in ORDER.values() for room in ring)


def modules() -> dict[str, Path]:
    names = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


MODULES = modules()


@cache
def imported(module: str) -> set[str]:
    """Return which modules of ours a module imports, wherever in it."""
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for name in imported_names(node, package):
            found.add(name if name in MODULES else name.rpartition(".")[0])
    return found - {module, ""}


def imported_names(node: ast.AST, package: list[str]) -> list[str]:
    """Return what an import of ours in a module of some package names, relative to our root."""
    if isinstance(node, ast.Import):
        named = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        base = [ROOT.name, *package[: len(package) - node.level + 1]] if node.level else []
        named = [".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names]
    else:
        named = []
    return [name.partition(".")[2] for name in named if name.partition(".")[0] == ROOT.name]


def room_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


@pytest.fixture
def loaded_by(run_python: Callable[..., str]) -> Callable[..., dict[str, list[str]]]:
    """Return a function that says which modules of some packages each of our modules is the first to load.

    All are imported in one process that knows nothing but this package.
    """

    def load(modules: Iterable[str], *packages: str) -> dict[str, list[str]]:
        names = [".".join(filter(None, ("spherex_butler", module))) for module in modules]
        return json.loads(run_python(LOAD, json.dumps(names), json.dumps(packages)))

    return load


LOAD = """
import importlib, json, sys
modules, packages = map(json.loads, sys.argv[1:])
known, found = set(), {}
for module in modules:
    importlib.import_module(module)
    loaded = {name for name in sys.modules for package in packages if f"{name}.".startswith(f"{package}.")}
    if loaded - known:
        found[module] = sorted(loaded - known)
    known |= loaded
print(json.dumps(found))
"""


def in_rooms(*rooms: str) -> list[str]:
    return sorted(module for module in MODULES if room_of(module) in rooms)


def test_every_room_has_its_place():
    assert {room_of(module) for module in MODULES} - {""} == set(ROOMS)


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name))
def test_imports_point_inwards(module):
    allowed = ROOMS[: ROOMS.index(room_of(module)) + 1]
    assert sorted(other for other in imported(module) if room_of(other) not in allowed) == []


def test_there_is_no_circle_of_imports():
    graph = {module: imported(module) for module in MODULES if module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circle: {' -> '.join(error.args[1])}")


def test_pure_modules_load_neither_butler_nor_click(loaded_by):
    modules = ["", *in_rooms(*ORDER["pure"]), "testing"]
    assert len(modules) > 30
    assert loaded_by(modules, "lsst", "click") == {}


def test_modules_about_files_load_nothing_of_rubin_but_resources(loaded_by):
    found = loaded_by(in_rooms("files"), "lsst", "click")
    loaded = {name for names in found.values() for name in names}
    assert "lsst.resources" in loaded
    assert {".".join(name.split(".")[:2]) for name in loaded} <= {"lsst", "lsst.resources", "lsst.utils"}


def test_modules_of_the_butler_ring_do_not_load_our_edge(loaded_by):
    edge = [f"spherex_butler.{room}" for room in ORDER["edge"]]
    assert loaded_by(in_rooms(*ORDER["butler"]), *edge) == {}


def test_loading_is_seen(loaded_by):
    assert loaded_by(["names", "paths", "files.remote"], "lsst.resources").keys() == {"spherex_butler.files.remote"}


def test_config_path_is_known_without_butler(run_python):
    script = "import sys, spherex_butler; print(spherex_butler.config_path()); print('lsst.daf.butler' in sys.modules)"
    path, loaded = run_python(script).split()
    assert (path, loaded) == (spherex_butler.config_path(), "False")


@pytest.mark.parametrize("name", spherex_butler.__all__)
def test_every_public_name_is_there_and_listed(name):
    assert getattr(spherex_butler, name) is not None
    assert name in dir(spherex_butler)


def test_public_names_are_listed_before_first_use(run_python):
    script = "import spherex_butler; print(sorted(set(spherex_butler.__all__) - set(dir(spherex_butler))))"
    assert run_python(script).strip() == "[]"


def test_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match=r"no attribute 'make_repos'; it has .*make_repo"):
        _ = spherex_butler.make_repos
