"""Which calibrations an image was made with: its header's HISTORY, and our datasets."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from astropy.io import fits
from calibration_repositories import DARK, observe, put_image, register
from lsst.daf.butler import DatasetRef, DatasetType

from spherex_butler import SpectralImage
from spherex_butler.calibrations.history import calibrations_used
from spherex_butler.calibrations.validity import certify
from spherex_butler.errors import ParameterError
from spherex_butler.testing import make_spectral_image

DARK_ID = uuid.UUID("77acdcb1-6bd7-439c-934b-8feb4bd992c7")

TYPES = [
    "dichroic",
    "gain_factors",
    "initial_distortion_table",
    "nonfunc",
    "spectral_wcs",
    "nonlinear_pars",
    "readnoise_pars",
    "abs_gain_matrix",
    "average_psf",
    "dark",
    "sip",
]


@pytest.fixture(scope="module")
def image() -> SpectralImage:
    """An image with the HISTORY cards of the real one that simulated headers are made from."""
    return make_spectral_image(obs_id="2025W51_1A_0684_2", detector=3, size=8)


def test_real_header_names_each_calibration_once_in_its_order(image):
    used = calibrations_used(image)
    assert [row.dataset_type for row in used] == TYPES
    assert used[9].archive_id == DARK_ID
    assert {(row.ref, row.found) for row in used} == {(None, None)}


def test_type_with_two_ids_is_listed_twice():
    header = fits.Header()
    ids = [uuid.uuid4(), uuid.uuid4()]
    for number in (0, 1, 0):
        header["HISTORY"] = f"[CALIB] dark {ids[number]}"
    used = calibrations_used(SpectralImage(np.zeros((2, 2)), unit="Jy", header=header))
    assert [row.archive_id for row in used] == ids


def test_what_is_certified_is_told_from_what_is_recorded(butler, image):
    dark_type = butler.get_dataset_type("dark")
    data_id = butler.registry.expandDataId(instrument="SPHEREx", detector=3)
    butler.collections.register("spx/cal-drk-v3-2025-100")
    recorded = DatasetRef(dark_type, data_id, run="spx/cal-drk-v3-2025-100", id=DARK_ID)
    butler.registry._importDatasets([recorded])
    register(butler, "dark", DARK)
    (nonfunc,) = register(butler, "nonfunc", "base-2025-158", [3])
    (gains,) = register(butler, "gain_factors", "base-2025-158", None)
    certify(butler)
    used = {row.dataset_type: row for row in calibrations_used(image, butler)}
    assert list(used) == TYPES
    assert (used["dark"].ref, used["dark"].found) == (recorded, "recorded")
    assert (used["nonfunc"].ref, used["nonfunc"].found) == (nonfunc, "certified")
    assert (used["gain_factors"].ref, used["gain_factors"].found) == (gains, "certified")
    assert {name for name, row in used.items() if row.ref is None} == {*TYPES} - {"dark", "nonfunc", "gain_factors"}
    assert str(used["dark"]) == f"dark {DARK_ID}, recorded: spx/cal-drk-v3-2025-100 ({DARK_ID})"
    assert str(used["sip"]).endswith(", unknown here")


def test_dataset_and_data_id_are_read_by_their_header(butler, image):
    ref = put_image(butler, image)
    expected = calibrations_used(image, butler)
    assert calibrations_used(ref, butler) == expected
    assert calibrations_used(ref.dataId, butler) == expected
    assert calibrations_used({"exposure": ref.dataId["exposure"], "detector": 3}, butler) == expected


def test_image_without_history_used_nothing(butler):
    assert calibrations_used(SpectralImage(np.zeros((2, 2)), unit="Jy"), butler) == []


def test_image_that_cannot_be_read_is_refused(butler):
    with pytest.raises(ParameterError, match="is to be read from a repository; pass it as butler"):
        calibrations_used({"exposure": 20255110106842, "detector": 3})
    with pytest.raises(ParameterError, match=r"There is no level2 of .*20255110106842.* in 'SPHEREx/defaults'; ingest"):
        calibrations_used({"exposure": observe(butler), "detector": 3}, butler)


def test_dataset_without_a_header_is_refused(butler):
    kind = DatasetType("notes", butler.dimensions.conform(["exposure"]), "StructuredDataDict")
    butler.registry.registerDatasetType(kind)
    butler.collections.register("u/me")
    ref = butler.put({"a": 1}, kind, instrument="SPHEREx", exposure=observe(butler), run="u/me")
    with pytest.raises(ParameterError, match="A dataset of type 'notes' has no component 'header'"):
        calibrations_used(ref, butler)
