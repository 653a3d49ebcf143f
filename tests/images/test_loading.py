"""Images are found by their public paths, and not loaded by what reads headers alone."""

from __future__ import annotations

import pytest
from lsst.daf.butler import StorageClassFactory
from lsst.utils import doImportType

import spherex_butler
from spherex_butler import images


@pytest.mark.parametrize("name", images.__all__)
def test_class_is_found_by_the_path_of_the_package(name):
    assert doImportType(f"spherex_butler.images.{name}") is getattr(images, name)
    assert name in dir(images)


def test_storage_classes_are_of_the_public_classes():
    with spherex_butler.install():
        factory = StorageClassFactory()
        assert factory.getStorageClass("SpectralImage").pytype is spherex_butler.SpectralImage
        assert factory.getStorageClass("SpectralImagePSF").pytype is images.SpectralImagePSF


def test_reading_headers_loads_no_image(run_python):
    script = (
        "import sys, spherex_butler.images.description; print('spherex_butler.images.spectral_image' in sys.modules)"
    )
    assert run_python(script).strip() == "False"
