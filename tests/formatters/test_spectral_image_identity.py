"""An image is stored and read under the data ID of its own exposure and detector alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from http_server import serve
from lsst.daf.butler import DatasetType
from refusals import messages

from spherex_butler import SpectralImage
from spherex_butler.ingest import ingest_files
from spherex_butler.testing import make_spectral_image, write_level2

OBS_ID = "2025W51_1A_0684_2"
LATER = "2025W51_1A_0685_1"


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of two detectors of an exposure and of another exposure."""
    folder = tmp_path_factory.mktemp("images")
    wanted = [(OBS_ID, 3), (OBS_ID, 4), (LATER, 3)]
    return [write_level2(folder, obs_id=obs_id, detector=detector, size=64) for obs_id, detector in wanted]


@pytest.fixture
def derived(butler) -> str:
    """A dataset type of images that a pipeline makes."""
    dimensions = butler.dimensions.conform(["exposure", "detector"])
    butler.registry.registerDatasetType(DatasetType("derived", dimensions, "SpectralImage"))
    butler.collections.register("pipeline")
    return "derived"


@pytest.mark.parametrize("component", [None, "image", "wcs", "psf", "header"])
@pytest.mark.parametrize("other", [1, 2])
def test_file_of_another_image_is_not_read(butler, paths, other, component, tmp_path):
    path = tmp_path / "served" / paths[0].name
    path.parent.mkdir()
    shutil.copy(paths[0], path)
    (ref,) = ingest_files(butler, path, transfer="direct").ingested
    size = path.stat().st_size
    path.write_bytes(paths[other].read_bytes()[:size].ljust(size, b"\0"))
    with pytest.raises(Exception) as caught:  # noqa: PT011  # Butler wraps it
        butler.get(ref if component is None else ref.makeComponentRef(component))
    image = SpectralImage.read(paths[other])
    assert (
        f"The file is of another image: its header says OBSID '{image.obs_id}' and DETECTOR {image.detector}, but the "
        f"dataset is of exposure {ref.dataId['exposure']}, detector 3. 'butler spherex verify REPO --headers' lists "
        "such files and says what to do. SpectralImage.read(path) reads the file as it is."
    ) in messages(caught)


def test_remote_file_of_another_image_is_not_read(butler, paths, tmp_path):
    path = tmp_path / "served" / paths[0].name
    path.parent.mkdir()
    shutil.copy(paths[0], path)
    with serve(path.parent) as served:
        (ref,) = ingest_files(butler, f"{served.url}/{path.name}", transfer="direct").ingested
        path.write_bytes(paths[1].read_bytes())
        served.requests.clear()
        with pytest.raises(Exception, match="The file is of another image") as caught:
            butler.get(ref, parameters={"bbox": (990, 994, 990, 994)})
        assert "DETECTOR 4" in messages(caught)
        assert len(served.requests) == 1  # the header, which any cutout reads


def test_image_of_another_exposure_or_detector_is_not_stored(butler, derived, paths):
    ingest_files(butler, paths)
    image = SpectralImage.read(paths[0])
    exposure, later = sorted({ref.dataId["exposure"] for ref in butler.query_datasets("level2", "SPHEREx/defaults")})
    for other in ({"exposure": later, "detector": 3}, {"exposure": exposure, "detector": 4}):
        with pytest.raises(Exception) as caught:  # noqa: PT011  # Butler wraps it
            butler.put(image, derived, instrument="SPHEREx", run="pipeline", **other)
        assert (
            f"The image is of another dataset: its header says OBSID '{OBS_ID}' and DETECTOR 3, but the dataset is of "
            f"exposure {other['exposure']}, detector {other['detector']}. Store it under the data ID of its own "
            "exposure and detector, or change OBSID and DETECTOR in its meta."
        ) in messages(caught)
    assert not list(butler.query_datasets(derived, "pipeline", explain=False))


def test_what_a_pipeline_makes_of_an_image_is_of_the_same_exposure(butler, derived, paths):
    (ref,) = ingest_files(butler, paths[0]).ingested
    image = butler.get(ref)
    stored = butler.put(image.subtract_zodi(), derived, ref.dataId, run="pipeline")
    assert butler.get(stored).obs_id == OBS_ID


@pytest.mark.parametrize("obs_id", [None, "a simulation"])
def test_header_that_names_no_exposure_of_ours_is_not_compared(butler, derived, paths, obs_id):
    (ref,) = ingest_files(butler, paths[0]).ingested
    image = make_spectral_image(size=8, detector=3)
    del image.meta["OBSID"], image.meta["DETECTOR"]
    if obs_id is not None:
        image.meta["OBSID"] = obs_id
    stored = butler.put(image, derived, ref.dataId, run="pipeline")
    assert butler.get(stored).obs_id == obs_id


def test_dataset_without_exposure_has_only_its_detector_to_compare(butler, paths):
    ingest_files(butler, paths[0])
    for name, dimensions in (("of_detector", ["detector"]), ("of_all", [])):
        group = butler.dimensions.conform(dimensions)
        butler.registry.registerDatasetType(DatasetType(name, group, "SpectralImage"))
    butler.collections.register("pipeline")
    image = SpectralImage.read(paths[2])
    assert butler.get(butler.put(image, "of_all", run="pipeline")).obs_id == LATER
    assert butler.get(butler.put(image, "of_detector", instrument="SPHEREx", detector=3, run="pipeline")).detector == 3
    with pytest.raises(Exception) as caught:  # noqa: PT011  # Butler wraps it
        butler.put(image, "of_detector", instrument="SPHEREx", detector=5, run="pipeline")
    assert "but the dataset is of detector 5." in messages(caught)


def test_exposures_of_other_instruments_are_not_compared(store, paths):
    butler = store.butler
    butler.registry.insertDimensionData(
        "instrument", {"name": "Other", "detector_max": 9, "exposure_max": 9, "visit_max": 9}
    )
    butler.registry.insertDimensionData("detector", {"instrument": "Other", "id": 7, "full_name": "seven"})
    group = butler.dimensions.conform(["detector"])
    butler.registry.registerDatasetType(DatasetType("of_another", group, "SpectralImage"))
    ref = butler.put(SpectralImage.read(paths[0]), "of_another", instrument="Other", detector=7)
    assert butler.get(ref).detector == 3
