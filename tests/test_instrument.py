"""The instrument as Rubin's pipelines know it: registered, named, and its data IDs packed into integers."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsst.daf.butler import Butler, DataCoordinate
from lsst.daf.butler.cli import butler as butler_command
from lsst.daf.butler.cli.utils import LogCliRunner
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.pipe.base import Instrument

import spherex_butler
from spherex_butler.configuration.universe import claim_universe
from spherex_butler.constants import CALIBRATION_COLLECTION, DEFAULT_COLLECTION
from spherex_butler.errors import ConfigurationError, FormatError, ParameterError
from spherex_butler.formatters import SpectralImageFormatter
from spherex_butler.instrument import ExposureDetectorPacker, Spherex
from spherex_butler.names import ObservationId
from spherex_butler.verify import check_repository

NAME = "spherex_butler.instrument.Spherex"


class Variant(Spherex):
    """An instrument of a pipeline's own."""


def contents(repo):
    """Return what is registered in a repository."""
    with Butler.from_config(repo) as butler:
        elements = ("instrument", "detector", "channel")
        records = [sorted(map(str, butler.query_dimension_records(element, limit=None))) for element in elements]
        return records, set(butler.registry.queryDatasetTypes()), set(butler.collections.query("*"))


def recorded_class(butler):
    (record,) = butler.query_dimension_records("instrument")
    return record.class_name


def record_class(butler, name):
    (record,) = butler.query_dimension_records("instrument")
    butler.registry.syncDimensionData("instrument", {**record.toDict(), "class_name": name}, update=True)


# Registration.


def register_by_command(repo, *options, code=0):
    done = LogCliRunner().invoke(butler_command.cli, ["register-instrument", str(repo), NAME, *options])
    assert done.exit_code == code, done.output
    return done


def test_command_registers_what_make_repo_does(tmp_path, empty_repo):
    with spherex_butler.install():
        Butler.makeRepo(tmp_path / "bare", dimensionConfig=spherex_butler.dimension_config())
        register_by_command(tmp_path / "bare")
        assert contents(tmp_path / "bare") == contents(empty_repo)
        with Butler.from_config(tmp_path / "bare") as butler:
            assert check_repository(butler).problems == ()


def test_second_registration_changes_nothing(empty_repo):
    before = (empty_repo / "gen3.sqlite3").read_bytes()
    register_by_command(empty_repo)
    assert (empty_repo / "gen3.sqlite3").read_bytes() == before


def test_repository_names_its_class(butler):
    assert recorded_class(butler) == NAME
    assert type(Instrument.from_string("SPHEREx", butler.registry)) is Spherex
    assert Instrument.importAll(butler.registry) == {"SPHEREx": Spherex}


@pytest.mark.parametrize("register", [spherex_butler.register, lambda butler: Spherex().register(butler.registry)])
def test_repository_that_names_no_class_gets_ours_without_update(butler, register):
    record_class(butler, None)
    register(butler)
    assert recorded_class(butler) == NAME


def test_missing_class_is_told(butler):
    record_class(butler, None)
    assert spherex_butler.register(butler, dry_run=True).added == (f"class {NAME} of instrument SPHEREx",)


def test_class_of_a_pipelines_own_is_recorded_and_kept(butler):
    Variant().register(butler.registry, update=True)
    name = recorded_class(butler)
    assert name.endswith(".Variant")
    spherex_butler.register(butler, update=True)
    assert recorded_class(butler) == name


def test_records_that_differ_are_refused_until_an_update_is_asked_for(butler):
    record_class(butler, "pipeline.Instrument")
    with pytest.raises(
        ConflictingDefinitionError, match=rf"class_name is 'pipeline.Instrument' here, '{NAME}' in this"
    ):
        Spherex().register(butler.registry)
    assert recorded_class(butler) == "pipeline.Instrument"
    Spherex().register(butler.registry, update=True)
    assert recorded_class(butler) == NAME


def test_repository_without_our_storage_classes_gets_the_records_and_a_warning(tmp_path, caplog):
    Butler.makeRepo(tmp_path / "plain", dimensionConfig=spherex_butler.dimension_config())
    with caplog.at_level(logging.WARNING), Butler.from_config(tmp_path / "plain", writeable=True) as butler:
        Spherex().register(butler.registry)
        assert len(butler.query_dimension_records("channel", limit=None)) == 102
        assert not list(butler.registry.queryDatasetTypes())
    assert "Dataset types were not registered. The repository's configuration lacks" in caplog.text
    assert "After that, 'butler spherex register' adds them." in caplog.text


def test_other_universes_and_what_is_no_registry_are_refused(tmp_path):
    Butler.makeRepo(tmp_path / "rubin")
    with (
        Butler.from_config(tmp_path / "rubin", writeable=True) as butler,
        pytest.raises(ConfigurationError, match="expected the SPHEREx universe or an extension of it"),
    ):
        Spherex().register(butler.registry)
    with pytest.raises(ConfigurationError, match=r"'text' is no registry of a Butler; expected what butler\.registry"):
        Spherex().register("text")


# Names.


def test_collections_are_those_of_every_repository():
    assert Spherex().makeCalibrationCollectionName() == CALIBRATION_COLLECTION
    assert Spherex().makeUmbrellaCollectionName() == DEFAULT_COLLECTION
    assert Spherex(collection_prefix="sim").makeUmbrellaCollectionName() == "sim/defaults"


def test_calibrations_of_a_token_are_in_its_run():
    assert Spherex().makeUnboundedCalibrationRunName("cal-drk-v4-2025-161") == "spx/cal-drk-v4-2025-161"
    assert Spherex().makeUnboundedCalibrationRunName("mine") == "SPHEREx/calib/mine/unbounded"
    assert Spherex().makeUnboundedCalibrationRunName() == "SPHEREx/calib/unbounded"


def test_other_runs_do_not_look_like_the_archives():
    assert Spherex().makeDefaultRawIngestRunName() == "SPHEREx/raw/all"
    assert Spherex().makeCuratedCalibrationRunName("2026-01-02") == "SPHEREx/calib/curated/20260102T000000Z"


def test_images_are_the_raw_data_and_have_our_formatter(butler):
    name, dimensions, storage_class = Spherex.raw_definition
    known = butler.get_dataset_type(name)
    assert (known.dimensions, known.storageClass_name) == (butler.dimensions.conform(dimensions), storage_class)
    assert Spherex().getRawFormatter({}) is SpectralImageFormatter


# Packed data IDs.


PERIODS = st.builds(
    lambda year, week, upload, revision: f"{year}W{week:02d}_{upload}{revision}",
    st.integers(2020, 2083),
    st.integers(1, 53),
    st.integers(0, 9),
    st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
)
IMAGES = st.tuples(st.builds(ObservationId, PERIODS, st.integers(0, 9999), st.integers(0, 9)), st.integers(1, 6))


UNIVERSE = claim_universe(spherex_butler.dimension_config())
INSTRUMENT = DataCoordinate.standardize(instrument="SPHEREx", universe=UNIVERSE)


def image_id(exposure, detector):
    return DataCoordinate.standardize(INSTRUMENT, exposure=exposure, detector=detector)


def test_packer_of_a_data_id_is_ours(butler):
    expanded = butler.registry.expandDataId(instrument="SPHEREx")
    packer = Instrument.make_default_dimension_packer(expanded, is_exposure=True)
    assert type(packer) is ExposureDetectorPacker
    assert packer.maxBits == 40
    packed, bits = packer.pack(image_id(20255110106842, 3), returnMaxBits=True)
    assert (packed < 2**bits, bits) == (True, 40)


@given(IMAGES)
def test_packed_integers_give_the_data_id_back(image):
    observation, detector = image
    packer, wanted = ExposureDetectorPacker(INSTRUMENT), image_id(observation.exposure_id, detector)
    packed = packer.pack(wanted)
    assert 0 <= packed < 2**packer.maxBits
    assert packer.unpack(packed) == wanted


@given(IMAGES, IMAGES)
def test_packed_integers_are_in_the_order_of_exposures_and_detectors(first, second):
    packer = ExposureDetectorPacker(INSTRUMENT)
    images = [(observation.exposure_id, detector) for observation, detector in (first, second)]
    packed = [packer.pack(image_id(*image)) for image in images]
    assert (packed[0] < packed[1]) == (images[0] < images[1])


@pytest.mark.parametrize(
    ("exposure", "detector", "error", "message"),
    [
        (20195110106842, 3, ParameterError, r"-1 is out of range; expected 0 to 63"),
        (20255110106842, 7, ParameterError, r"7 is out of range; expected 0 to 6"),
        (5, 3, FormatError, r"5 is not the id of an exposure such as 20255110106842"),
    ],
)
def test_data_ids_that_cannot_be_packed_are_refused(exposure, detector, error, message):
    with pytest.raises(error, match=message):
        ExposureDetectorPacker(INSTRUMENT).pack(image_id(exposure, detector))


def test_visits_are_refused():
    with pytest.raises(ParameterError, match="SPHEREx has exposures only"):
        ExposureDetectorPacker(INSTRUMENT, is_exposure=False)


# Without the extra.

WITHOUT = """
import sys
sys.modules["lsst.pipe.base"] = None
import spherex_butler
with spherex_butler.make_repo(sys.argv[1]) as butler:
    print(next(iter(butler.query_dimension_records("instrument"))).class_name)
try:
    import spherex_butler.instrument
except ModuleNotFoundError as error:
    print(error)
"""


def test_package_works_without_the_extra_and_says_what_the_instrument_needs(run_forked, tmp_path):
    said = run_forked(WITHOUT, tmp_path / "repo").splitlines()
    needs = "Pipelines need lsst.pipe.base, which is not installed: pip install 'spherex-butler[pipelines]'."
    assert said == [NAME, needs]
