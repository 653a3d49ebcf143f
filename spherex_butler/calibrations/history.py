"""Which calibrations an image was made with, by its header, and which datasets of a repository they are."""

from __future__ import annotations

__all__ = ("Found", "UsedCalibration", "calibrations_used")

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from astropy.io import fits
from lsst.daf.butler import Butler, DataCoordinate, DatasetRef

from ..constants import DATASET_TYPE, DEFAULT_COLLECTION, INSTRUMENT
from ..errors import ParameterError
from ..images.headers import list_calibrations
from ..images.spectral_image import SpectralImage
from ..repository.data_ids import with_keys
from ..repository.failures import told_as_repository_failures
from .archive_ids import find_by_archive_id
from .lookup import Image, explain
from .queries import calibration_types


class Found(StrEnum):
    """How a calibration that a header names was identified with a dataset."""

    RECORDED = "recorded"
    """By the archive's id, recorded when it was ingested: it is this very dataset."""
    CERTIFIED = "certified"
    """By what is valid for the image here, which may be another one than the archive used."""


@dataclass(frozen=True, slots=True)
class UsedCalibration:
    """A calibration that the archive used for an image.

    Parameters
    ----------
    dataset_type
        The archive's name of its type; not each is one of ours.
    archive_id
        Its id in the archive's own repository.
    ref
        Which of our datasets it is, `None` if that is not known.
    found
        How that is known.
    """

    dataset_type: str
    archive_id: uuid.UUID
    ref: DatasetRef | None = None
    found: Found | None = None

    def __str__(self) -> str:
        ours = "unknown here" if self.ref is None else f"{self.found}: {self.ref.run} ({self.ref.id})"
        return f"{self.dataset_type} {self.archive_id}, {ours}"


@told_as_repository_failures()
def calibrations_used(
    image: Image, butler: Butler | None = None, *, collection: str | None = None
) -> list[UsedCalibration]:
    """Return the calibrations that an image was made with, in the order of its header.

    Parameters
    ----------
    image
        A `~spherex_butler.SpectralImage`; with a repository also a data ID or a dataset, of which only the
        header is read.
    butler
        The repository in which to look for them; without one there are types and ids alone.
    collection
        Where calibrations are certified; by default where `.explain` looks.

    Returns
    -------
    used
        A type may occur twice with different ids, and types may be none of ours; they are kept.

    Raises
    ------
    ParameterError
        Raised if the image needs a repository to be read, or is not in it.
    """
    named = list_calibrations(_header(image, butler))
    if butler is None:
        return [UsedCalibration(kind, archive_id) for kind, archive_id in named]
    ours = {kind.name for kind in calibration_types(butler)}
    return [
        _identify(butler, kind, archive_id, image if kind in ours else None, collection) for kind, archive_id in named
    ]


def _identify(
    butler: Butler, kind: str, archive_id: uuid.UUID, image: Image | None, collection: str | None
) -> UsedCalibration:
    if (recorded := find_by_archive_id(butler, kind, archive_id)) is not None:
        return UsedCalibration(kind, archive_id, recorded, Found.RECORDED)
    valid = None if image is None else explain(butler, kind, image, collection=collection).chosen
    return UsedCalibration(kind, archive_id, valid, None if valid is None else Found.CERTIFIED)


def _header(image: Image, butler: Butler | None) -> fits.Header:
    if isinstance(image, SpectralImage):
        return image.image_header
    if butler is None:
        raise ParameterError(f"{image!r} is to be read from a repository; pass it as butler.")
    ref = image if isinstance(image, DatasetRef) else _find(butler, image)
    if "header" not in ref.datasetType.storageClass.allComponents():
        raise ParameterError(
            f"A dataset of type {ref.datasetType.name!r} has no component 'header'; expected an image such as "
            f"{DATASET_TYPE!r}."
        )
    header: fits.Header = butler.get(ref.makeComponentRef("header"))
    return header


def _find(butler: Butler, data_id: Mapping[str, Any] | DataCoordinate) -> DatasetRef:
    mapping = data_id.mapping if isinstance(data_id, DataCoordinate) else data_id
    given = with_keys(butler, {"instrument": INSTRUMENT, **mapping})
    ref = butler.find_dataset(DATASET_TYPE, given, collections=DEFAULT_COLLECTION)
    if ref is None:
        raise ParameterError(f"There is no {DATASET_TYPE} of {given} in {DEFAULT_COLLECTION!r}; ingest it first.")
    return ref
