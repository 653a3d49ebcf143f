"""SPHEREx registered in repositories that Butler alone made, and in others."""

from __future__ import annotations

import pytest
from command_line import run
from lsst.daf.butler import Butler, CollectionType, DatasetType

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
