"""Runs and their chains: which release a processing belongs to, and the order that finds the latest first."""

from __future__ import annotations

__all__ = ("DEFAULTS", "chain_of", "ensure_run", "release_of")

import re
from collections.abc import Sequence
from functools import cache

from lsst.daf.butler import Butler, CollectionType, Config
from lsst.daf.butler.registry import MissingCollectionError
from pydantic import BaseModel, ConfigDict, TypeAdapter

from .errors import FormatError, ParameterError
from .names import ProcessingToken, ProductName
from .paths import config_uri

DEFAULTS = "SPHEREx/defaults"
"""The chain over all others."""

_RUN_PREFIX = "spx/"


class _Release(BaseModel):
    """One entry of ``releases.yaml``."""

    model_config = ConfigDict(extra="forbid")

    folder: str
    first_version: int
    last_version: int | None


@cache
def _releases() -> dict[str, _Release]:
    entries = Config(config_uri("repository/releases.yaml"))["releases"].toDict()
    return TypeAdapter(dict[str, _Release]).validate_python(entries)


def chain_of(release: str) -> str:
    """Return the chain of a release's runs: ``SPHEREx/qr2``.

    Raises
    ------
    ParameterError
        Raised if there is no such release.
    """
    if release not in _releases():
        raise ParameterError(f"There is no release {release!r}; known ones are {list(_releases())}.")
    return f"SPHEREx/{release}"


def release_of(name: ProductName, path: str = "", given: str | None = None) -> str:
    """Return the release a product belongs to.

    Parameters
    ----------
    name
        The product.
    path
        Where it came from; a folder of it may be that of a release.
    given
        What the caller says, which decides.

    Raises
    ------
    FormatError
        Raised if neither path nor processing version tells.
    """
    releases = _releases()
    if given is not None:
        return given
    folders = set(re.split(r"[/\\]", path)[:-1])
    found = [key for key, release in releases.items() if release.folder in folders]
    if len(found) == 1:
        return found[0]
    version = name.token.version
    for key, release in releases.items():
        if version is not None and release.first_version <= version <= (release.last_version or version):
            return key
    raise FormatError(f"The release of {str(name)!r} follows from neither its path nor its token; pass release=.")


def ensure_run(butler: Butler, name: ProductName, release: str) -> str:
    """Register a product's RUN and put it in its release's chain; return the run.

    The chain keeps the newest processing first, so that a find-first search
    gives the latest; all releases' chains are in `DEFAULTS`.
    """
    if butler.collections.register(name.run) or name.run not in _members(butler, chain_of(release)):
        _put_in_order(butler, chain_of(release), [name.run])
        _put_in_order(butler, DEFAULTS, [chain_of(release)])
    return name.run


def _members(butler: Butler, chain: str) -> tuple[str, ...]:
    try:
        return tuple(butler.collections.get_info(chain).children)
    except MissingCollectionError:
        return ()


def _put_in_order(butler: Butler, chain: str, added: Sequence[str]) -> None:
    """Add members to a chain and order it.

    Prepending is atomic, so that two processes lose no run; ordering follows,
    until no member has come in between.
    """
    butler.collections.register(chain, CollectionType.CHAINED)
    missing = [member for member in added if member not in _members(butler, chain)]
    if missing:
        butler.collections.prepend_chain(chain, missing)
    while (members := _members(butler, chain)) != (ordered := tuple(sorted(members, key=_rank, reverse=True))):
        if _members(butler, chain) == members:
            butler.collections.redefine_chain(chain, ordered)


def _rank(collection: str) -> tuple[int, tuple[int, int, int, bool]]:
    """Return a sort key: processings by theirs, releases by age, anything else last."""
    chains = [chain_of(release) for release in _releases()]
    if collection in chains:
        return (1 + chains.index(collection), (0, 0, 0, False))
    try:
        return (1, ProcessingToken.parse(collection.removeprefix(_RUN_PREFIX)).rank)
    except FormatError:
        return (0, (0, 0, 0, False))
