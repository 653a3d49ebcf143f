"""Check of copies: whether a local file may take the place of a dataset's lost one."""

from __future__ import annotations

__all__ = ("difference",)

from lsst.daf.butler import DatasetRef
from lsst.resources import ResourcePath

from ..calibrations.ingest_plan import calibration_definitions, require_calibration
from ..constants import DATASET_TYPE
from ..datasets.reading import read_content
from ..errors import reason_of
from ..files.fits import open_fits
from ..formats.regular import require_regular
from ..ingest.plan import describe_whole
from ..repository.butler_internals import StoredFile
from ..repository.registration import UNKNOWN_SIZE, file_checksum
from .headers import require_image


def difference(ref: DatasetRef, file: StoredFile | None, copy: ResourcePath) -> str | None:
    """Return how a local copy differs from what is on record of a dataset's file; `None` if no difference is known.

    Size and checksum are compared as far as they are on record. Without a checksum the file has to be whole and of the
    dataset, as far as ingest looks at files of its type, and files of other types are opened.
    """
    try:
        require_regular(copy.ospath)
        if file is not None and file.file_size not in {size := copy.size(), UNKNOWN_SIZE}:
            return f"has {size} bytes; {file.file_size} are on record"
        if file is not None and file.checksum is not None:
            checksum = file_checksum(copy)
            return None if checksum == file.checksum else f"has the checksum {checksum}; {file.checksum} is on record"
        _require_whole(ref, copy)
    except OSError as error:
        return f"cannot be read: {reason_of(error)}"
    except Exception as error:  # noqa: BLE001  # whatever a damaged file raises is the difference
        return f"is damaged, or of another dataset: {reason_of(error)}"
    return None


def _require_whole(ref: DatasetRef, uri: ResourcePath) -> None:
    """Refuse a file that is cut off, of another format or of another dataset."""
    name = ref.datasetType.name
    if name == DATASET_TYPE:
        description, _ = describe_whole(str(uri))
        require_image(ref, description)
    elif name in calibration_definitions():
        detector = int(ref.dataId["detector"]) if "detector" in ref.dataId else None
        require_calibration(name, detector, uri)
    elif read_content(uri) is not None and uri.getExtension().startswith(".fits"):
        with open_fits(uri) as fits:
            fits.check_complete(padded=False)
