"""Runs of calibrations: which release each belongs to, and why no chain that is searched holds them."""

from __future__ import annotations

__all__ = ("calibration_chain_of", "ensure_calibration_run", "image_release_of", "published_runs", "sources_of")

from functools import cache

from lsst.daf.butler import Butler, Config
from pydantic import TypeAdapter

from ..constants import CALIBRATION_COLLECTION
from ..names import RUN_PREFIX, ProductName
from ..paths import config_uri
from ..repository.runs import calibration_tokens, chain_members, chain_of, put_in_order, register_run, release_chains


def calibration_chain_of(release: str) -> str:
    """Return the chain of the runs of a release's calibrations: ``SPHEREx/calib/qr2``.

    The chain records which runs belong to the release and is never searched:
    which calibration an image gets is a matter of validity.
    """
    chain_of(release)  # refuses unknown releases
    return f"{CALIBRATION_COLLECTION}/{release}"


def published_runs(butler: Butler) -> dict[str, set[str]]:
    """Return the runs of each release's calibrations: those the archive names, and those found in its folder."""
    return {
        release: {
            *chain_members(butler, calibration_chain_of(release)),
            *(RUN_PREFIX + token for token in calibration_tokens(release)),
        }
        for release in _releases()
    }


def image_release_of(dataset_type: str, release: str) -> str:
    """Return the release for whose images a type's calibrations are made that are published with a release.

    It is the same release for all but a few types.
    """
    return _image_releases().get(dataset_type, {}).get(release, release)


def sources_of(dataset_type: str, release: str) -> list[str]:
    """Return the releases with which a type's calibrations for a release's images are published; there may be none."""
    return [published for published in _releases() if image_release_of(dataset_type, published) == release]


def _releases() -> list[str]:
    return [chain.rpartition("/")[2] for chain in release_chains()]


@cache
def _image_releases() -> dict[str, dict[str, str]]:
    entries = Config(config_uri("repository/releases.yaml"))["images"].toDict()
    return TypeAdapter(dict[str, dict[str, str]]).validate_python(entries)


def ensure_calibration_run(butler: Butler, name: ProductName, release: str | None = None) -> str:
    """Register the RUN of a calibration, in a release's chain of calibrations if one is given; return the run.

    No chain that images are searched in gets it: a find-first search would
    find its datasets, valid or not, before those of the collection of what is valid.
    """
    register_run(butler, name.run)
    if release is not None and name.run not in chain_members(butler, calibration_chain_of(release)):
        put_in_order(butler, calibration_chain_of(release), name.run)
    return name.run
