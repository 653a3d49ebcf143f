"""The packaged configuration is complete, consistent and unchanged where it is a promise."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.table import Table
from lsst.daf.butler import Config, StorageClassConfig, StorageClassFactory
from lsst.daf.butler.registry import RegistryConfig
from lsst.resources import ResourcePath
from lsst.utils.doImport import doImport

from spherex_butler.configuration.provider import PROVIDER
from spherex_butler.paths import config_path

FOLDER = Path(config_path())
TEXTS = {path.relative_to(FOLDER).as_posix(): path.read_text() for path in sorted(FOLDER.rglob("*.yaml"))}


class Loader(yaml.SafeLoader):
    """Reads an ``!include`` as the name of the file."""


Loader.add_constructor("!include", lambda _, node: node.value)


def load(file):
    return yaml.load(TEXTS[file], Loader)


def found(pattern):
    return sorted({(file, text) for file, content in TEXTS.items() for text in re.findall(pattern, content)})


NOT_IMPORTED = {"lsst.ctrl.bps.panda.PanDAService"}
"""PanDA's plug-in asks for the address of a server when it is imported."""

PYTHON_NAMES = sorted({name for _, name in found(r"\b(?:spherex_butler|lsst|astropy|numpy)(?:\.\w+)+")} - NOT_IMPORTED)
URIS = sorted({uri for _, uri in found(r"resource://[\w./]+\w")})
INCLUDES = found(r"!include (\S+)")


def test_the_walk_found_something():
    assert {"storageClasses.yaml", "repository/dimensions.yaml", "datastores/formatters.yaml"} <= set(TEXTS)
    assert "spherex_butler.formatters.ccddata.CCDDataFormatter" in PYTHON_NAMES
    assert "astropy.nddata.CCDData" in PYTHON_NAMES
    assert "resource://spherex_butler/configs/butler.yaml" in URIS
    assert ("datastores/fileDatastore.yaml", "formatters.yaml") in INCLUDES


@pytest.mark.filterwarnings("ignore:Neither the environment variable CONDOR_CONFIG")  # of HTCondor, without a server
@pytest.mark.parametrize("name", PYTHON_NAMES)
def test_every_python_name_can_be_imported(name):
    assert doImport(name) is not None


@pytest.mark.parametrize("uri", URIS)
def test_every_resource_exists(uri):
    assert ResourcePath(uri).exists()


@pytest.mark.parametrize(("file", "included"), INCLUDES)
def test_every_included_file_exists(file, included):
    assert (FOLDER / file).with_name(included).is_file()


@pytest.mark.parametrize("file", TEXTS)
def test_every_include_is_found_whatever_the_current_folder(file):
    """Butler looks for a relative one in the current folder first."""
    content = load(file)
    includes = content.get("includeConfigs", []) if isinstance(content, dict) else []
    assert all(uri.startswith("resource://") for uri in ([includes] if isinstance(includes, str) else includes))


def test_discoverable_folder_holds_nothing_that_decides_for_other_universes():
    found = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    assert {name for name in found if not name.startswith(("repository/", "bps/"))} == {
        "butler.yaml",
        "storageClasses.yaml",
        "datastores/fileDatastore.yaml",
        "datastores/formatters.yaml",
        "datastores/templates.yaml",
    }
    assert set(load("datastores/fileDatastore.yaml")["datastore"]["templates"]) <= set(
        PROVIDER.storage_classes()["storageClasses"]
    )


def test_templates_that_any_repository_may_include_are_for_our_instrument_alone():
    assert list(PROVIDER.templates()) == ["instrument<SPHEREx>"]


def test_folder_of_repositories_holds_nothing_but_a_universe_that_butler_looks_for():
    """So that install() may put it on the path."""
    names = {"storageClasses.yaml", "datastore.yaml", "datastores", "registry.yaml", "repo_transfer_formats.yaml"}
    assert not {path.name for path in (FOLDER / "repository").iterdir()} & names


STORAGE_CLASSES = PROVIDER.storage_classes()["storageClasses"].toDict()
ITS_OWN = StorageClassConfig(
    Config("resource://lsst.daf.butler/configs/storageClasses.yaml"), mergeDefaults=False
).toDict()


def test_storage_classes_have_not_changed():
    """Until the first release a change updates the digest; then it breaks every process that knew the old ones."""
    compared = {
        name: [
            entry["pytype"],
            entry.get("delegate"),
            sorted(entry.get("components", {})),
            sorted(entry.get("parameters", [])),
        ]
        for name, entry in STORAGE_CLASSES.items()
    }
    text = json.dumps(compared, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "7c0ea32cc3918b54cca382f308ee4678868e17c66faf23c1194744dc27731813"
    )


def test_no_release_of_daf_butler_has_taken_our_names():
    assert not set(STORAGE_CLASSES) & set(ITS_OWN)


@pytest.mark.parametrize("name", STORAGE_CLASSES)
def test_every_component_has_a_storage_class(name):
    entry = STORAGE_CLASSES[name]
    assert set(entry.get("derivedComponents", {}).values()) <= {*STORAGE_CLASSES, *ITS_OWN}
    assert "components" not in entry, "components may be disassembled into files of their own"


@pytest.mark.parametrize("name", STORAGE_CLASSES)
def test_every_definition_is_one_that_butler_takes(name):
    factory = StorageClassFactory()
    factory.addFromConfig(PROVIDER.storage_classes())
    storage_class = factory.getStorageClass(name)
    assert storage_class.validateInstance(object()) is False
    assert set(storage_class.parameters) == set(STORAGE_CLASSES[name].get("parameters", []))


def test_every_storage_class_that_is_put_has_a_formatter():
    components = {c for entry in STORAGE_CLASSES.values() for c in entry.get("derivedComponents", {}).values()}
    assert set(STORAGE_CLASSES) - components == set(PROVIDER.formatters())


def test_names_fit_the_columns_of_the_datastore():
    """128 and 64 characters, in `FileDatastore.makeTableSpec`."""
    assert max(map(len, PROVIDER.formatters().toDict().values())) <= 128
    assert max(map(len, STORAGE_CLASSES)) <= 64


def test_dataset_types_name_storage_classes_and_dimensions_that_exist():
    elements = PROVIDER.dimensions()["elements"]
    for entry in load("repository/datasetTypes.yaml").values():
        assert entry["storageClass"] in {*STORAGE_CLASSES, *ITS_OWN}
        assert set(entry["dimensions"]) <= set(elements)


def test_every_product_of_the_archive_has_a_file_name_template():
    templates = PROVIDER.templates()["instrument<SPHEREx>"]
    assert set(templates) == set(load("repository/datasetTypes.yaml"))


def test_only_spherex_repositories_write_arrays_as_hdf5():
    formatter = "spherex_butler.formatters.hdf5.HDF5ArrayFormatter"
    assert PROVIDER.repository()["datastore", "formatters", "NumpyArray"] == formatter
    assert "NumpyArray" not in PROVIDER.formatters()


def test_provider_gives_what_the_package_holds():
    assert PROVIDER.repository_uri == "resource://spherex_butler/configs/repository/butler.yaml"
    assert PROVIDER.dimensions()["namespace"] == "spherex"
    assert "CCDData" in PROVIDER.repository()["storageClasses"]
    assert "registry" not in PROVIDER.repository()
    assert RegistryConfig(PROVIDER.repository())["db"].startswith("sqlite")


def test_releases_hold_every_processing_version_once_in_order():
    releases = load("repository/releases.yaml")["releases"]
    assert list(releases) == ["qr1", "qr2", "qr3"]
    bounds = [(entry["first_version"], entry["last_version"]) for entry in releases.values()]
    assert bounds == [(11, 12), (19, 25), (26, None)]
    assert [entry["folder"] for entry in releases.values()] == ["qr", "qr2", "qr3"]


@pytest.mark.parametrize("root", ["archive", "bucket"])
def test_roots_of_the_archive_are_folders(root):
    assert re.fullmatch(r"https://.*/", load("repository/releases.yaml")[root])


def test_channels_are_those_of_the_product():
    ours = Table.read(FOLDER / "repository" / "channels.ecsv", format="ascii.ecsv")
    path = Path(__file__).parents[1] / "data" / "spectral_channels_table.fits"
    with fits.open(path) as hdus:
        theirs = Table(hdus["SPECTRAL_CHANNELS"].data)
    names = {
        "detector": "DETECTOR",
        "id": "SUBCHAN",
        "wavelength": "WAVELENGTH",
        "wavelength_min": "WL_MIN",
        "wavelength_max": "WL_MAX",
        "bandwidth": "BANDWIDTH",
        "resolving_power": "R",
        "resolving_power_std": "R_STD",
    }
    assert set(names) == set(ours.colnames)
    for mine, its in names.items():
        np.testing.assert_array_equal(np.asarray(ours[mine], dtype=theirs[its].dtype), theirs[its])


def test_storage_classes_are_found_by_type_before_any_was_used(run_python):
    script = """
from lsst.daf.butler import StorageClassConfig, StorageClassFactory
from spherex_butler import SpectralImage
from spherex_butler.configuration.provider import PROVIDER
from spherex_butler.images import SpectralImagePSF

factory = StorageClassFactory()
factory.addFromConfig(StorageClassConfig(PROVIDER.storage_classes()))
print(*(factory.findStorageClass(kind).name for kind in (SpectralImage, SpectralImagePSF)))
"""
    assert run_python(script).split() == ["SpectralImage", "SpectralImagePSF"]
