"""Datasets of any dimensions are found, in repositories of other universes, too."""

from __future__ import annotations

import pytest
from lsst.daf.butler import Butler, DatasetType
from made_once import copy_repo

from spherex_butler.datasets.finding import dimension_names, find_dataset
from spherex_butler.errors import ParameterError


def put(butler: Butler, name: str, dimensions: list[str], **data_id: object):
    kind = DatasetType(name, dimensions, "StructuredDataDict", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    return butler.put({"a": 1}, name, **data_id)


@pytest.fixture
def butler(tmp_path):
    with Butler.from_config(copy_repo(tmp_path / "repo"), writeable=True, run="u/test") as opened:
        yield opened


def refusal(butler: Butler, name: str, **data_id: object) -> str:
    with pytest.raises(ParameterError) as caught:
        find_dataset(butler, name, data_id, ["u/test"])
    return str(caught.value)


def test_dataset_of_a_pixel(butler):
    ref = put(butler, "tile", ["healpix9"], healpix9=17)
    assert find_dataset(butler, "tile", {"healpix9": 17}, ["u/test"]) == ref
    assert "There is, for example, healpix9=17 in u/test." in refusal(butler, "tile", healpix9=18)
    assert "'tile' needs healpix9; healpix9 was not given." in refusal(butler, "tile")


def test_dataset_without_dimensions(butler):
    ref = put(butler, "summary", [])
    assert find_dataset(butler, "summary", {}, ["u/test"]) == ref
    assert refusal(butler, "summary", detector=3) == "'summary' needs no data ID; leave detector out."


def test_number_of_a_named_dimension_is_its_name(butler):
    butler.registry.insertDimensionData("planning_period", {"instrument": "SPHEREx", "name": "2025"})
    ref = put(butler, "plan", ["planning_period"], instrument="SPHEREx", planning_period="2025")
    assert find_dataset(butler, "plan", {"planning_period": 2025}, ["u/test"]) == ref


def test_dataset_of_another_instrument_and_universe(tmp_path):
    with Butler.from_config(Butler.makeRepo(str(tmp_path / "rubin")), writeable=True, run="u/test") as butler:
        butler.registry.insertDimensionData("instrument", {"name": "Cam", "class_name": "lsst.Cam"})
        ref = put(butler, "thing", ["instrument"], instrument="Cam")
        assert find_dataset(butler, "thing", {"instrument": "Cam"}, ["u/test"]) == ref
        assert "There is, for example, instrument=Cam in u/test." in refusal(butler, "thing")


def test_names_of_dimensions_are_without_pixelizations(butler):
    names = dimension_names(butler.dimensions.dimensions.names, butler)
    assert names == ["channel", "detector", "exposure", "group", "instrument", "planning_period"]
