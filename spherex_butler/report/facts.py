"""What the page tells: everything that is asked of the repository, once."""

from __future__ import annotations

__all__ = ("CalibrationCollection", "Facts", "gather")

from collections.abc import Mapping
from dataclasses import dataclass

import lsst.daf.butler
from astropy.time import Time
from lsst.daf.butler import Butler, CollectionType, DimensionRecord

from .. import __version__
from ..calibrations.queries import certifications
from ..calibrations.ranges import Certification
from ..constants import DEFAULT_COLLECTION
from ..repository.butler_internals import database_address, image_tables
from ..repository.opened import check_opened
from ..repository.runs import chain_members
from ..search.contents import RepositorySummary, counted, summarized
from ..search.coverage import Coverage, coverage
from ..search.inventory import ExposureCount, ImageCount, images_found_first
from .verification import Verification

_ORDER = 6
"""Of the sky map's HEALPix pixels: 55 arcmin, which the picture shows and 2.7 million images are soon counted for."""


@dataclass(frozen=True, slots=True)
class CalibrationCollection:
    """The validity ranges in a collection of calibrations, by type, detector and time."""

    name: str
    certifications: list[Certification]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a repository.

    Parameters
    ----------
    repo
        What commands call it.
    summary
        What it holds.
    database
        Where its registry is.
    versions
        Of the packages that read it.
    detectors
        The records of the detectors, by number.
    images, exposures
        Their counts.
    searched
        The collections in which images are searched for by default.
    found_first
        Of how many images each run has the dataset that is found.
    sky
        How often the sky was seen; `None` without images.
    calibrations
        Validity ranges, of each collection.
    verification
        What a check found, if there was one.
    made
        When all this was so.
    """

    repo: str
    summary: RepositorySummary
    database: str
    versions: Mapping[str, str]
    detectors: Mapping[int, DimensionRecord]
    images: list[ImageCount]
    exposures: list[ExposureCount]
    searched: tuple[str, ...]
    found_first: Mapping[str, int]
    sky: Coverage | None
    calibrations: list[CalibrationCollection]
    verification: Verification | None
    made: Time


def gather(butler: Butler, *, repo: str, verification: Verification | None) -> Facts:
    """Return what is known of a repository.

    Raises
    ------
    ConfigurationError
        Raised if it is no SPHEREx repository.
    """
    opened = check_opened(butler, writeable=False)
    with butler.registry.caching_context():
        images, exposures = counted(butler)
        return Facts(
            repo=repo,
            summary=summarized(opened, images, exposures),
            database=database_address(butler),
            versions={"spherex-butler": __version__, "lsst-daf-butler": lsst.daf.butler.__version__},
            detectors=opened.detectors,
            images=images,
            exposures=exposures,
            searched=_searched(butler),
            found_first=images_found_first(butler, image_tables(butler)) if images else {},
            sky=coverage(butler, channels=True, order=_ORDER) if images else None,
            calibrations=_calibrations(butler),
            verification=verification,
            made=Time.now(),
        )


def _searched(butler: Butler) -> tuple[str, ...]:
    if not chain_members(butler, DEFAULT_COLLECTION):
        return ()
    return tuple(butler.collections.query(DEFAULT_COLLECTION, flatten_chains=True))


def _calibrations(butler: Butler) -> list[CalibrationCollection]:
    names = butler.collections.query("*", collection_types=CollectionType.CALIBRATION)
    found = [CalibrationCollection(name, certifications(butler, collection=name)) for name in sorted(names)]
    return [one for one in found if one.certifications]
