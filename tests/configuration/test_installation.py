"""What install() changes in a process, and that leaving it puts all of that back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import spherex_butler

# What every script below begins with: a description of what install() may change.
STATE = """
import os, sys
import spherex_butler

def state():
    from lsst.daf.butler import Butler, DimensionUniverse, StorageClassFactory
    factory = StorageClassFactory()
    ours = [name for name in ("CCDData", "AstropyWCS", "SpectralImage") if name in factory]
    return dict(os.environ), repr(DimensionUniverse()), ours, Butler.__dict__["makeRepo"]

def refuse():
    before = state()
    try:
        spherex_butler.install()
    except spherex_butler.errors.ConfigurationError as error:
        print(error)
    assert state() == before
"""
INSTALLED = ["DimensionUniverse(1, spherex)", "['CCDData', 'AstropyWCS', 'SpectralImage']"]
PLAIN = ["DimensionUniverse(8, daf_butler)", "[]"]


@pytest.fixture
def run(run_forked):
    """Return a function that runs a script after the above, and returns the lines it prints."""
    return lambda script, *arguments, **options: run_forked(STATE + script, *arguments, **options).splitlines()


@pytest.fixture
def run_restored(run):
    """Return a function that does likewise, and checks that everything is as it was before at the end."""
    return lambda script, **options: run(f"before = state()\n{script}\nassert state() == before", **options)


@pytest.mark.parametrize("first", ["", "import lsst.daf.butler", "state()"])
def test_process_is_ours_whether_or_not_butler_was_there_before(run_python, first):
    script = f"{STATE}\n{first}\nspherex_butler.install()\nprint(*state()[1:3], sep='\\n')"
    assert run_python(script).splitlines() == INSTALLED


@pytest.mark.parametrize("end", ["pass", "raise InterruptedError"])
def test_leaving_the_context_leaves_everything_as_it_was(run_restored, end):
    script = f"""
import contextlib
with contextlib.suppress(InterruptedError), spherex_butler.install():
    print(*state()[1:3], sep="\\n")
    {end}
print(*state()[1:3], sep="\\n")
"""
    assert run_restored(script) == INSTALLED + PLAIN


def test_doing_it_again_changes_nothing(run):
    script = """
spherex_butler.install()
once = state()
spherex_butler.install()
assert state() == once
with spherex_butler.install():
    assert state() == once
assert state() == once
"""
    assert run(script) == []


def test_contexts_nest(run_restored):
    script = """
with spherex_butler.install():
    inside = state()
    with spherex_butler.install():
        spherex_butler.install()
        assert state() == inside
    assert state() == inside
"""
    assert run_restored(script) == []


def test_one_installation_may_be_entered_again(run_restored):
    script = """
installation = spherex_butler.install()
for _ in range(2):
    with installation:
        print(state()[1])
    assert state() == before
"""
    assert run_restored(script) == [INSTALLED[0]] * 2


def test_the_last_of_overlapping_threads_puts_things_back(run_restored):
    script = """
import threading
entered, left = threading.Event(), threading.Event()

def other():
    with spherex_butler.install():
        entered.set()
        left.wait(60)
        print(state()[1])

thread = threading.Thread(target=other)
with spherex_butler.install():
    thread.start()
    entered.wait(60)
left.set()
thread.join()
"""
    assert run_restored(script) == [INSTALLED[0]]


def test_folders_given_before_stay_on_the_path(run_restored):
    script = """
with spherex_butler.install():
    print(os.environ["DAF_BUTLER_CONFIG_PATH"])
"""
    ours = spherex_butler.config_path()
    (path,) = run_restored(script, DAF_BUTLER_CONFIG_PATH="/theirs")
    assert path.split(os.pathsep) == [f"{ours}/repository", ours, "/theirs"]
    (path,) = run_restored(script, DAF_BUTLER_CONFIG_PATH=f"/theirs:{ours}")
    assert path.split(os.pathsep) == [f"{ours}/repository", "/theirs", ours]


def test_folder_that_others_add_meanwhile_stays(run):
    script = """
with spherex_butler.install():
    os.environ["DAF_BUTLER_CONFIG_PATH"] += ":/later"
print(os.environ["DAF_BUTLER_CONFIG_PATH"])
with spherex_butler.install():
    del os.environ["DAF_BUTLER_CONFIG_PATH"]
print(os.environ["DAF_BUTLER_CONFIG_PATH"])
"""
    assert run(script) == ["/later", "/later"]


def test_storage_classes_that_were_there_before_stay(run):
    script = """
import lsst.daf.butler
factory = lsst.daf.butler.StorageClassFactory()
config = lsst.daf.butler.Config("resource://spherex_butler/configs/storageClasses.yaml")
factory.addFromConfig(config)
with spherex_butler.install():
    pass
print(state()[2])
"""
    assert run(script) == INSTALLED[1:]


def test_storage_class_forgotten_meanwhile_is_no_error(run_restored):
    script = """
with spherex_butler.install():
    import lsst.daf.butler
    lsst.daf.butler.StorageClassFactory()._unregisterStorageClass("CCDData")
"""
    assert run_restored(script) == []


def test_another_definition_of_a_storage_class_is_refused_and_nothing_changed(run):
    script = """
from lsst.daf.butler import StorageClass, StorageClassFactory
StorageClassFactory().registerStorageClass(StorageClass("SpectralImage", pytype=dict))
refuse()
"""
    (line,) = run(script)
    assert line.startswith("This process holds another definition of one of our storage classes: New definition")
    assert "SpectralImage" in line
    assert line.endswith("give it a name of its own.")


def test_plain_makeRepo_makes_a_spherex_repository_that_opens_anywhere(run, run_forked, tmp_path):
    script = """
from lsst.daf.butler import Butler
with spherex_butler.install():
    Butler.makeRepo(sys.argv[1])
    with Butler.from_config(sys.argv[1]) as butler:
        print(butler.dimensions)
"""
    assert run(script, tmp_path / "r") == ["DimensionUniverse(1, spherex)"]
    script = """
import sys, numpy as np
from astropy.nddata import CCDData
from lsst.daf.butler import Butler, DatasetType
butler = Butler.from_config(sys.argv[1], run="u/me")
butler.registry.insertDimensionData("instrument", {"name": "X"})
butler.registry.insertDimensionData("planning_period", {"instrument": "X", "name": "2025W51_1A"})
dataset_type = DatasetType("image", ["planning_period"], "CCDData", universe=butler.dimensions)
butler.registry.registerDatasetType(dataset_type)
image = CCDData(np.zeros((2, 2)), unit="Jy")
print(butler.getURI(butler.put(image, "image", instrument="X", planning_period="2025W51_1A")).basename())
"""
    assert run_forked(script, tmp_path / "r").strip() == "image_X_2025W51_1A_u_me.fits"


def test_makeRepo_keeps_the_configuration_it_is_given(run, tmp_path):
    script = """
from lsst.daf.butler import Butler, Config
seed = {"includeConfigs": [sys.argv[2]], "datastore": {"checksum": True}}
with spherex_butler.install():
    Butler.makeRepo(sys.argv[1], config=Config(seed))
config = Config(os.path.join(sys.argv[1], "butler.yaml"))
print(config["mine"], config["datastore", "checksum"], "CCDData" in config["storageClasses"])
"""
    (tmp_path / "mine.yaml").write_text("mine: 1\n")
    assert run(script, tmp_path / "r", tmp_path / "mine.yaml") == ["1 True True"]


def test_makeRepo_of_an_extended_universe_names_files_with_its_dimensions(run, tmp_path):
    script = """
from lsst.daf.butler import Butler
night = {"requires": ["instrument"], "keys": [{"name": "id", "type": "int"}]}
with spherex_butler.install():
    dimensions = spherex_butler.extend_universe({"night": night}, namespace="nights", version=1)
    Butler.makeRepo(sys.argv[1], dimensionConfig=dimensions)
print(open(sys.argv[1] + "/butler.yaml").read())
"""
    assert any("_night-{night:?}_{run}" in line for line in run(script, tmp_path / "r"))


@pytest.mark.parametrize(
    "arguments",
    [
        "standalone=True, dimensionConfig='resource://lsst.daf.butler/configs/dimensions.yaml'",
        "dimensionConfig='resource://lsst.daf.butler/configs/dimensions.yaml'",
        "None, 'resource://lsst.daf.butler/configs/dimensions.yaml'",
    ],
)
def test_makeRepo_of_another_universe_is_left_alone(run, tmp_path, arguments):
    script = f"""
from lsst.daf.butler import Butler
with spherex_butler.install():
    Butler.makeRepo(sys.argv[1], {arguments})
print(open(sys.argv[1] + "/butler.yaml").read())
with Butler.from_config(sys.argv[1]) as butler:
    print(butler.dimensions)
"""
    lines = run(script, tmp_path / "r")
    assert lines[-1] == "DimensionUniverse(8, daf_butler)"
    assert not any("resource://spherex_butler" in line for line in lines)


def test_makeRepo_still_refuses_what_it_refuses(run, tmp_path):
    script = """
from lsst.daf.butler import Butler, ButlerConfig
with spherex_butler.install():
    try:
        Butler.makeRepo(sys.argv[1], config=ButlerConfig())
    except ValueError as error:
        print(error)
"""
    assert run(script, tmp_path / "r") == ["makeRepo must be passed a regular Config without defaults applied."]


def test_child_processes_inherit_it(run):
    script = """
import subprocess
spherex_butler.install()
child = "from lsst.daf.butler import *; print(DimensionUniverse(), 'CCDData' in StorageClassFactory())"
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True).stdout.strip())
"""
    assert run(script) == ["DimensionUniverse(1, spherex) True"]


def test_make_repo_works_inside(run, tmp_path):
    script = """
with spherex_butler.install():
    spherex_butler.make_repo(sys.argv[1]).close()
print(open(sys.argv[1] + "/butler.yaml").read().count("resource://"))
"""
    assert run(script, tmp_path / "r") == ["1"]


def test_universe_in_the_current_folder_is_refused_and_nothing_changed(run, tmp_path):
    (tmp_path / "elsewhere").mkdir(exist_ok=True)
    text = Path(spherex_butler.config_path(), "repository", "dimensions.yaml").read_text()
    (tmp_path / "elsewhere" / "dimensions.yaml").write_text(text.replace("namespace: spherex", "namespace: other"))
    (line,) = run("refuse()")
    assert line.startswith(
        "Butler takes the default universe from 'dimensions.yaml' even before DAF_BUTLER_CONFIG_PATH"
    )
