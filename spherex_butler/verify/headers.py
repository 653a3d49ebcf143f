"""Check of headers: whether a file is of the dataset that it is on record for, and of its time and place."""

from __future__ import annotations

__all__ = ("HeaderCheck", "describe_file", "require_image")

from collections.abc import Sequence

from lsst.daf.butler import Butler, DatasetRef
from lsst.resources import ResourcePath

from ..calibrations.ingest_plan import calibration_definitions, named_detectors
from ..constants import DATASET_TYPE
from ..errors import FormatError, reason_of
from ..files.fits import open_fits
from ..formats.fits.lazy_header import LazyHeader
from ..images.description import ImageDescription, describe_image
from ..ingest.contradictions import KnownRecords, contradictions, known_records
from .report import Kind

_YAML = "StructuredDataDict"


def describe_file(uri: ResourcePath, size: int | None = None) -> ImageDescription:
    """Return what the IMAGE header of a Level 2 file says."""
    with open_fits(uri, size) as file:
        image = file["IMAGE"]
        return describe_image(LazyHeader(image.text), image.shape)


def require_image(ref: DatasetRef, description: ImageDescription) -> None:
    """Refuse the header of another image."""
    found = description.observation.exposure_id, description.detector
    expected = ref.dataId["exposure"], ref.dataId["detector"]
    if found != expected:
        raise FormatError(f"the header is of exposure and detector {found}; expected {expected}.")


class HeaderCheck:
    """A check of the headers of images, and of the archive's calibrations; other datasets are not looked at."""

    def __init__(self, butler: Butler) -> None:
        self._butler = butler
        self._known = KnownRecords()
        self._calibrations = {
            name for name, definition in calibration_definitions().items() if definition.storageClass != _YAML
        }

    def prepare(self, refs: Sequence[DatasetRef]) -> None:
        """Look up the records of exposures and regions that the headers of these images are compared with."""
        exposures = {int(ref.dataId["exposure"]) for ref in refs if ref.datasetType.name == DATASET_TYPE}
        self._known = known_records(self._butler, exposures)

    def problem(self, ref: DatasetRef, uri: ResourcePath, size: int | None) -> tuple[Kind, str] | None:
        """Return what is wrong with the headers of a dataset's file, `None` if nothing is."""
        try:
            if ref.datasetType.name == DATASET_TYPE:
                description = describe_file(uri, size)
                require_image(ref, description)
                if found := contradictions(description, self._known):
                    return Kind.HEADER_RECORDS, f"{uri}: {'; '.join(map(str, found))}."
            elif ref.datasetType.name in self._calibrations and "detector" in ref.dataId:
                _require_calibration(ref, uri, size)
        except Exception as error:  # noqa: BLE001  # whatever a damaged header raises is the finding
            return Kind.HEADER, f"{uri}: {reason_of(error)}"
        return None


def _require_calibration(ref: DatasetRef, uri: ResourcePath, size: int | None) -> None:
    """Refuse headers that name another detector; not all calibrations name one."""
    with open_fits(uri, size) as file:
        for info, card, detector in named_detectors(file.hdus()):
            if detector != ref.dataId["detector"]:
                raise FormatError(
                    f"HDU {info.name!r} says DETECTOR={card!r}; expected detector {ref.dataId['detector']}."
                )
