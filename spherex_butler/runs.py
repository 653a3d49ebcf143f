"""Runs and their chains: which release a processing belongs to, and the order that finds the latest first."""

from __future__ import annotations

__all__ = ("chain_of", "ensure_run", "release_of")

import re
from functools import cache

from lsst.daf.butler import Butler, CollectionType, Config
from lsst.daf.butler.registry import MissingCollectionError
from pydantic import BaseModel, ConfigDict, TypeAdapter

from .conventions import DEFAULT_COLLECTION
from .errors import FormatError, ParameterError
from .names import RUN_PREFIX, ProcessingToken, ProductName
from .paths import config_uri


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
    gives the latest; all releases' chains are in `.conventions.DEFAULT_COLLECTION`.
    """
    chain = chain_of(release)
    butler.collections.register(name.run)
    for parent, member in ((chain, name.run), (DEFAULT_COLLECTION, chain)):
        if member not in _members(butler, parent):
            _put_in_order(butler, parent, member)
    return name.run


def _members(butler: Butler, chain: str) -> tuple[str, ...]:
    try:
        return tuple(butler.collections.get_info(chain).children)
    except MissingCollectionError:
        return ()


def _put_in_order(butler: Butler, chain: str, added: str) -> None:
    """Add a member to a chain and order it.

    Only by prepending, which is atomic and moves what is a member already: a
    member that another process adds meanwhile stays, and is ordered next.
    """
    butler.collections.register(chain, CollectionType.CHAINED)
    wanted = {*_members(butler, chain), added}
    while _members(butler, chain) != (ordered := tuple(sorted(wanted, key=_rank, reverse=True))):
        butler.collections.prepend_chain(chain, ordered)
        wanted |= set(_members(butler, chain))


def _rank(collection: str) -> tuple[int, tuple[int, int, int, bool]]:
    """Return a sort key: processings by theirs, releases by age, anything else last."""
    chains = [chain_of(release) for release in _releases()]
    if collection in chains:
        return (1 + chains.index(collection), (0, 0, 0, False))
    try:
        return (1, ProcessingToken.parse(collection.removeprefix(RUN_PREFIX)).rank)
    except FormatError:
        return (0, (0, 0, 0, False))
