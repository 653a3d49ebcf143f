"""How our configuration is found: by the environment, by an include, with a repository, by `butler create`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from lsst.daf.butler import Butler, Config
from made_once import copy_repo

import spherex_butler
from spherex_butler.paths import config_path, config_uri

BUTLER_COMMAND = (sys.executable, "-c", "from lsst.daf.butler.cli.butler import main; main()")

# A repository of daf_butler's own universe, with a camera that has darks, too.
CAMERA = """
import sys
import numpy as np
from astropy.nddata import CCDData
from lsst.daf.butler import Butler, DatasetType

def fill(root):
    with Butler.from_config(root, run="cal/1") as butler:
        for instrument in ("CAM", "SPHEREx"):
            butler.registry.insertDimensionData("instrument", {"name": instrument})
            butler.registry.insertDimensionData("detector", {"instrument": instrument, "id": 1, "full_name": "S00"})
        butler.registry.registerDatasetType(DatasetType("dark", ["detector"], sys.argv[2], universe=butler.dimensions))
        dark = CCDData(np.zeros((2, 2)), unit="electron / s") if sys.argv[2] == "CCDData" else {"x": 1}
        for instrument in ("CAM", "SPHEREx"):
            ref = butler.put(dark, "dark", instrument=instrument, detector=1)
            assert type(butler.get(ref)) is type(dark)
            print(butler.getURI(ref).relative_to(butler.getURI(ref).dirname().parent().parent().parent()))
"""


def camera_files(run_forked, root, storage_class, **options):
    return run_forked(f"{CAMERA}\nfill(sys.argv[1])", root, storage_class, **options).split()


@pytest.fixture
def camera(tmp_path):
    """A repository of another universe and another instrument."""
    Butler.makeRepo(tmp_path / "camera")
    return tmp_path / "camera"


def include(root, uri):
    config = Config(str(root / "butler.yaml"))
    config["includeConfigs"] = [uri]
    config.dumpToUri(str(root / "butler.yaml"), overwrite=True)


def names(paths):
    return [Path(path).name for path in paths]


def test_a_camera_alone_names_its_files_so(run_forked, camera):
    files = camera_files(run_forked, camera, "StructuredDataDict")
    assert names(files) == ["dark_CAM_S00_cal_1.yaml", "dark_SPHEREx_S00_cal_1.yaml"]


def test_environment_gives_every_repository_our_storage_classes(run_forked, camera):
    files = camera_files(run_forked, camera, "CCDData", DAF_BUTLER_CONFIG_PATH=config_path())
    assert names(files) == ["dark_CAM_S00_cal_1.fits", "dark_SPHEREx_S00_cal_1.fits"]


RUBIN_EXPOSURE = """
import sys
from lsst.daf.butler import Butler, DatasetType
from spherex_butler.testing import make_spectral_image
Butler.makeRepo(sys.argv[1])
butler = Butler.from_config(sys.argv[1], writeable=True, run="cal/1")
of_cam = {"instrument": "CAM"}
for element, record in {
    "instrument": {"name": "CAM"},
    "physical_filter": of_cam | {"name": "CAM-R", "band": "r"},
    "detector": of_cam | {"id": 3, "full_name": "S03"},
    "day_obs": of_cam | {"id": 20251218},
    "group": of_cam | {"name": "large slew"},
    "exposure": of_cam
    | {"id": 5, "obs_id": "2025W51_1A_0684_2", "physical_filter": "CAM-R", "day_obs": 20251218, "group": "large slew"},
}.items():
    butler.registry.insertDimensionData(element, record)
image = make_spectral_image(size=16)
for name, dimensions in (("level2", ["exposure", "detector"]), ("template", ["detector"]), ("sum", ["band"])):
    butler.registry.registerDatasetType(DatasetType(name, dimensions, "SpectralImage", universe=butler.dimensions))
    ref = butler.put(image, name, instrument="CAM", exposure=5, detector=3, band="r")
    print(butler.getURI(ref).basename())
"""


def test_environment_names_images_where_butler_has_no_template_of_their_dimensions(run_forked, tmp_path):
    printed = run_forked(RUBIN_EXPOSURE, tmp_path / "repository", DAF_BUTLER_CONFIG_PATH=config_path())
    # Of all keys that match, Butler prefers dimensions to a storage class.
    assert printed.split() == [
        "level2_CAM_CAM-R_2025W51_1A_0684_2_S03_cal_1.fits",
        "template_CAMD3_cal_1.fits",
        "sum_r_cal_1.fits",
    ]


def test_environment_leaves_other_repositories_valid(run_clean, camera):
    """Butler rejects templates of an instrument or dataset type that a repository does not have."""
    run_clean(*BUTLER_COMMAND, "config-validate", str(camera), DAF_BUTLER_CONFIG_PATH=config_path())


def test_include_gives_a_repository_of_any_universe_our_storage_classes_and_file_names(run_forked, camera):
    include(camera, config_uri("butler.yaml"))
    files = camera_files(run_forked, camera, "CCDData")
    assert names(files) == ["dark_CAM_S00_cal_1.fits", "dark_D1_cal_1.fits"]


def test_include_leaves_a_repositorys_own_configuration_in_force(run_forked, camera):
    config = Config(str(camera / "butler.yaml"))
    config["includeConfigs"] = [config_uri("butler.yaml")]
    config["datastore", "templates", "dark"] = "{run:/}/mine_{instrument}_{detector}_{run}"
    config["datastore", "formatters", "CCDData"] = "spherex_butler.formatters.HDUListFormatter"
    config.dumpToUri(str(camera / "butler.yaml"), overwrite=True)
    script = """
import sys
from lsst.daf.butler import ButlerConfig
config = ButlerConfig(sys.argv[1])
datastore = config["datastore"]
print(datastore["root"], datastore["formatters", "CCDData"], datastore["templates", "dark"])
"""
    assert run_forked(script, camera).split() == [
        "<butlerRoot>",
        "spherex_butler.formatters.HDUListFormatter",
        "{run:/}/mine_{instrument}_{detector}_{run}",
    ]


TRAPS = {
    "storageClasses.yaml": "storageClasses: {CCDData: {pytype: trap}}",
    "datastores/fileDatastore.yaml": "datastore: {formatters: {CCDData: trap}}",
    "formatters.yaml": "CCDData: trap",
    "templates.yaml": "default: trap",
}


def test_files_in_the_current_folder_are_not_taken_for_ours(run_forked, camera, tmp_path):
    include(camera, config_uri("repository/butler.yaml"))
    for file, text in TRAPS.items():
        (tmp_path / "elsewhere" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "elsewhere" / file).write_text(text)
    script = "import sys; from lsst.daf.butler import ButlerConfig; print('trap' in str(ButlerConfig(sys.argv[1])))"
    assert run_forked(script, camera).strip() == "False"


def test_repository_picks_up_upgrades_of_the_package(run_python, tmp_path):
    copy_repo(tmp_path / "r")
    source = tmp_path / "upgraded"
    shutil.copytree(Path(spherex_butler.__file__).parent, source / "spherex_butler")
    classes = source / "spherex_butler" / "configs" / "storageClasses.yaml"
    classes.write_text(classes.read_text() + "  BrandNew:\n    pytype: dict\n")
    template = source / "spherex_butler" / "configs" / "repository" / "templates.yaml"
    template.write_text('default: "{run:/}/upgraded/{datasetType}_{instrument:?}_{run}"\n')
    script = """
import sys
from lsst.daf.butler import Butler
with Butler.from_config(sys.argv[1]) as butler:
    config = butler._config
print("BrandNew" in config["storageClasses"], config["datastore", "templates", "default"])
"""
    upgraded = run_python(script, tmp_path / "r", source=source).strip()
    assert upgraded == "True {run:/}/upgraded/{datasetType}_{instrument:?}_{run}"
    assert run_python(script, tmp_path / "r").startswith("False ")


SEEDED = """
import sys
import numpy as np
from astropy.nddata import CCDData
from lsst.daf.butler import Butler, DatasetType
with Butler.from_config(sys.argv[1], run="spx/cal-drk-v4-2025-161") as butler:
    butler.registry.insertDimensionData("instrument", {"name": "SPHEREx"})
    butler.registry.insertDimensionData("detector", {"instrument": "SPHEREx", "id": 3, "full_name": "D3"})
    butler.registry.registerDatasetType(DatasetType("dark", ["detector"], "CCDData", universe=butler.dimensions))
    ref = butler.put(CCDData(np.zeros((2, 2)), unit="electron / s"), "dark", instrument="SPHEREx", detector=3)
    print(butler.dimensions, butler.getURI(ref).basename(), butler.get(ref).unit)
"""


@pytest.fixture
def seeded(run_clean, tmp_path):
    """A repository made by daf_butler's own command, from our two files."""
    run_clean(
        *(*BUTLER_COMMAND, "create", str(tmp_path / "seeded")),
        *("--seed-config", config_uri("repository/seed.yaml")),
        *("--dimension-config", config_uri("repository/dimensions.yaml")),
    )
    return tmp_path / "seeded"


def test_plain_create_copies_templates_and_works_with_the_environment(run_forked, seeded):
    text = (seeded / "butler.yaml").read_text()
    assert "{exposure.obs_id}D{detector}" in text
    assert not any(section in text for section in ("storageClasses", "includeConfigs"))
    printed = run_forked(SEEDED, seeded, DAF_BUTLER_CONFIG_PATH=config_path())
    assert printed.strip() == "DimensionUniverse(1, spherex) dark_D3_spx_cal-drk-v4-2025-161.fits electron / s"


def test_plain_create_works_with_an_include_added(run_forked, seeded):
    include(seeded, config_uri("repository/butler.yaml"))
    assert run_forked(SEEDED, seeded).startswith("DimensionUniverse(1, spherex) dark_D3_spx_cal")


def test_config_path_is_a_folder_that_butler_takes():
    assert Path(config_path()).is_absolute()
    assert Path(config_path(), "storageClasses.yaml").is_file()
    assert not Path(config_path(), "dimensions.yaml").exists()


def test_package_in_a_zip_file_says_that_it_has_no_folder(run_python, tmp_path):
    archive = shutil.make_archive(
        str(tmp_path / "zipped"), "zip", Path(spherex_butler.__file__).parents[1], "spherex_butler"
    )
    script = f"import sys; sys.path.insert(0, {archive!r})\nimport spherex_butler\nspherex_butler.config_path()"
    printed = run_python(script, source=tmp_path, code=1)
    assert "zipped.zip/spherex_butler/configs" in printed
    assert "which is not a real folder" in printed
    assert "'resource://spherex_butler/configs/butler.yaml'" in printed
