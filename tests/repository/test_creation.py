"""Making a repository: what is in it, where it can be, and what a failure leaves behind."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.time import Time
from damage import images
from forked import start_script
from lsst.daf.butler import Butler, CollectionType, Config, DatasetType, DimensionConfig, Timespan
from lsst.daf.butler._registry_shim import RegistryShim
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d
from made_once import copy_configuration, copy_exposures, copy_repo

from spherex_butler import extend_universe, make_repo, open_repo
from spherex_butler.configuration.dataset_types import dataset_types
from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.ingest import ingest_files
from spherex_butler.testing.repository import assert_round_trip, temporary_repo
from spherex_butler.verify import check_repository

PERIOD, GROUP, OBS_ID, EXPOSURE = "2025W51_1A", "2025W51_1A_0684", "2025W51_1A_0684_2", 20255110106842
OF_OURS = {"instrument": "SPHEREx"}


@pytest.fixture(scope="module")
def butler():
    with temporary_repo() as butler:
        insert_exposure(butler)
        yield butler


def insert_exposure(butler):
    registry = butler.registry
    registry.insertDimensionData("planning_period", OF_OURS | {"name": PERIOD})
    registry.insertDimensionData("group", OF_OURS | {"name": GROUP, "planning_period": PERIOD})
    times = Timespan(
        Time("2025-12-20T00:00:00", scale="tai", format="isot"),
        Time("2025-12-20T00:01:53", scale="tai", format="isot"),
    )
    names = {"obs_id": OBS_ID, "group": GROUP, "planning_period": PERIOD}
    registry.insertDimensionData("exposure", OF_OURS | names | {"id": EXPOSURE, "timespan": times})
    for detector in range(1, 7):
        registry.insertDimensionData("exposure_detector_region", region_record(detector))


def region_record(detector):
    """The first three detectors see the sky, as one; the others are off it."""
    corners = [(8.9, 40.0), (11.0, 40.0), (11.0, 41.8), (8.9, 41.8)]
    region = ConvexPolygon([UnitVector3d(LonLat.fromDegrees(ra, dec)) for ra, dec in corners])
    data_id = OF_OURS | {"exposure": EXPOSURE, "detector": detector}
    return data_id | {"region": region if detector <= 3 else None}


def records(butler, element):
    return list(butler.query_dimension_records(element, limit=None))


def put_zeros(butler, name, run, **data_id):
    butler.collections.register(run)
    return butler.put(CCDData(np.zeros((2, 2)), unit="Jy"), name, run=run, **data_id)


def test_instrument_is_registered(butler):
    (instrument,) = records(butler, "instrument")
    assert (instrument.name, instrument.detector_max, instrument.exposure_max) == ("SPHEREx", 7, 10**14)


def test_six_detectors_are_registered_with_the_archives_wavelength_ranges(butler):
    detectors = records(butler, "detector")
    focal_planes = {1: "SWIR", 2: "SWIR", 3: "SWIR", 4: "MWIR", 5: "MWIR", 6: "MWIR"}
    assert [(d.id, d.full_name, d.focal_plane) for d in detectors] == [
        (number, f"D{number}", focal_plane) for number, focal_plane in focal_planes.items()
    ]
    ranges = {d.id: (d.wavelength_min, d.wavelength_max, d.resolving_power) for d in detectors}
    assert (ranges[3], ranges[6]) == ((1.6301, 2.4346, 40.6), (4.4115, 5.0096, 127.8))


def test_channels_lie_within_their_detectors_range_in_order(butler):
    detectors = {d.id: d for d in records(butler, "detector")}
    for number, detector in detectors.items():
        channels = sorted((c for c in records(butler, "channel") if c.detector == number), key=lambda c: c.id)
        wavelengths = [c.wavelength for c in channels]
        assert wavelengths == sorted(wavelengths)
        assert all(c.wavelength_min < c.wavelength < c.wavelength_max for c in channels)
        assert detector.wavelength_min - 0.01 < channels[0].wavelength_min
        assert channels[-1].wavelength_max < detector.wavelength_max + 0.01


def test_channel_keeps_the_numbers_of_the_product(butler):
    (channel,) = (c for c in records(butler, "channel") if (c.detector, c.id) == (6, 17))
    assert channel.toDict() == {
        "instrument": "SPHEREx",
        "detector": 6,
        "id": 17,
        "wavelength": 4.982,
        "wavelength_min": 4.96,
        "wavelength_max": 5.003,
        "bandwidth": 0.037,
        "resolving_power": 135.0,
        "resolving_power_std": 4.2,
    }


ARCHIVE_TYPES = {
    "level2": ("SpectralImage", {"instrument", "exposure", "detector"}, False),
    "abs_gain_matrix": ("CCDData", {"instrument", "detector"}, True),
    "average_psf": ("HDUList", {"instrument", "detector"}, True),
    "dark": ("CCDData", {"instrument", "detector"}, True),
    "dichroic": ("CCDData", {"instrument", "detector"}, True),
    "epsf": ("HDUList", {"instrument", "detector"}, True),
    "gain_factors": ("StructuredDataDict", {"instrument"}, True),
    "l3_flux_corrections": ("CCDData", {"instrument", "detector"}, True),
    "nonfunc": ("CCDData", {"instrument", "detector"}, True),
    "nonlinear_pars": ("HDUList", {"instrument", "detector"}, True),
    "readnoise_pars": ("HDUList", {"instrument", "detector"}, True),
    "solid_angle_pixel_map": ("CCDData", {"instrument", "detector"}, True),
    "spectral_channels": ("HDUList", {"instrument"}, True),
    "spectral_wcs": ("HDUList", {"instrument", "detector"}, True),
}


def test_the_archives_dataset_types_are_registered(butler):
    registered = {
        t.name: (t.storageClass_name, set(t.dimensions.required), t.isCalibration())
        for t in butler.registry.queryDatasetTypes()
        if not t.name.startswith(("test_", "round_trip_"))
    }
    assert registered == ARCHIVE_TYPES
    assert {t.name for t in dataset_types(butler.dimensions)} == set(ARCHIVE_TYPES)


def test_collections_to_open_with_are_there(butler):
    kinds = {info.name: info.type for info in butler.collections.query_info("SPHEREx/*")}
    assert kinds == {"SPHEREx/calib": CollectionType.CALIBRATION, "SPHEREx/defaults": CollectionType.CHAINED}
    assert butler.collections.get_info("SPHEREx/defaults").children == ("SPHEREx/calib",)


def test_returned_butler_is_writeable_and_has_defaults(butler):
    assert butler.isWriteable()
    assert butler.collections.defaults == ("SPHEREx/defaults",)
    assert butler.registry.defaults.dataId["instrument"] == "SPHEREx"


@pytest.mark.parametrize(
    "where", [f"exposure = {EXPOSURE}", f"exposure.obs_id = '{OBS_ID}'", f"planning_period = '{PERIOD}'"]
)
def test_exposure_is_found_by_id_name_and_planning_period(butler, where):
    (exposure,) = butler.query_dimension_records("exposure", where=where)
    assert (exposure.id, exposure.group) == (EXPOSURE, GROUP)
    assert butler.registry.expandDataId(instrument="SPHEREx", group=GROUP)["planning_period"] == PERIOD


def test_exposures_are_found_by_time(butler):
    during = Timespan(Time("2025-12-20T00:01:00", scale="tai"), Time("2025-12-20T00:01:01", scale="tai"))
    after = Timespan(Time("2025-12-20T00:02:00", scale="tai"), None)
    found = [
        butler.query_dimension_records("exposure", where="exposure.timespan OVERLAPS t", bind={"t": t}, explain=False)
        for t in (during, after)
    ]
    assert [len(records) for records in found] == [1, 0]


def test_images_are_found_by_healpix_pixel(butler):
    pixels = butler.dimensions.commonSkyPix.pixelization
    pixel = pixels.index(UnitVector3d(LonLat.fromDegrees(10.0, 41.0)))
    with butler.query() as query:
        joined = query.join_dimensions(["exposure", "detector", "healpix4"]).where({"healpix4": pixel})
        found = {data_id["detector"] for data_id in joined.data_ids(["exposure", "detector"])}
    assert found == {1, 2, 3}


def test_images_are_found_by_position(butler):
    with butler.query() as query:
        joined = query.join_dimensions(["exposure", "detector"])
        hit, miss = (
            joined.where("exposure_detector_region.region OVERLAPS POINT(ra, dec)", bind={"ra": ra, "dec": 41.0})
            for ra in (10.0, 100.0)
        )
        found = [sorted(d["detector"] for d in q.data_ids(["exposure", "detector"])) for q in (hit, miss)]
    assert found == [[1, 2, 3], []]


def test_off_sky_images_are_kept_without_a_region(butler):
    data_id = butler.registry.expandDataId(instrument="SPHEREx", exposure=EXPOSURE, detector=5)
    assert data_id.region is None


def test_level2_file_has_the_archives_name(butler):
    butler.collections.register("spx/l2b-v21-2025-354")
    data_id = {"exposure": EXPOSURE, "detector": 3}
    uri = butler.getURI("level2", data_id, run="spx/l2b-v21-2025-354", predict=True)
    assert uri.path.endswith(
        "/spx/l2b-v21-2025-354/SPHEREx/level2/2025W51_1A/3/level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits"
    )


@pytest.mark.parametrize(
    ("name", "run", "data_id", "file"),
    [
        ("dark", "spx/cal-drk-v4-2025-161", {"detector": 3}, "dark_D3_spx_cal-drk-v4-2025-161.fits"),
        ("dichroic", "spx/base-2025-158", {"detector": 4}, "dichroic_D4_spx_base-2025-158.fits"),
        ("epsf", "spx/cal-epsf-v2-2026-191", {"detector": 3}, "epsf_D3_spx_cal-epsf-v2-2026-191.fits"),
        ("gain_factors", "spx/base-2025-158", {}, "gain_factors_spx_base-2025-158.yaml"),
        ("spectral_channels", "spx/cal-sch-v1-2026-106", {}, "spectral_channels_spx_cal-sch-v1-2026-106.fits"),
        *(
            (name, "spx/base-2025-158", {"detector": 1}, f"{name}_D1_spx_base-2025-158.fits")
            for name in sorted(ARCHIVE_TYPES)
            if name not in {"level2", "dark", "dichroic", "epsf", "gain_factors", "spectral_channels"}
        ),
    ],
)
def test_calibration_file_has_the_archives_name(butler, name, run, data_id, file):
    butler.collections.register(run)
    assert butler.getURI(name, OF_OURS | data_id, run=run, predict=True).basename() == file


@pytest.mark.parametrize(
    ("dimensions", "data_id", "path"),
    [
        (["exposure", "detector"], {"exposure": EXPOSURE, "detector": 3}, f"{PERIOD}/3/{{}}_SPHEREx_{OBS_ID}_D3"),
        (["exposure"], {"exposure": EXPOSURE}, f"{PERIOD}/{{}}_SPHEREx_{OBS_ID}"),
        (["group"], {"group": GROUP}, f"{PERIOD}/{{}}_SPHEREx_{GROUP}"),
        (["planning_period"], {"planning_period": PERIOD}, f"{PERIOD}/{{}}_SPHEREx_{PERIOD}"),
        (["channel"], {"detector": 2, "channel": 17}, "2/{}_SPHEREx_D2_C17"),
        (["healpix4", "detector"], {"healpix4": 77, "detector": 2}, "2/{}_SPHEREx_D2_77"),
    ],
)
def test_other_datasets_get_a_name_with_all_their_dimensions(butler, dimensions, data_id, path):
    name = f"test_{'_'.join(dimensions)}"
    dataset_type = DatasetType(name, dimensions, "CCDData", universe=butler.dimensions)
    butler.registry.registerDatasetType(dataset_type)
    ref = put_zeros(butler, name, "u/me", **data_id)
    assert butler.getURI(ref).path.endswith(f"/u/me/{name}/SPHEREx/{path.format(name)}_u_me.fits")
    assert butler.get(ref).shape == (2, 2)


def test_arrays_are_not_pickled(butler):
    butler.registry.registerDatasetType(
        DatasetType("test_array", ["detector"], "NumpyArray", universe=butler.dimensions)
    )
    butler.collections.register("u/arrays")
    ref = butler.put(np.arange(3), "test_array", run="u/arrays", detector=1)
    assert butler.getURI(ref).getExtension() == ".h5"
    assert butler.get(ref).tolist() == [0, 1, 2]


def test_plain_open_in_another_process_needs_no_environment(empty_repo, run_python):
    script = """
import sys
from lsst.daf.butler import Butler
assert "spherex_butler" not in sys.modules
butler = Butler.from_config(sys.argv[1], collections="SPHEREx/defaults")
print(butler.dimensions, butler.get_dataset_type("level2").storageClass.pytype.__name__)
"""
    assert run_python(script, empty_repo).strip() == "DimensionUniverse(1, spherex) SpectralImage"


def test_root_is_relative_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_repo("a/b").close()
    assert (tmp_path / "a" / "b" / "butler.yaml").is_file()


def test_configuration_is_a_pointer(empty_repo):
    text = (empty_repo / "butler.yaml").read_text()
    assert "- resource://spherex_butler/configs/repository/butler.yaml" in text
    assert "CCDData" not in text


def contents(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_configuration_of_another_package_is_included(tmp_path):
    fragment = tmp_path / "butler.yaml"
    fragment.write_text(
        """\
storageClasses:
  IncludedNumbers:
    pytype: numpy.ndarray
datastore:
  formatters:
    IncludedNumbers: spherex_butler.formatters.hdf5.HDF5ArrayFormatter
"""
    )
    make_repo(tmp_path / "repo", include=[str(fragment)]).close()
    with open_repo(tmp_path / "repo", writeable=True, run="u/me") as butler:
        butler.registry.registerDatasetType(DatasetType("numbers", butler.dimensions.empty, "IncludedNumbers"))
        butler.put(np.arange(3), "numbers")
        assert butler.get("numbers").tolist() == [0, 1, 2]
        assert butler.getURI("numbers").getExtension() == ".h5"


@pytest.mark.parametrize("fragment", ["resource://no_such_package/butler.yaml", "/nowhere/butler.yaml", "butler.yaml"])
def test_what_is_not_there_cannot_be_included(tmp_path, fragment):
    with pytest.raises(ConfigurationError, match=f"no '{fragment}' to include; expected the URI or the absolute path"):
        make_repo(tmp_path / "repo", include=[fragment])
    assert not (tmp_path / "repo").exists()


@pytest.mark.parametrize("make", [copy_repo, Butler.makeRepo])
def test_existing_repository_of_any_universe_is_left_alone(tmp_path, make):
    make(tmp_path / "r")
    before = contents(tmp_path)
    with pytest.raises(ConfigurationError, match=r"r/butler.yaml' exists already: there is a repository"):
        make_repo(tmp_path / "r")
    assert contents(tmp_path) == before


def test_existing_database_file_is_left_alone(tmp_path):
    (tmp_path / "gen3.sqlite3").write_bytes(b"mine")
    with pytest.raises(ConfigurationError, match=r"gen3.sqlite3' exists already"):
        make_repo(tmp_path)
    assert contents(tmp_path) == {tmp_path / "gen3.sqlite3": b"mine"}


@pytest.mark.parametrize("options", [{"root": "r/deep/inside"}, {"root": "new", "datastore_root": "r/files"}])
def test_folder_inside_of_another_repository_is_refused(tmp_path, monkeypatch, options):
    """The other's check would take files there for forgotten ones, which may be removed."""
    monkeypatch.chdir(tmp_path)
    copy_repo(tmp_path / "r")
    before = contents(tmp_path)
    with pytest.raises(ConfigurationError, match=r"/r/.*' is inside of the repository at '.*/r'.* Make .* elsewhere"):
        make_repo(**options)
    assert contents(tmp_path) == before


def test_files_may_be_in_a_folder_of_the_repository_itself(tmp_path):
    with make_repo(tmp_path / "r", datastore_root=tmp_path / "r" / "files") as butler:
        assert butler.getURI(put_zeros(butler, "dark", "spx/x", detector=1)).ospath.startswith(f"{tmp_path}/r/files/")


def test_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"file' is a file; a repository needs a folder"):
        make_repo(tmp_path / "file")


def test_database_and_files_may_be_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "db").mkdir()
    with make_repo("r", database="sqlite:///db/registry.sqlite3", datastore_root="files") as butler:
        path = butler.getURI(put_zeros(butler, "dark", "spx/cal-drk-v4-2025-161", detector=1)).ospath
    assert path == str(tmp_path / "files/spx/cal-drk-v4-2025-161/SPHEREx/dark/dark_D1_spx_cal-drk-v4-2025-161.fits")
    assert {p.name for p in (tmp_path / "r").iterdir()} == {"butler.yaml"}
    monkeypatch.chdir("/")
    with Butler.from_config(tmp_path / "r", collections="spx/cal-drk-v4-2025-161") as butler:
        assert butler.get("dark", instrument="SPHEREx", detector=1).shape == (2, 2)


def test_database_may_be_elsewhere_alone(tmp_path):
    butler = make_repo(tmp_path / "r", database=f"sqlite:///{tmp_path}/elsewhere.sqlite3")
    ref = put_zeros(butler, "dark", "spx/x", detector=1)
    assert butler.getURI(ref).ospath.startswith(str(tmp_path / "r" / "spx"))
    butler.close()
    assert (tmp_path / "elsewhere.sqlite3").stat().st_size > 0
    assert not (tmp_path / "r" / "gen3.sqlite3").exists()


def test_folder_with_a_dot_in_its_name_is_made_and_can_be_moved(tmp_path):
    make_repo(tmp_path / "survey.v2").close()
    config = Config(str(tmp_path / "survey.v2" / "butler.yaml"))
    assert "root" not in config
    assert config["datastore", "root"] == "<butlerRoot>"
    (tmp_path / "survey.v2").rename(tmp_path / "survey.v3")
    with Butler.from_config(tmp_path / "survey.v3") as butler:
        assert len(list(butler.query_dimension_records("detector", instrument="SPHEREx"))) == 6


def test_butler_by_itself_cannot_make_a_folder_with_a_dot_in_its_name(tmp_path):
    """If this fails, `make_repo` need not give Butler the place of the configuration any more."""
    with pytest.raises(ValueError, match="Unsupported format for Config serialization: v2"):
        Butler.makeRepo(tmp_path / "survey.v2")


def test_places_may_be_given_relative_to_the_root(tmp_path):
    butler = make_repo(
        tmp_path / "r", database="sqlite:///<butlerRoot>/registry.db", datastore_root="<butlerRoot>/files"
    )
    ref = put_zeros(butler, "dark", "spx/x", detector=1)
    assert butler.getURI(ref).ospath.startswith(str(tmp_path / "r" / "files" / "spx"))
    butler.close()
    (tmp_path / "r").rename(tmp_path / "moved")
    with Butler.from_config(tmp_path / "moved") as moved:
        assert moved.get("dark", instrument="SPHEREx", detector=1, collections="spx/x").shape == (2, 2)


def test_files_may_be_moved_by_themselves(tmp_path):
    """Butler would take a datastore whose root is another one for another datastore, had it no name."""
    registry = f"sqlite:///{tmp_path}/registry.sqlite3"
    with make_repo(tmp_path / "r", database=registry, datastore_root=tmp_path / "files") as butler:
        paths = copy_exposures(tmp_path / "archive")
        assert len(ingest_files(butler, paths, transfer="copy").ingested) == 6
    (tmp_path / "files").rename(tmp_path / "moved")
    moved = copy_configuration(tmp_path / "r", tmp_path / "s", {"datastore": {"root": str(tmp_path / "moved")}})
    with open_repo(moved, writeable=True) as butler:
        assert check_repository(butler).ok
        assert len(ingest_files(butler, paths, transfer="copy").skipped) == 6
        assert butler.get("level2", images(butler)[0].dataId).shape == (16, 16)


def test_datastore_of_another_name_is_refused_by_the_check(tmp_path):
    registry = f"sqlite:///{tmp_path}/registry.sqlite3"
    with make_repo(tmp_path / "r", database=registry, datastore_root=tmp_path / "files") as butler:
        ingest_files(butler, copy_exposures(tmp_path / "archive"), transfer="copy")
    renamed = copy_configuration(tmp_path / "r", tmp_path / "s", {"datastore": {"name": "Elsewhere"}})
    with open_repo(renamed) as butler, pytest.raises(ConfigurationError, match="expected 'name: SPHEREx' under 'data"):
        check_repository(butler)


RUBIN = DimensionConfig("resource://lsst.daf.butler/configs/dimensions.yaml")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"root": "s3://b/r"}, ConfigurationError, "'s3://b/r/' is remote, where an SQLite file cannot be"),
        (
            {"root": "s3://b/r", "database": "sqlite:///<butlerRoot>/gen3.sqlite3"},
            ConfigurationError,
            "'s3://b/r/' is remote, where an SQLite file cannot be",
        ),
        ({"database": "registry.sqlite3"}, ParameterError, "database 'registry.sqlite3' is not an SQLAlchemy URL"),
        ({"database": ""}, ParameterError, "database '' is not an SQLAlchemy URL"),
        ({"database": "sqlite://"}, ParameterError, "is in memory, where no repository can be kept"),
        ({"database": "sqlite:///:memory:"}, ParameterError, "is in memory, where no repository can be kept"),
        ({"dimensions": RUBIN}, ConfigurationError, r"'daf_butler', version 8, lacks or redefines \['channel'"),
    ],
)
def test_repository_that_cannot_be_kept_is_refused_first(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        make_repo(**({"root": tmp_path / "r"} | options))
    assert not (tmp_path / "r").exists()


def test_database_without_a_driver_is_refused_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(
        ConfigurationError, match=r"has no driver here: .*psycopg.* pip install 'spherex-butler\[postgres\]'"
    ):
        make_repo(tmp_path / "r", database="postgresql://host/x")
    assert not (tmp_path / "r").exists()


def test_unreachable_database_leaves_nothing_behind(tmp_path):
    with pytest.raises(Exception, match=r"psycopg|connect"):
        make_repo(tmp_path / "a" / "r", database="postgresql://localhost:1/nowhere", datastore_root=tmp_path / "files")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("broken", "error"), [("insertDimensionData", KeyboardInterrupt), ("registerDatasetType", RuntimeError)]
)
def test_failure_midway_leaves_nothing_that_blocks_a_retry(tmp_path, monkeypatch, broken, error):
    def fail(*_, **__):
        raise error("interrupted")

    (tmp_path / "kept").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(RegistryShim, broken, fail)
        with pytest.raises(error, match="interrupted"):
            make_repo(tmp_path / "kept" / "new" / "r", datastore_root=tmp_path / "files")
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["kept"]
    make_repo(tmp_path / "kept" / "new" / "r", datastore_root=tmp_path / "files").close()


def test_failure_midway_leaves_what_others_put_there(tmp_path, monkeypatch):
    def fail(*_):
        (tmp_path / "r" / "notes.txt").write_text("mine")
        raise RuntimeError("interrupted")

    monkeypatch.setattr(RegistryShim, "registerDatasetType", fail)
    with pytest.raises(RuntimeError, match="interrupted"):
        make_repo(tmp_path / "r")
    assert contents(tmp_path) == {tmp_path / "r" / "notes.txt": b"mine"}


ATTEMPT = """
import sys, spherex_butler
try:
    spherex_butler.make_repo(sys.argv[1]).close()
except spherex_butler.errors.ConfigurationError as error:
    print(error)
else:
    print("made")
"""


def test_of_several_processes_one_makes_the_repository(tmp_path):
    scripts = [start_script(ATTEMPT, tmp_path / "r", folder=tmp_path / "elsewhere") for _ in range(3)]
    assert [script.wait() for script in scripts] == [0, 0, 0]
    first, second, third = sorted(script.output.strip() for script in scripts)
    assert "exists already" in first
    assert "exists already" in second
    assert third == "made"
    with Butler.from_config(tmp_path / "r") as butler:
        assert len(records(butler, "channel")) == 102


def test_repository_with_a_pipelines_own_dimension_opens_anywhere(tmp_path, run_forked):
    label = {"name": "label", "type": "string", "length": 16}
    night = {"requires": ["instrument"], "keys": [{"name": "id", "type": "int"}, label]}
    dimensions = extend_universe({"night": night}, namespace="test_repo_nights", version=1)
    make_repo(tmp_path / "r", dimensions=dimensions).close()
    script = """
import sys
from lsst.daf.butler import Butler, DatasetType
butler = Butler.from_config(sys.argv[1], run="u/nights", instrument="SPHEREx")
butler.registry.insertDimensionData("night", {"instrument": "SPHEREx", "id": 12, "label": "first"})
nightly = DatasetType("nightly", ["night", "detector"], "StructuredDataDict", universe=butler.dimensions)
butler.registry.registerDatasetType(nightly)
butler.put({"x": 1}, nightly, night=12, detector=3)
(ref,) = butler.query_datasets("nightly", where="night.label = 'first'")
print(butler.dimensions, butler.get(ref), butler.getURI(ref).basename())
"""
    assert run_forked(script, tmp_path / "r").strip() == (
        "DimensionUniverse(1, test_repo_nights) {'x': 1} nightly_SPHEREx_D3_night-12_u_nights.yaml"
    )


def test_temporary_repository_is_removed():
    with temporary_repo() as butler:
        root = Path(butler._config.configDir.ospath)
        assert root.is_dir()
    assert not root.exists()


ROUND_TRIPS = {
    "HDF5Array": np.array([1.5, np.nan]),
    "HDF5": {"a": {"b": np.arange(3)}, "c": "text"},
    "CCDData": CCDData(
        np.ones((2, 3), dtype=np.float32), unit="Jy", mask=np.eye(2, 3, dtype=bool), meta={"OBSID": "x"}
    ),
    "HDUList": fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((2, 2)), name="A")]),
    "StructuredDataDict": {"x": 1},
}


@pytest.mark.parametrize("storage_class", ROUND_TRIPS)
def test_round_trip_returns_what_was_read(butler, storage_class):
    given = ROUND_TRIPS[storage_class]
    returned = assert_round_trip(butler, given, storage_class)
    assert returned is not given


def test_round_trip_makes_a_repository_if_given_none():
    assert assert_round_trip(None, {"x": [1, 2]}, "StructuredDataDict") == {"x": [1, 2]}


def test_round_trip_tells_what_differs(butler):
    with pytest.raises(AssertionError, match=r"StructuredDataDict\['x'\]: .*list.* was returned for .*tuple"):
        assert_round_trip(butler, {"x": (1, 2)}, "StructuredDataDict")
