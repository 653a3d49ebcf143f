"""What formatters of FITS files have in common: they say which dataset a file is, and refuse a damaged one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from astropy.io import fits
from fits_samples import DAMAGES, every_kind, full_image
from lsst.daf.butler import DatasetProvenance, DatasetRef
from refusals import refused_read

from spherex_butler.testing import make_spectral_image

DATASETS: Mapping[str, Callable[[], Any]] = {
    "CCDData": full_image,
    "HDUList": lambda: every_kind()[:5],
    "SpectralImage": lambda: make_spectral_image(size=16),
}


@pytest.fixture(scope="module", params=DATASETS)
def ref(request: Any, store: Any) -> DatasetRef:
    return store.put(DATASETS[request.param](), request.param)


def provenance_of(store: Any, ref: DatasetRef) -> tuple[DatasetProvenance, DatasetRef | None]:
    header = fits.getheader(store.path(ref))
    assert list(header).count("LSST BUTLER ID") == 1
    assert header["LSST BUTLER RUN"] == "test"
    return DatasetProvenance.from_flat_dict(header, store.butler)


def test_primary_header_says_which_dataset_it_is(store, ref):
    provenance, found = provenance_of(store, ref)
    assert (found, list(provenance.inputs)) == (ref, [])


def test_inputs_are_written_and_do_not_pile_up(store, ref):
    provenance = DatasetProvenance()
    provenance.add_input(ref)
    derived = store.get(ref)
    second = store.put(derived, ref.datasetType.storageClass_name)
    store.butler.pruneDatasets([second], disassociate=True, unstore=True, purge=True)
    third = store.butler.put(derived, second.datasetType.name, provenance=provenance)
    read, found = provenance_of(store, third)
    assert (found, [given.id for given in read.inputs]) == (third, [ref.id])


@pytest.mark.parametrize("ref", ["CCDData", "HDUList"], indirect=True)
@pytest.mark.parametrize("part", [None, "header"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_refused(store, ref, tmp_path, part, damage):
    spoil, why = DAMAGES[damage]
    (tmp_path / "damaged.fits").write_bytes(spoil(store.path(ref).read_bytes()))
    component = f"{part}s" if part and ref.datasetType.storageClass_name == "HDUList" else part
    assert why in refused_read(store, ref, tmp_path / "damaged.fits", component)
