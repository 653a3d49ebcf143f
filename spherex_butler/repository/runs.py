"""Runs and their chains: which release a processing belongs to, and the order that finds the latest first."""

from __future__ import annotations

__all__ = (
    "archive_collection",
    "calibration_tokens",
    "chain_members",
    "chain_of",
    "chain_order",
    "doubt_of",
    "ensure_run",
    "newest_first",
    "put_in_order",
    "ranked",
    "register_run",
    "release_chains",
    "release_in_path",
    "release_of",
    "release_of_run",
    "release_spans",
)

import re
from collections.abc import Iterable, Sequence
from functools import cache

from lsst.daf.butler import Butler, CollectionType, Config
from lsst.daf.butler.registry import MissingCollectionError
from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..constants import CALIBRATION_COLLECTION, DATASET_TYPE, DEFAULT_COLLECTION
from ..errors import FormatError, ParameterError
from ..names import RUN_PREFIX, ProcessingToken, ProductName
from ..paths import config_uri

_IMAGE_PROCESS = "l2b"


class _Release(BaseModel):
    """One entry of ``releases.yaml``."""

    model_config = ConfigDict(extra="forbid")

    folder: str
    first_version: int
    last_version: int | None
    span: tuple[str, str | None] | None
    calibrations: list[str]


@cache
def _newest_versions() -> dict[str, int]:
    """Return the newest version that is known of each process."""
    tokens = [ProcessingToken.parse(token) for release in _releases() for token in calibration_tokens(release)]
    versions = [(token.process, token.version) for token in tokens if token.version is not None]
    found = {_IMAGE_PROCESS: int(Config(config_uri("repository/releases.yaml"))["newest_version"])}
    return found | {process: max(number for name, number in versions if name == process) for process, _ in versions}


@cache
def _releases() -> dict[str, _Release]:
    entries = Config(config_uri("repository/releases.yaml"))["releases"].toDict()
    return TypeAdapter(dict[str, _Release]).validate_python(entries)


def chain_of(release: str) -> str:
    """Return the chain of a release's runs: ``SPHEREx/qr2``."""
    if release not in _releases():
        raise ParameterError(f"There is no release {release!r}; known ones are {', '.join(_releases())}.")
    return f"SPHEREx/{release}"


def archive_collection(release: str) -> str:
    """Return the archive's own collection of a release's images: ``spherex_qr2``; it has the name of their folder."""
    chain_of(release)  # refuses an unknown release
    return f"spherex_{_releases()[release].folder}"


def calibration_tokens(release: str) -> frozenset[str]:
    """Return the calibrations that the archive's pages name for a release."""
    chain_of(release)  # refuses an unknown release
    return frozenset(_releases()[release].calibrations)


def release_spans() -> dict[str, tuple[str, str | None]]:
    """Return the begin and end of each release's observations, UTC; only of those that have a time of their own."""
    return {key: release.span for key, release in _releases().items() if release.span is not None}


def release_in_path(path: str) -> str | None:
    """Return the release whose folder a path or URL passes through; `None` if there is none, or more than one."""
    folders = set(re.split(r"[/\\]", path)[:-1])
    found = [key for key, release in _releases().items() if release.folder in folders]
    return found[0] if len(found) == 1 else None


def release_chains() -> tuple[str, ...]:
    """Return the chains of all releases, newest first."""
    return tuple(chain_of(release) for release in reversed(_releases()))


def release_of(name: ProductName, path: str = "", given: str | None = None) -> str:
    """Return the release a product belongs to.

    As the caller says, or a folder in the product's path, or its processing version.
    """
    releases = _releases()
    if given is not None:
        return given
    if (found := release_in_path(path)) is not None:
        return found
    version = name.token.version
    for key, release in releases.items():
        if version is not None and release.first_version <= version <= (release.last_version or version):
            return key
    raise FormatError(f"The release of {str(name)!r} follows from neither its path nor its token; give release=….")


def release_of_run(run: str) -> str | None:
    """Return the release of an image's run, `None` of a run that is not of the archive's."""
    if not run.startswith(RUN_PREFIX):
        return None
    try:
        return release_of(ProductName(DATASET_TYPE, ProcessingToken.parse(run.removeprefix(RUN_PREFIX))))
    except FormatError:
        return None


def doubt_of(name: ProductName, path: str = "", given: str | None = None) -> str | None:
    """Return a warning of a processing version that is newer than any known one; `None` where the release is said."""
    version = name.token.version
    newest = _newest_versions().get(name.token.process)
    if version is None or newest is None or version <= newest or given is not None or release_in_path(path) is not None:
        return None
    message = f"{name.token}: version {version} is newer than {newest}, the newest known of {name.token.process!r}"
    if name.token.process != _IMAGE_PROCESS:
        return f"{message}. If it is not the newest, decertify it; a folder named as a release, such as qr3, tells it."
    release = release_of(name, path)
    return (
        f"{message}, so it is taken for {release} and found before all others. If that is not right, say the release "
        "(--release, release= in Python), or remove the run."
    )


def ensure_run(butler: Butler, name: ProductName, release: str) -> str:
    """Register a product's RUN and put it in its release's chain; return the run.

    The chain keeps the newest processing first, so that a find-first search
    gives the latest; all releases' chains are in `.constants.DEFAULT_COLLECTION`.
    """
    chain = chain_of(release)
    register_run(butler, name.run)
    for parent, member in ((chain, name.run), (DEFAULT_COLLECTION, chain)):
        if member not in chain_members(butler, parent):
            put_in_order(butler, parent, member)
    return name.run


def register_run(butler: Butler, run: str, doc: str | None = None) -> None:
    """Register a RUN collection, at once or not at all.

    Butler by itself writes two rows, one after the other: what is killed
    between them leaves a run that takes no dataset, and that nobody mends as
    it is there already.
    """
    with butler.transaction():
        butler.collections.register(run, doc=doc)


def chain_members(butler: Butler, chain: str) -> tuple[str, ...]:
    """Return the members of a chain, none if it does not exist."""
    try:
        return tuple(butler.collections.get_info(chain).children)
    except MissingCollectionError:
        return ()


def chain_order(members: Iterable[str], added: Iterable[str] = ()) -> tuple[str, ...]:
    """Return collections as a chain should have them: releases and processings newest first, others where they are.

    What is added comes before the first that is older, or behind the last. A user's own collections keep their places
    among the others, so that nothing else is found in them or hidden by them than before.
    """
    names = list(dict.fromkeys(members))
    in_order = iter(newest_first(names))
    names = [next(in_order) if _is_ranked(name) else name for name in names]
    for name in dict.fromkeys(added):
        if name not in names:
            names.insert(_place_in(names, name), name)
    first = next(iter(ranked(names)), None)
    if first is not None and CALIBRATION_COLLECTION in names[: names.index(first)][-1:]:
        names.remove(CALIBRATION_COLLECTION)  # holds no images; by convention it is behind the releases
        names.insert(names.index(ranked(names)[-1]) + 1, CALIBRATION_COLLECTION)
    return tuple(names)


def _place_in(names: Sequence[str], added: str) -> int:
    known = ranked(names)
    if not _is_ranked(added) or not known:
        return len(names)
    older = (name for name in known if _rank(name) < _rank(added))
    return names.index(name) if (name := next(older, None)) is not None else names.index(known[-1]) + 1


def ranked(members: Iterable[str]) -> tuple[str, ...]:
    """Return those collections whose place in a chain follows from their names: releases and processings."""
    return tuple(filter(_is_ranked, members))


def newest_first(collections: Iterable[str]) -> tuple[str, ...]:
    """Return releases and processings, newest first, and then the other collections in the order given."""
    names = list(dict.fromkeys(collections))
    others = [name for name in names if not _is_ranked(name)]
    return (*sorted(ranked(names), key=_rank, reverse=True), *others)


def _is_ranked(collection: str) -> bool:
    return _rank(collection) > _OTHERS


def put_in_order(butler: Butler, chain: str, *added: str) -> None:
    """Add members to a chain, which is made if it does not exist, and order it.

    Only by prepending, which is atomic and moves what is a member already: a
    member that another process adds at the same time stays, and is ordered next.
    """
    butler.collections.register(chain, CollectionType.CHAINED)
    while (members := chain_members(butler, chain)) != (ordered := chain_order(members, added)):
        butler.collections.prepend_chain(chain, ordered)


_OTHERS = (0, (0, 0, 0, False))


def _rank(collection: str) -> tuple[int, tuple[int, int, int, bool]]:
    """Return a sort key: processings by theirs, releases by age, anything else last."""
    chains = [chain_of(release) for release in _releases()]
    if collection in chains:
        return (1 + chains.index(collection), (0, 0, 0, False))
    try:
        return (1, ProcessingToken.parse(collection.removeprefix(RUN_PREFIX)).rank)
    except FormatError:
        return _OTHERS
