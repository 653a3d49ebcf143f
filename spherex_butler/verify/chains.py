"""Check of chains: whether each run of images is in one that is searched, and whether they are in order."""

from __future__ import annotations

__all__ = ("check_chains", "run_releases")

from collections import defaultdict

from lsst.daf.butler import Butler, CollectionType

from ..calibrations.runs import calibration_chain_of
from ..constants import CALIBRATION_COLLECTION, DEFAULT_COLLECTION
from ..errors import FormatError
from ..names import RUN_PREFIX, ProcessingToken
from ..repository.runs import chain_members, chain_order, ranked, release_chains
from .report import Findings, Kind

_IMAGE_PROCESS = "l2b"


def run_releases(butler: Butler) -> dict[str, set[str]]:
    """Return the releases in whose chains each run is."""
    found: dict[str, set[str]] = defaultdict(set)
    for chain in release_chains():
        for run in chain_members(butler, chain):
            found[run].add(_release(chain))
    return found


def check_chains(butler: Butler, found: Findings) -> None:
    """Look at the chains of releases, of their calibrations, and at the default one over all."""
    releases = release_chains()
    chains = (*releases, *(calibration_chain_of(_release(chain)) for chain in releases), DEFAULT_COLLECTION)
    expected = dict.fromkeys(chains, CollectionType.CHAINED) | {CALIBRATION_COLLECTION: CollectionType.CALIBRATION}
    there = {info.name: info.type for info in butler.collections.query_info("SPHEREx/*")}
    wrong = [name for name, kind in expected.items() if there.get(name, kind) is not kind]
    for name in wrong:
        message = f"is of type {there[name].name}; expected {expected[name].name}."
        found.add(Kind.COLLECTION_TYPE, name, message)
    _check_unchained(butler, found)
    fit = not {DEFAULT_COLLECTION, CALIBRATION_COLLECTION, *releases}.intersection(wrong)
    if fit and CALIBRATION_COLLECTION in there:
        _check_defaults(butler, [chain for chain in releases if chain in there], found)
    for chain in chains:
        _check_order(butler, chain, found)


def _release(chain: str) -> str:
    return chain.rpartition("/")[2]


def _is_image_run(run: str) -> bool:
    """Return whether a run is a processing of Level 2 images: ``spx/l2b-…``."""
    try:
        return ProcessingToken.parse(run.removeprefix(RUN_PREFIX)).process == _IMAGE_PROCESS
    except FormatError:
        return False


def _check_unchained(butler: Butler, found: Findings) -> None:
    """Look for runs that searches do not find; where a user has put one into a chain of another name, it is a note."""
    chained = run_releases(butler)
    for info in butler.collections.query_info(f"{RUN_PREFIX}*", CollectionType.RUN, include_parents=True):
        if _is_image_run(info.name) and info.name not in chained:
            message = "is in no release's chain, so that searches do not find its images"
            if others := sorted(info.parents or ()):
                found.add(Kind.RUN_UNCHAINED, info.name, f"{message}; it is in {', '.join(others)}.", problem=False)
            else:
                found.add(Kind.RUN_UNCHAINED, info.name, f"{message}.")


def _check_defaults(butler: Butler, chains: list[str], found: Findings) -> None:
    members = chain_members(butler, DEFAULT_COLLECTION)
    missing = [chain for chain in (*chains, CALIBRATION_COLLECTION) if chain not in members]
    if missing:
        message = f"lacks {', '.join(missing)}; it has {', '.join(members) or 'no members'}."
        found.add(Kind.CHAIN_INCOMPLETE, DEFAULT_COLLECTION, message)


def _check_order(butler: Butler, chain: str, found: Findings) -> None:
    """Look at the members that have an order; users may put what they like before them."""
    members = ranked(chain_members(butler, chain))
    for member, expected in zip(members, chain_order(members), strict=True):
        if member != expected:
            message = f"has {member} where {expected} is expected, newest first."
            found.add(Kind.CHAIN_ORDER, chain, message)
            break
