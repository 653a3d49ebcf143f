"""Repositories that know targets: SPHEREx's dimensions, and one of our own."""

from __future__ import annotations

__all__ = ("add_targets", "make_repository")

from collections.abc import Mapping

from astropy.coordinates import SkyCoord
from lsst.daf.butler import Butler

from spherex_butler import extend_universe, make_repo

TARGET = {
    "target": {
        "doc": "A place of the sky that is studied.",
        "requires": ["instrument"],
        "keys": [{"name": "name", "type": "string", "length": 64}],
        "metadata": [
            {"name": "ra", "type": "float", "doc": "Right ascension (ICRS), deg."},
            {"name": "dec", "type": "float", "doc": "Declination (ICRS), deg."},
        ],
    }
}


def make_repository(root: str) -> Butler:
    """Make a repository with targets, in which `StampStack` can be stored."""
    dimensions = extend_universe(TARGET, namespace="spherex_stamps", version=1)
    return make_repo(root, dimensions=dimensions, include=["resource://spherex_stamps/butler.yaml"])


def add_targets(butler: Butler, targets: Mapping[str, SkyCoord]) -> None:
    """Put targets into a repository, by name."""
    records = [
        {"instrument": "SPHEREx", "name": name, "ra": float(place.icrs.ra.deg), "dec": float(place.icrs.dec.deg)}
        for name, place in targets.items()
    ]
    butler.registry.insertDimensionData("target", *records)
