"""Where Butler finds its configuration, and what is wrong with it.

Butler silently ignores what it cannot find, and merges the rest without
saying where it came from: this module says it.
"""

from __future__ import annotations

__all__ = ("ConfigurationReport", "Finding", "check_configuration")

import difflib
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lsst.daf.butler import ButlerConfig, Config, DimensionConfig
from lsst.resources import ResourcePathExpression
from lsst.utils import doImportType

from ..errors import ConfigurationError, hide_secrets
from ..paths import CONFIG_PATH_VARIABLE, config_path, config_uri
from ..summaries import Summarized
from .provider import PROVIDER

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^:]*")

_TOP_KEYS = {"storageClasses.yaml": "storageClasses", "datastores/fileDatastore.yaml": "datastore"}
"""The files that Butler looks for in a folder and merges, with the key their content belongs under."""

_SEARCHED = (*_TOP_KEYS, "dimensions.yaml", "datastore.yaml", "registry.yaml", "repo_transfer_formats.yaml")

_SET = f"for repositories that do not include our configuration, set {CONFIG_PATH_VARIABLE}, as 'config-path' prints it"

_MISPLACED = {
    "fileDatastore.yaml": "datastores/fileDatastore.yaml",
    "formatters.yaml": "datastores/fileDatastore.yaml",
    "datastores/storageClasses.yaml": "storageClasses.yaml",
}
"""Where Butler does not look, and where it would."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Parameters
    ----------
    subject
        What was looked at: a folder, a file, a definition.
    message
        What was found.
    warning
        Whether something is wrong there.
    """

    subject: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{'warning: ' if self.warning else ''}{self.subject}: {self.message}"


@dataclass(frozen=True, slots=True, repr=False)
class ConfigurationReport(Summarized):
    """What `check_configuration` found, in the order in which Butler looks; its text begins with what is wrong."""

    findings: tuple[Finding, ...]

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that want something done."""
        return tuple(finding for finding in self.findings if finding.warning)

    @property
    def ok(self) -> bool:
        """Whether there are no warnings."""
        return not self.warnings

    @property
    def summary(self) -> str:
        """Whether the configuration is as it should be, and if not, how much is wrong."""
        number = len(self.warnings)
        if not self.ok:
            return f"{number} thing{'' if number == 1 else 's'} to correct:"
        unset = any(finding.subject == CONFIG_PATH_VARIABLE for finding in self.findings)
        return "Nothing is wrong" + (f", but {CONFIG_PATH_VARIABLE} is not set." if unset else ".")

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what JSON can hold."""
        return {"ok": self.ok, "findings": [asdict(finding) for finding in self.findings]}

    def __str__(self) -> str:
        notes = [finding for finding in self.findings if not finding.warning]
        return "\n".join([self.summary, *map(str, self.warnings), *map(str, notes)])


def check_configuration(repo: ResourcePathExpression | None = None) -> ConfigurationReport:
    """Look at the configuration as Butler finds it in this environment.

    Parameters
    ----------
    repo
        A repository whose ``butler.yaml`` is taken into account, too; by default
        only the environment is.

    Returns
    -------
    report
        Our own folder, folders and files of ``DAF_BUTLER_CONFIG_PATH``, the
        universe new repositories get, whether the storage classes and formatters
        in effect are ours (those that are not, one by one), and write recipes
        that do not exist.
    """
    steps = (_our_folder(), _variables(), _current_folder(), _search_path(), _default_universe(), _in_effect(repo))
    return ConfigurationReport(tuple(itertools.chain(*steps)))


def _our_folder() -> Iterator[Finding]:
    try:
        yield Finding(config_path(), "the folder of spherex_butler")
    except ConfigurationError as error:
        yield _warning("spherex_butler", str(error))


def _warning(subject: object, message: str) -> Finding:
    return Finding(str(subject), message, warning=True)


def _variables() -> Iterator[Finding]:
    """Find variables whose name is nearly the one that Butler reads."""
    for name in sorted(set(os.environ) - {CONFIG_PATH_VARIABLE}):
        near = difflib.get_close_matches(name, [CONFIG_PATH_VARIABLE], cutoff=0.85)
        if near or name.startswith("DAF_BUTLER_CONFIG"):
            yield _warning(name, f"is set, but Butler reads only {CONFIG_PATH_VARIABLE}; is it misspelt?")


def _current_folder() -> Iterator[Finding]:
    """Find files that Butler takes instead of all others of their name, because it makes the name absolute."""
    for name in _SEARCHED:
        if Path(name).is_file():
            message = f"Butler takes this file of the current folder instead of any other {name}"
            yield _warning(Path(name).absolute(), message)


def _search_path() -> Iterator[Finding]:
    value = os.environ.get(CONFIG_PATH_VARIABLE)
    if value is None:
        yield Finding(CONFIG_PATH_VARIABLE, "not set: only repositories that include our configuration have it")
        return
    for uri in _URI.findall(value):
        message = f"{uri!r} is a URI, which Butler splits at its colon and ignores; give a folder"
        yield _warning(CONFIG_PATH_VARIABLE, message)
    for entry in _entries(value):
        if not entry:
            yield _warning(CONFIG_PATH_VARIABLE, "has an empty entry, for which Butler takes the current folder")
        elif Path(entry).is_dir():
            yield from _folder(Path(entry))
        else:
            kind = "is a file" if Path(entry).exists() else "does not exist"
            yield _warning(entry, f"{kind}: Butler ignores it; {CONFIG_PATH_VARIABLE} takes folders")


def _entries(value: str) -> list[str]:
    """Return what Butler takes for folders, without the halves of URIs."""
    return [entry for entry in _URI.sub("\0", value).split(os.pathsep) if entry != "\0"]


def _folder(folder: Path) -> Iterator[Finding]:
    found = [name for name in _SEARCHED if (folder / name).is_file()]
    if found:
        yield Finding(str(folder), f"has {', '.join(found)}")
    else:
        yield _warning(folder, f"has none of the files that Butler looks for: {', '.join(_SEARCHED)}")
    for name in found:
        yield from _file(folder / name, _TOP_KEYS.get(name))
    if folder.absolute().is_relative_to(Path(__file__).parents[1]):
        return  # our files include one another
    for name, place in _MISPLACED.items():
        if (folder / name).is_file() and not (folder / place).is_file():
            message = f"Butler does not look here; its content belongs into {str(folder / place)!r}"
            yield _warning(folder / name, message)


def _file(path: Path, top_key: str | None) -> Iterator[Finding]:
    try:
        keys = list(Config(str(path)))
    except Exception as error:  # noqa: BLE001  # whatever the parser raises is the finding
        yield _warning(path, f"cannot be read: {error}")
        return
    if top_key is not None and top_key not in keys:
        yield _warning(path, f"lacks the top key {top_key!r}; its keys are {keys}")


def _default_universe() -> Iterator[Finding]:
    config = DimensionConfig()
    name = f"new repositories get the universe {config.get('namespace', 'daf_butler')!r}, {config['version']}"
    source = str(config.filesRead[0])
    if source.startswith("resource://lsst.daf.butler/") or config == PROVIDER.dimensions():
        yield Finding(source, name)
    else:
        yield _warning(source, f"{name}: it is the first dimensions.yaml on {CONFIG_PATH_VARIABLE}")


def _in_effect(repo: ResourcePathExpression | None) -> Iterator[Finding]:
    where = "the environment" if repo is None else hide_secrets(str(repo))
    wanted = repo is not None or CONFIG_PATH_VARIABLE in os.environ
    try:
        config = ButlerConfig(repo)
    except Exception as error:  # noqa: BLE001  # whatever Butler raises is the finding
        yield _warning(where, f"Butler cannot read its configuration: {hide_secrets(str(error))}")
        return
    classes, formatters = PROVIDER.storage_classes()["storageClasses"], PROVIDER.formatters()
    ours: dict[tuple[str, ...], Any] = {("storageClasses", name): value for name, value in classes.items()}
    ours |= {("datastore", "formatters", name): value for name, value in formatters.items()}
    yield from _compare(where, ours, {key: config.get(key) for key in ours}, wanted=wanted)
    yield from _recipes(where, config)


def _compare(
    where: str, ours: Mapping[tuple[str, ...], Any], effective: Mapping[tuple[str, ...], Any], *, wanted: bool
) -> Iterator[Finding]:
    """Count the definitions in effect that are ours, and name the others; all that are missing are one finding."""
    same = [key for key in ours if effective[key] == ours[key]]
    missing = [key for key in ours if effective[key] is None]
    if missing == list(ours):
        remedy = f"add {config_uri('butler.yaml')!r} to its includeConfigs" if where != "the environment" else _SET
        yield Finding(where, f"knows none of our storage classes and formatters; {remedy}", warning=wanted)
        return
    yield Finding(where, f"{len(same)} of our {len(ours)} storage classes and formatters are in effect")
    for key in ours:
        subject = f"{where}, {'.'.join(key)}"
        if key in missing:
            yield Finding(subject, "not found", warning=wanted)
        elif key not in same:
            yield _warning(subject, f"not ours{_origin(key)}: {_difference(effective[key], ours[key])}")


def _recipes(where: str, config: Config) -> Iterator[Finding]:
    """Find write recipes that do not exist, which Butler notices when something is put."""
    entries = dict(config.get(("datastore", "formatters"), {}))
    recipes, defaults = (dict(entries.pop(name, None) or {}) for name in ("write_recipes", "default"))
    for name, entry in entries.items():
        given = dict(entry) if isinstance(entry, Mapping) else {"formatter": entry}
        if not isinstance(given.get("formatter"), str):
            yield from _recipes_of_instrument(where, name, given, recipes, defaults)
            continue
        yield from _check_recipe(f"{where}, datastore.formatters.{name}", given, recipes, defaults)


def _recipes_of_instrument(
    where: str, name: str, entries: Mapping[str, Any], recipes: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Iterator[Finding]:
    for key, entry in entries.items():
        given = dict(entry) if isinstance(entry, Mapping) else {"formatter": entry}
        yield from _check_recipe(f"{where}, datastore.formatters.{name}.{key}", given, recipes, defaults)


def _check_recipe(
    subject: str, given: Mapping[str, Any], recipes: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Iterator[Finding]:
    kind = str(given.get("formatter"))
    parameters = {**(defaults.get(kind) or {}), **(given.get("parameters") or {})}
    if not kind.startswith(f"{__name__.partition('.')[0]}.") or "recipe" not in parameters:
        return
    try:
        formatter: Any = doImportType(kind)
        known = formatter.validate_write_recipes(recipes.get(kind))
    except Exception as error:  # noqa: BLE001  # whatever the formatter raises is the finding
        yield _warning(subject, f"its formatter cannot be used: {error}")
        return
    if parameters["recipe"] not in known:
        message = f"there is no write recipe {parameters['recipe']!r}; expected one of {', '.join(sorted(known))}"
        yield _warning(subject, message)


def _origin(key: tuple[str, ...]) -> str:
    """Say which file on the path has a definition first, if one has."""
    for entry in _entries(os.environ.get(CONFIG_PATH_VARIABLE, "")):
        for name in _TOP_KEYS:
            path = Path(entry, name)
            if path.is_file() and key in Config(str(path)):
                return f", but of {str(path)!r} or of the repository"
    return ", but of the repository"


def _difference(effective: Any, ours: Any) -> str:
    """Return on one line what two definitions do not share."""
    if not (isinstance(effective, Mapping) and isinstance(ours, Mapping)):
        return f"{effective!r}, where ours is {ours!r}"
    keys = [key for key in {**ours, **effective} if ours.get(key) != effective.get(key)]
    return "; ".join(f"{key} {effective.get(key)!r}, where ours is {ours.get(key)!r}" for key in keys)
