"""SPHEREx registered in repositories that Butler alone made, and in others."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from command_line import run
from lsst.daf.butler import Butler, CollectionType, Config, DatasetType

import spherex_butler
from spherex_butler.errors import ConfigurationError
from spherex_butler.ingest import ingest_files
from spherex_butler.testing import write_level2


@pytest.fixture
def bare(tmp_path):
    """Return a repository that has our universe and nothing else."""
    with spherex_butler.install():
        Butler.makeRepo(tmp_path / "bare", dimensionConfig=spherex_butler.dimension_config())
    return tmp_path / "bare"


def contents(butler):
    """Return everything that make_repo registers."""
    elements = ("instrument", "detector", "channel")
    records = {element: sorted(map(str, butler.query_dimension_records(element))) for element in elements}
    types = {found.name: found for found in butler.registry.queryDatasetTypes()}
    chain = butler.collections.get_info("SPHEREx/defaults").children
    return records, types, chain, butler.collections.get_info("SPHEREx/calib").type


def test_bare_repository_becomes_what_make_repo_makes(bare, butler):
    with Butler.from_config(bare, writeable=True) as registered:
        done = spherex_butler.register(registered)
        assert contents(registered) == contents(butler)
    assert (len(done.added), done.replaced, done.kept) == (1 + 6 + 102 + len(contents(butler)[1]) + 2, (), ())
    assert {"instrument SPHEREx", "detector 6", "channel 6 17", "dataset type level2"} < set(done.added)


def test_second_registration_changes_nothing(butler):
    before = contents(butler)
    done = spherex_butler.register(butler)
    assert str(done) == "0 added, 0 different and kept"
    assert contents(butler) == before


def test_ingest_says_how_to_register(bare, tmp_path):
    path = write_level2(tmp_path, size=16)
    with Butler.from_config(bare, writeable=True) as butler:
        with pytest.raises(ConfigurationError, match=r"expected what 'butler spherex register REPO' adds"):
            ingest_files(butler, [path])
        spherex_butler.register(butler)
        assert len(ingest_files(butler, [path]).ingested) == 1


def test_command_says_what_it_would_do_and_does_it(bare):
    database = bare / "gen3.sqlite3"
    before = database.read_bytes()
    said = run("register", bare, "--dry-run")
    assert "added: detector 3\n" in said
    assert database.read_bytes() == before
    assert run("register", bare) == said
    assert run("register", bare) == "0 added, 0 different and kept\n"


INCLUDE = "includeConfigs: [resource://spherex_butler/configs/repository/butler.yaml]"


@pytest.fixture
def unconfigured(tmp_path):
    """Return a repository of our universe whose configuration has nothing of ours, as 'butler create' makes it."""
    Butler.makeRepo(tmp_path / "unconfigured", dimensionConfig=spherex_butler.dimension_config())
    return tmp_path / "unconfigured"


@pytest.mark.parametrize("command", [["register"], ["register", "-n"], ["verify"], ["ingest", "."], ["summary"]])
def test_repository_without_our_configuration_is_refused_with_the_remedy(unconfigured, command):
    before = rows(unconfigured)
    said = run(command[0], unconfigured, *command[1:], code=1)
    assert "The repository's configuration lacks the storage classes or formatters of CCDData, " in said
    assert f"Expected this line in its butler.yaml: '{INCLUDE}'; or else" in said
    assert rows(unconfigured) == before


def rows(repo):
    with contextlib.closing(sqlite3.connect(repo / "gen3.sqlite3")) as database:
        tables = ("instrument", "detector", "dataset_type", "collection")
        return [database.execute(f"SELECT * FROM {table}").fetchall() for table in tables]


def test_seeded_repository_lacks_our_storage_classes(tmp_path, run_python):
    seed = Config("resource://spherex_butler/configs/repository/seed.yaml")
    Butler.makeRepo(tmp_path / "seeded", seed, spherex_butler.dimension_config())
    script = """
import sys
from lsst.daf.butler import Butler
from spherex_butler import register
with Butler.from_config(sys.argv[1], writeable=True) as butler:
    try:
        register(butler)
    except RuntimeError as error:
        print(error)
"""
    assert "lacks the storage classes or formatters of CCDData, HDUList, SpectralImage. Expected" in run_python(
        script, tmp_path / "seeded"
    )
    add_include(tmp_path / "seeded")
    assert run_python(script, tmp_path / "seeded") == ""


def test_repository_works_when_it_includes_our_configuration(unconfigured, tmp_path):
    path = write_level2(tmp_path, size=16)
    add_include(unconfigured)
    assert "added: dataset type level2\n" in run("register", unconfigured)
    assert "no problems" in run("verify", unconfigured)
    assert "1 ingested" in run("ingest", unconfigured, path)


def add_include(repo):
    with (repo / "butler.yaml").open("a") as config:
        config.write(f"{INCLUDE}\n")


@pytest.mark.parametrize("what", ["dataset type dark", "dataset type level2", "collection SPHEREx/calib"])
def test_what_is_not_registered_is_found_and_can_be_registered(empty_repo, what):
    with Butler.from_config(empty_repo, writeable=True) as butler:
        if what.startswith("dataset type "):
            butler.registry.removeDatasetType(what.removeprefix("dataset type "))
        else:
            for name in ("SPHEREx/defaults", "SPHEREx/calib"):
                butler.registry.removeCollection(name)
    said = run("verify", empty_repo, code=1)
    assert f"not registered: {what}: is not registered; every SPHEREx repository has it.\n" in said
    assert f"to do: not registered: butler spherex register {empty_repo}\n" in said
    assert "; 1 problem\n" in said
    run("register", empty_repo)
    assert "no problems" in run("verify", empty_repo)


def test_records_that_differ_are_kept_unless_an_update_is_asked_for(butler):
    record = next(record for record in butler.query_dimension_records("detector") if record.id == 3)
    changed = {**record.toDict(), "full_name": "Dora", "focal_plane": "MWIR"}
    butler.registry.syncDimensionData("detector", changed, update=True)
    said = (
        "detector 3: full_name is 'Dora' here, 'D3' in this package; focal_plane is 'MWIR' here, 'SWIR' in this package"
    )
    for dry_run in (True, False):
        assert spherex_butler.register(butler, dry_run=dry_run).kept == (said,)
    assert spherex_butler.register(butler, update=True, dry_run=True).replaced == (said,)
    assert _detector(butler).full_name == "Dora"
    assert str(spherex_butler.register(butler, update=True)) == f"{said}\n0 added, 0 different and kept, 1 replaced"
    assert _detector(butler) == record


def test_update_leaves_what_is_not_ours(butler):
    record = next(iter(butler.query_dimension_records("instrument")))
    others = {**record.toDict(), "class_name": "pipeline.Instrument", "exposure_max": 5}
    butler.registry.syncDimensionData("instrument", others, update=True)
    spherex_butler.register(butler, update=True)
    found = next(iter(butler.query_dimension_records("instrument")))
    assert (found.class_name, found.exposure_max) == ("pipeline.Instrument", record.exposure_max)


def test_dataset_type_that_differs_is_told_and_kept(bare):
    with Butler.from_config(bare, writeable=True) as butler:
        theirs = DatasetType("dark", ["detector"], "StructuredDataDict", universe=butler.dimensions)
        butler.registry.registerDatasetType(theirs)
        done = spherex_butler.register(butler)
        (said,) = done.kept
        assert said.startswith(
            "dataset type dark is StructuredDataDict of instrument, detector and no calibration here,"
        )
        assert said.endswith("CCDData of instrument, detector and a calibration in this package")
        assert butler.get_dataset_type("dark") == theirs


def test_collection_of_another_type_stops_everything(bare):
    with Butler.from_config(bare, writeable=True) as butler:
        butler.collections.register("SPHEREx/calib", CollectionType.RUN)
        with pytest.raises(ConfigurationError, match=r"'SPHEREx/calib' is a RUN collection; expected CALIBRATION"):
            spherex_butler.register(butler)
        assert not butler.query_dimension_records("instrument", explain=False)


def test_other_universes_and_readers_are_refused(tmp_path, empty_repo):
    Butler.makeRepo(tmp_path / "rubin")
    with (
        Butler.from_config(tmp_path / "rubin", writeable=True) as butler,
        pytest.raises(ConfigurationError, match="expected the SPHEREx universe or an extension of it"),
    ):
        spherex_butler.register(butler)
    with Butler.from_config(empty_repo) as butler:
        with pytest.raises(ConfigurationError, match="read-only"):
            spherex_butler.register(butler)
        assert spherex_butler.register(butler, dry_run=True).added == ()


def _detector(butler):
    return next(record for record in butler.query_dimension_records("detector") if record.id == 3)
