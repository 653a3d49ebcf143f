"""Repositories that know targets: SPHEREx's dimensions, and two of our own."""

from __future__ import annotations

__all__ = ("add_targets", "make_repository")

from collections.abc import Mapping

from astropy.coordinates import SkyCoord
from lsst.daf.butler import Butler
from lsst.sphgeom import Angle, Circle, LonLat, UnitVector3d

from spherex_butler import extend_universe, make_repo

DIMENSIONS = {
    "target_list": {
        "doc": "A list of targets.",
        "governor": True,
        "keys": [{"name": "name", "type": "string", "length": 32}],
    },
    "target": {
        "doc": "A place of the sky that is studied.",
        "requires": ["target_list"],
        "keys": [{"name": "name", "type": "string", "length": 64}],
        "metadata": [
            {"name": "ra", "type": "float", "doc": "Right ascension (ICRS), deg."},
            {"name": "dec", "type": "float", "doc": "Declination (ICRS), deg."},
        ],
    },
}
RADIUS = Angle.fromDegrees(1 / 3600)


def make_repository(root: str) -> Butler:
    """Make a repository with targets, in which `StampStack` can be stored."""
    dimensions = extend_universe(
        DIMENSIONS, namespace="spherex_stamps", version=1, topology={"spatial": {"target_regions": ["target"]}}
    )
    return make_repo(root, dimensions=dimensions, include=["resource://spherex_stamps/butler.yaml"])


def add_targets(butler: Butler, target_list: str, targets: Mapping[str, SkyCoord]) -> None:
    """Put a list of targets into a repository, by name; images that overlap a target's region are found by it."""
    records = []
    for name, place in targets.items():
        ra, dec = float(place.icrs.ra.deg), float(place.icrs.dec.deg)
        region = Circle(UnitVector3d(LonLat.fromDegrees(ra, dec)), RADIUS)
        records.append({"target_list": target_list, "name": name, "ra": ra, "dec": dec, "region": region})
    with butler.transaction():
        butler.registry.insertDimensionData("target_list", {"name": target_list})
        butler.registry.insertDimensionData("target", *records)
