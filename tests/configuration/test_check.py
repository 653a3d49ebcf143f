"""The check of the configuration: what Butler finds, what it ignores silently, and whose definitions are in effect."""

from __future__ import annotations

import importlib.resources
import shutil
from pathlib import Path

import pytest
from lsst.daf.butler import Butler, Config
from lsst.resources import ResourcePath
from made_once import copy_repo

from spherex_butler.configuration.check import check_configuration
from spherex_butler.errors import ConfigurationError
from spherex_butler.paths import config_path, config_uri


@pytest.fixture
def check(monkeypatch):
    """Return a function that checks the configuration with the variable set to some folders."""
    monkeypatch.delenv("DAF_BUTLER_CONFIG_PATH", raising=False)

    def check(*folders, repo=None):
        if folders:
            monkeypatch.setenv("DAF_BUTLER_CONFIG_PATH", ":".join(map(str, folders)))
        return check_configuration(repo)

    return check


def warnings_of(report):
    return [str(finding).removeprefix("warning: ") for finding in report.warnings]


def test_without_a_variable_nothing_is_wrong(check):
    report = check()
    assert report.ok
    lines = str(report).splitlines()
    assert lines[0] == "Nothing is wrong, but DAF_BUTLER_CONFIG_PATH is not set."
    assert lines[1] == f"{config_path()}: the folder of spherex_butler"
    assert "DAF_BUTLER_CONFIG_PATH: not set: only repositories that include our configuration have it" in lines
    assert lines[-1].startswith("the environment: knows none of our storage classes and formatters; for repositories ")
    assert len(lines) == 5


def test_with_our_folder_ours_are_in_effect(check):
    report = check(config_path())
    assert report.ok
    lines = str(report).splitlines()
    assert f"{config_path()}: has storageClasses.yaml, datastores/fileDatastore.yaml" in lines
    assert lines[0] == "Nothing is wrong."
    assert "the environment: 23 of our 23 storage classes and formatters are in effect" in lines
    assert any(line.endswith("new repositories get the universe 'daf_butler', 8") for line in lines)
    report = check(Path(config_path(), "repository"), config_path())
    assert report.ok
    assert "new repositories get the universe 'spherex', 1" in str(report)


def test_repository_that_includes_us_has_ours_in_effect(check, tmp_path):
    copy_repo(tmp_path / "r")
    report = check(repo=tmp_path / "r")
    assert report.ok
    assert f"{tmp_path / 'r'}: 23 of our 23 storage classes and formatters are in effect" in str(report).splitlines()


def test_repository_that_does_not_include_us_or_is_none_is_warned_of(check, tmp_path):
    Butler.makeRepo(tmp_path / "r")
    report = check(repo=tmp_path / "r")
    remedy = "add 'resource://spherex_butler/configs/butler.yaml' to its includeConfigs"
    assert warnings_of(report) == [f"{tmp_path / 'r'}: knows none of our storage classes and formatters; {remedy}"]
    assert str(report).startswith(f"1 thing to correct:\nwarning: {tmp_path / 'r'}: knows none of ours"[:-1])
    (warning,) = warnings_of(check(repo=tmp_path / "none"))
    assert warning.startswith(f"{tmp_path / 'none'}: Butler cannot read its configuration: ")


def test_repositorys_own_formatter_is_warned_of(check, tmp_path):
    seed = {
        "includeConfigs": [config_uri("butler.yaml")],
        "datastore": {"formatters": {"HDF5": "lsst.daf.butler.formatters.pickle.PickleFormatter"}},
    }
    Butler.makeRepo(tmp_path, config=Config(seed))
    (warning,) = warnings_of(check(repo=tmp_path))
    assert warning == (
        f"{tmp_path}, datastore.formatters.HDF5: not ours, but of the repository: "
        "'lsst.daf.butler.formatters.pickle.PickleFormatter', where ours is "
        "'spherex_butler.formatters.hdf5.HDF5Formatter'"
    )


def of_uri(uri):
    return f"DAF_BUTLER_CONFIG_PATH: {uri!r} is a URI, which Butler splits at its colon and ignores; give a folder"


NOT_FOLDERS = "Butler ignores it; DAF_BUTLER_CONFIG_PATH takes folders"
NONE_FOUND = "FOLDER: has none of the files that Butler looks for: storageClasses.yaml, "
HDF5 = "the environment, storageClasses.HDF5: not ours"
MISPLACED = "Butler does not look here; its content belongs into"
UNIVERSE = Path(config_path(), "repository", "dimensions.yaml").read_text()
A, B = "storageClasses.yaml", "datastores/fileDatastore.yaml"

# The path, what is in a file of the FOLDER, and how each warning begins.
PATHS = {
    "no folder": ("/nowhere:OURS", {}, [f"/nowhere: does not exist: {NOT_FOLDERS}"]),
    "file": (f"FOLDER/{A}:OURS", {A: "storageClasses: {}"}, [f"FOLDER/{A}: is a file: {NOT_FOLDERS}"]),
    "URI": ("OURS:resource://spherex_butler/configs", {}, [of_uri("resource://spherex_butler/configs")]),
    "URI of a bucket": ("OURS:s3://bucket/configs", {}, [of_uri("s3://bucket/configs")]),
    "empty entry": (
        "OURS:",
        {},
        ["DAF_BUTLER_CONFIG_PATH: has an empty entry, for which Butler takes the current folder"],
    ),
    "universe": (
        "OURS:FOLDER",
        {"dimensions.yaml": UNIVERSE.replace("namespace: spherex", "namespace: theirs")},
        ["file://FOLDER/dimensions.yaml: new repositories get the universe 'theirs', 1: it is the first"],
    ),
    "another definition": (
        "FOLDER:OURS",
        {A: "storageClasses:\n  HDF5:\n    parameters: [part]\n"},
        [f"{HDF5}, but of 'FOLDER/{A}' or of the repository: parameters ['part'], where ours is ['keys'"],
    ),
    "storage classes without a top key": (
        "FOLDER:OURS",
        {A: "Mine:\n  pytype: dict\n"},
        [f"FOLDER/{A}: lacks the top key 'storageClasses'; its keys are ['Mine']"],
    ),
    "datastore without a top key": (
        "FOLDER:OURS",
        {B: "formatters:\n  Mine: a.b.C\n"},
        [f"FOLDER/{B}: lacks the top key 'datastore'; its keys are ['formatters']"],
    ),
    "file that cannot be read": (
        "FOLDER:OURS",
        {A: "storageClasses: ["},
        [f"FOLDER/{A}: cannot be read: ", "the environment: Butler cannot read its configuration: "],
    ),
    **{
        f"misplaced {file}": (
            "FOLDER:OURS",
            {file: "datastore: {}"},
            [NONE_FOUND, f"FOLDER/{file}: {MISPLACED} 'FOLDER/{place}'"],
        )
        for file, place in {"fileDatastore.yaml": B, "formatters.yaml": B, f"datastores/{A}": A}.items()
    },
}


@pytest.mark.parametrize("case", PATHS)
def test_what_butler_ignores_or_takes_from_elsewhere_is_warned_of(check, tmp_path, case):
    path, files, beginnings = PATHS[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    path = path.replace("FOLDER", str(tmp_path)).replace("OURS", config_path())
    warnings = [warning.replace(str(tmp_path), "FOLDER") for warning in warnings_of(check(path))]
    assert len(warnings) == len(beginnings)
    assert all(map(str.startswith, warnings, beginnings)), warnings


def test_nothing_of_ours_is_found_with_a_uri_alone(check):
    warnings = warnings_of(check("resource://spherex_butler/configs"))
    assert warnings[0] == of_uri("resource://spherex_butler/configs")
    assert warnings[1].startswith("the environment: knows none of our storage classes and formatters; ")


CCDDATA = "spherex_butler.formatters.ccddata.CCDDataFormatter"


@pytest.mark.parametrize(
    ("formatters", "subject", "message"),
    [
        (
            {"CCDData": {"formatter": CCDDATA, "parameters": {"recipe": "gzip2"}}},
            "CCDData",
            "there is no write recipe 'gzip2'; expected one of ",
        ),
        (
            {"instrument<SPHEREx>": {"dark": {"formatter": CCDDATA, "parameters": {"recipe": "gzip2"}}}},
            "instrument<SPHEREx>.dark",
            "there is no write recipe 'gzip2'; expected one of ",
        ),
        (
            {"default": {CCDDATA: {"recipe": "mine"}}, "dark": CCDDATA},
            "dark",
            "there is no write recipe 'mine'; expected one of ",
        ),
        (
            {
                "write_recipes": {CCDDATA: {"mine": {"level": 3}}},
                "dark": {"formatter": CCDDATA, "parameters": {"recipe": "mine"}},
            },
            "dark",
            "its formatter cannot be used: Write recipe 'mine' of CCDDataFormatter has unknown options",
        ),
        (
            {"dark": {"formatter": CCDDATA.replace("CCDDataF", "F"), "parameters": {"recipe": "gzip_2"}}},
            "dark",
            "its formatter cannot be used: ",
        ),
    ],
)
def test_misspelt_write_recipe_is_warned_of(check, tmp_path, formatters, subject, message):
    configured = Config(str(copy_repo(tmp_path / "r") / "butler.yaml"))
    configured["datastore", "formatters"] = formatters
    configured.dumpToUri(str(tmp_path / "r" / "butler.yaml"))
    warnings = warnings_of(check(repo=tmp_path / "r"))
    assert any(
        warning.startswith(f"{tmp_path / 'r'}, datastore.formatters.{subject}: {message}") for warning in warnings
    )


def test_write_recipes_that_exist_are_no_finding(check, tmp_path):
    configured = Config(str(copy_repo(tmp_path / "r") / "butler.yaml"))
    own = {CCDDATA: {"mine": {"compression": "GZIP_2"}}}
    dark, flat = ({"formatter": CCDDATA, "parameters": {"recipe": recipe}} for recipe in ("gzip_2", "mine"))
    for name, entry in {"write_recipes": own, "dark": dark, "flat": flat}.items():
        configured["datastore", "formatters", name] = entry
    configured.dumpToUri(str(tmp_path / "r" / "butler.yaml"))
    warnings = warnings_of(check(repo=tmp_path / "r"))
    assert not [warning for warning in warnings if "recipe" in warning or "cannot be used" in warning]


@pytest.mark.parametrize("name", ["storageClasses.yaml", "dimensions.yaml", "datastore.yaml"])
def test_file_in_the_current_folder_is_warned_of(check, monkeypatch, tmp_path, name):
    """Butler takes it instead of its own, too, so copy that."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(ResourcePath(f"resource://lsst.daf.butler/configs/{name}").read())
    message = f"Butler takes this file of the current folder instead of any other {name}"
    assert warnings_of(check())[0] == f"{tmp_path}/{name}: {message}"


@pytest.mark.parametrize("name", ["DAF_BUTLER_CONFIG_PATHS", "DAF_BUTLER_CONFIG_DIR", "BUTLER_CONFIG_PATH"])
def test_misspelt_variable_is_warned_of(check, monkeypatch, name):
    monkeypatch.setenv(name, config_path())
    assert warnings_of(check()) == [f"{name}: is set, but Butler reads only DAF_BUTLER_CONFIG_PATH; is it misspelt?"]


@pytest.mark.parametrize("name", ["DAF_BUTLER_REPOSITORY_INDEX", "DAF_BUTLER_CACHE_DIRECTORY", "DAF_BUTLER_PLUGINS"])
def test_butlers_other_variables_are_known(check, monkeypatch, name):
    monkeypatch.setenv(name, "/x")
    assert check().ok


@pytest.fixture
def folder_with_colon(monkeypatch, tmp_path) -> Path:
    """Have the package's configuration in a folder that Butler's variable cannot name."""
    folder, files = tmp_path / "a:b" / "spherex_butler", importlib.resources.files
    shutil.copytree(config_path(), folder / "configs")
    monkeypatch.setattr("importlib.resources.files", lambda name: folder if name == "spherex_butler" else files(name))
    return folder


def test_folder_of_ours_that_cannot_be_on_the_path_is_refused_and_warned_of(check, folder_with_colon):
    message = f"The configuration folder '{folder_with_colon}/configs' has ':' in its path, where "
    with pytest.raises(ConfigurationError, match=message):
        config_path()
    (warning,) = warnings_of(check())
    assert warning.startswith(f"spherex_butler: {message}")
