"""Repositories with calibrations in the registry alone, and with exposures: what certification is about."""

from __future__ import annotations

from collections.abc import Iterable

from lsst.daf.butler import Butler, DatasetRef

from spherex_butler import SpectralImage
from spherex_butler.formats.fits.lazy_header import LazyHeader
from spherex_butler.images.description import ImageDescription, describe_image
from spherex_butler.names import ObservationId, parse_product_name
from spherex_butler.repository.exposures import insert_exposures
from spherex_butler.repository.runs import ensure_run, release_of

DARK = "cal-drk-v4-2025-161"
NEWER_DARK = "cal-drk-v5-2026-082"

EXPOSURE = "2025W51_1A_0684_2"
BEGIN, MIDDLE, END = "2025-12-18T06:00:00", "2025-12-18T06:02:00", "2025-12-18T06:05:37.5"
"""When `observe` says that it was; in binary fractions of a day, so that times are exact."""

QR2, QR3 = ("2025-04-24T00:00:00", "2026-07-20T00:00:00"), ("2026-07-20T00:00:00", "")
"""When the releases' observations were made."""


def register(
    butler: Butler, dataset_type: str, token: str, detectors: Iterable[int] | None = (1, 2, 3)
) -> list[DatasetRef]:
    """Register calibrations without files; `None` for one that is for all detectors."""
    run = token if "/" in token else f"spx/{token}"
    butler.collections.register(run)
    data_ids = [{}] if detectors is None else [{"detector": detector} for detector in detectors]
    return butler.registry.insertDatasets(dataset_type, [{"instrument": "SPHEREx"} | i for i in data_ids], run=run)


def observe(butler: Butler, obs_id: str = EXPOSURE, *, begin: float = 61027.25, days: float = 1 / 256) -> int:
    """Register an exposure, its begin in MJD, UTC; return its id."""
    observation = ObservationId.parse(obs_id)
    insert_exposures(butler, [ImageDescription(observation, 3, begin, begin + days, {}, None, None)])
    return observation.exposure_id


def put_image(butler: Butler, image: SpectralImage, *, token: str = "l2b-v21-2025-354") -> DatasetRef:
    """Store an image as the archive's product, in the chain that is searched, and what it needs."""
    described = describe_image(LazyHeader(image.image_header), image.data.shape)
    insert_exposures(butler, [described])
    name = parse_product_name(f"level2_{described.observation}D{described.detector}_spx_{token}.fits")
    run = ensure_run(butler, name, release_of(name))
    exposure = described.observation.exposure_id
    return butler.put(image, "level2", instrument="SPHEREx", exposure=exposure, detector=described.detector, run=run)


def ranges(table) -> list[tuple[object, ...]]:
    """Return what `calibrations_at` says, without ids."""
    names = ("dataset_type", "detector", "token", "rule", "begin", "end")
    return [tuple(row[name] for name in names) for row in table.filled(0)] if len(table) else []
