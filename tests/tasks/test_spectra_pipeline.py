"""The pipeline from Level 2 images to spectra: as a whole, by steps, and again when there is one image more."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.table import vstack
from lsst.ctrl.mpexec.cli.pipetask import cli
from lsst.daf.butler import Butler, DatasetType
from lsst.daf.butler.cli.utils import LogCliRunner
from lsst.pipe.base import Pipeline
from lsst.pipe.base.pipeline_graph import InvalidStepsError
from made_once import copy_repo, open_repo
from spectra_repositories import (
    CATALOG,
    FIELD,
    PIPELINE,
    QR3,
    catalog_of,
    executor,
    make_repository,
    pipeline,
    read_spectra,
    run_pipeline,
    truth,
    write_field,
)

from spherex_butler.calibrations import certify
from spherex_butler.ingest import ingest_files
from spherex_butler.instrument import Spherex
from spherex_butler.names import parse_product_name
from spherex_butler.repository.runs import ensure_run
from spherex_butler.spectra import extract_spectra, tiles_of

LABELS = ["maskPersistence", "applyGains", "subtractZodi", "forcedPhotometry", "gatherSpectra"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return files of one field: three exposures in each release's form."""
    folder = tmp_path_factory.mktemp("files")
    write_field(folder)
    write_field(folder, **QR3)
    return folder


@pytest.fixture(scope="module")
def done(files, tmp_path_factory):
    """Return a repository in which the pipeline was run; not to be changed."""
    repo = make_repository(tmp_path_factory.mktemp("done") / "repo", files, catalog_of())
    run_pipeline(repo, pipeline())
    return repo


# The pipeline as it is written.


@pytest.mark.parametrize("show", ["pipeline", "pipeline-graph", "task-graph", "subsets", "config"])
def test_pipeline_is_shown(show):
    shown = LogCliRunner().invoke(cli, ["build", "-p", PIPELINE, "--show", show])
    assert shown.exit_code == 0, shown.output
    assert [label for label in LABELS if label not in shown.output] == []


def test_steps_are_subsets_of_all_tasks():
    of = pipeline()
    assert of.task_labels == set(LABELS)
    assert set.union(*(set(labels) for labels in of.subsets.values())) == set(LABELS)
    assert [step.label for step in of._pipelineIR.steps] == sorted(of.subsets)
    assert of.getInstrument() == f"{Spherex.__module__}.{Spherex.__name__}"
    assert pipeline("step2-fluxes").task_labels == {"forcedPhotometry"}


@pytest.mark.parametrize(("mode", "fits"), [("DROP", False), ("EDIT", True)])
def test_some_tasks_of_a_step_are_included_only_if_steps_may_change(butler, tmp_path, mode, fits):
    """As our page says; this is Rubin's middleware, in which a step without one of its tasks is dropped by default."""
    path = tmp_path / "short.yaml"
    path.write_text(
        f"""\
description: Without what calibrates.
imports:
  - location: {PIPELINE}
    include: [subtractZodi, forcedPhotometry, gatherSpectra]
    labeledSubsetModifyMode: {mode}
"""
    )
    with nullcontext() if fits else pytest.raises(InvalidStepsError, match="subtractZodi"):
        assert len(Pipeline.from_uri(str(path)).to_graph(butler.registry).tasks) == 3


# Spectra.


def test_spectra_are_what_the_images_were_made_with(done):
    with Butler.from_config(done) as butler:
        spectra = read_spectra(butler)
    assert len(set(spectra["source"])) > 3
    assert len(set(spectra["exposure"])) == 6
    true = truth(spectra, catalog_of()).value
    good = (spectra["masked_fraction"] == 0) & (true > 5e-4)
    assert np.count_nonzero(good) > 6
    assert spectra["flux"][good] == pytest.approx(true[good], rel=0.1)


def test_fluxes_are_those_that_extract_spectra_gives(done):
    with open_repo(done) as butler:
        (tile,) = butler.query_datasets("source_catalog", collections=CATALOG)
        sources = butler.get(tile)
        spectra = read_spectra(butler)
        extracted = vstack(
            [
                extract_spectra(butler, sources, collections=f"SPHEREx/{release}", deblend=True)
                for release in ("qr2", "qr3")
            ],
            metadata_conflicts="silent",
        )
    direct = {(str(row["source"]), int(row["exposure"])): row["flux"].value for row in extracted}
    ours = {(str(row["source"]), int(row["exposure"])): float(row["flux"]) for row in spectra}
    both = sorted(ours.keys() & direct.keys())
    assert len(both) == len(ours)
    # The zodiacal light is subtracted before, and what is left of a plane is fitted.
    assert [ours[key] for key in both] == pytest.approx([direct[key] for key in both], rel=2e-3, abs=2e-6)


def test_products_have_what_they_promise(done):
    with Butler.from_config(done, collections="u/me/spectra", instrument="SPHEREx") as butler:
        (ref,) = butler.query_datasets("spectra_by_source")
        source = str(read_spectra(butler)["source"][0])
        alone = butler.get(ref, parameters={"keys": source})
        assert len(alone[source]) == 6
        (picture,) = butler.query_datasets("spectra_plot")
        assert butler.getURI(picture).read(8) == b"\x89PNG\r\n\x1a\n"
        for name in ("persistence_masked", "gain_corrected", "zodi_subtracted", "forced_photometry"):
            assert len(butler.query_datasets(name)) == 6


def inputs_of(quanta):
    """Return the exposures of the images that each quantum of maskPersistence reads, by its own."""
    return {
        quantum.dataId["exposure"]: sorted(ref.dataId["exposure"] for ref in quantum.inputs["level2"])
        for quantum in quanta
    }


def persistence_quanta(repo, where="instrument = 'SPHEREx'", **config):
    with executor(repo, pipeline("step1-images", **config), output="u/me/other", where=where) as found:
        return inputs_of(found.predicted.build_execution_quanta(task_label="maskPersistence").values())


SLEW = (20255110106842, 20255110106843, 20255110106851)
"""Two exposures of a large slew, and the first of the next."""


def test_exposure_before_is_an_input(done):
    found = persistence_quanta(done)
    first, second, third = SLEW
    assert [found[exposure] for exposure in SLEW] == [[first], [first, second], [third]]
    assert len(found) == 6
    assert persistence_quanta(done, maskPersistence__gap=300.0)[third] == [second, third]


def test_exposure_before_need_not_be_selected(done):
    assert persistence_quanta(done, f"exposure = {SLEW[1]}") == {SLEW[1]: list(SLEW[:2])}


def test_corrections_that_are_valid_are_applied(files, tmp_path):
    repo = make_repository(tmp_path / "repo", files, catalog_of())
    with open_repo(repo) as butler:
        name = parse_product_name("l3_flux_corrections_D2_spx_cal-flxc-v1-2026-191.fits")
        run = ensure_run(butler, name, "qr3")
        factors = CCDData(np.full((2040, 2040), 0.9, np.float32), unit="")
        butler.put(factors, "l3_flux_corrections", detector=2, instrument="SPHEREx", run=run)
        certify(butler, "l3_flux_corrections", rule="latest")
    run_pipeline(repo, pipeline("step1-images", applyGains__requireCorrections=True), where="exposure > 20260000000000")
    run_pipeline(repo, pipeline("step1-images", applyGains__requireCorrections=True), where="exposure < 20260000000000")
    with Butler.from_config(repo, collections="u/me/spectra") as butler:
        for ref in butler.query_datasets("gain_corrected"):
            before, after = butler.get("persistence_masked", ref.dataId), butler.get(ref)
            factor = 0.9 if ref.dataId["exposure"] < 20260000000000 else 1.0
            assert after.data == pytest.approx(factor * before.data, rel=1e-6, nan_ok=True)


def test_detectors_without_an_image_are_nobodys_mistake(files, tmp_path):
    repo = make_repository(tmp_path / "repo", files, catalog_of())
    write_field(tmp_path / "more", exposures=1, detector=5)
    with open_repo(repo) as butler:
        ingest_files(butler, tmp_path / "more")
    with executor(repo, pipeline("step1-images"), output="u/me/spectra") as found:
        assert len(found.predicted) == 7 * 3


def test_whole_catalogue_does_as_well(files, tmp_path, done):
    with open_repo(copy_repo(tmp_path / "repo")) as butler:
        ingest_files(butler, files)
        whole = DatasetType("source_catalog", butler.dimensions.empty, "VOTable")
        butler.registry.registerDatasetType(whole)
        butler.collections.register(CATALOG)
        butler.put(catalog_of(), whole, run=CATALOG)
    run_pipeline(tmp_path / "repo", pipeline(forcedPhotometry__catalogDimensions=[]))
    with Butler.from_config(tmp_path / "repo") as butler, Butler.from_config(done) as tiled:
        assert read_spectra(butler)["flux"].tolist() == read_spectra(tiled)["flux"].tolist()


# A run that was interrupted.


def pipetask(repo: Path, *options: str, code: int = 0) -> str:
    """Run the pipeline as a user does; return what is printed.

    It gives its process a cache of files by dataset, which other repositories' images, of the same ids, must not find.
    """
    inputs, config = f"SPHEREx/defaults,{CATALOG}", "applyGains:requireCorrections=False"
    selection = ["-i", inputs, "-o", "u/me/spectra", "-d", "detector = 2", "-c", config]
    command = ["run", "-b", str(repo), "-p", PIPELINE, *selection, "--register-dataset-types", *options]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAF_BUTLER_CACHE_DIRECTORY_IF_UNSET", str(repo.parent / "cache"))
        done = LogCliRunner().invoke(cli, command)
    assert done.exit_code == code, (done.output, done.exception)
    return f"{done.output}{done.exception or ''}"


@pytest.fixture(scope="module")
def interrupted_once(files, tmp_path_factory) -> Path:
    """Return a repository in which the last task has left one of its products; not to be changed."""
    repo = make_repository(tmp_path_factory.mktemp("interrupted") / "repo", files, catalog_of())
    pipetask(repo)
    with Butler.from_config(repo, writeable=True) as butler:
        (run,) = newest_runs(butler)
        lost = ("spectra", "spectra_by_source", "gatherSpectra_metadata", "gatherSpectra_log")
        refs = [ref for name in lost for ref in butler.query_datasets(name, collections=run)]
        assert len(refs) == len(lost)
        butler.pruneDatasets(refs, purge=True, unstore=True, disassociate=True)
    return repo


@pytest.fixture
def interrupted(interrupted_once, tmp_path) -> Path:
    return Path(shutil.copytree(interrupted_once, tmp_path / "repo"))


def newest_runs(butler: Butler) -> tuple[str, ...]:
    return butler.collections.get_info("u/me/spectra").children[:1]


def products(repo: Path) -> dict[str, set[object]]:
    """Return the newest run, and the datasets of each type in it."""
    with Butler.from_config(repo) as butler:
        (run,) = newest_runs(butler)
        types = ("zodi_subtracted", "forced_photometry", "spectra", "spectra_plot")
        return {"run": {run}} | {
            name: {ref.id for ref in butler.query_datasets(name, collections=run, explain=False)} for name in types
        }


def test_interrupted_run_is_extended(interrupted):
    before = products(interrupted)
    said = pipetask(interrupted, "--extend-run", "--skip-existing", code=1)
    assert "spectra_plot" in said  # which is in the way
    pipetask(interrupted, "--extend-run", "--skip-existing", "--clobber-outputs")
    after = products(interrupted)
    assert [name for name in before if after[name] != before[name]] == ["spectra"]  # what is replaced keeps its id
    assert len(after["spectra"]) == 1


def test_new_run_makes_what_an_interrupted_one_lacks(interrupted):
    before = products(interrupted)
    pipetask(interrupted, "--skip-existing-in", "u/me/spectra")
    after = products(interrupted)
    assert after["run"] != before["run"]
    assert [len(after[name]) for name in ("zodi_subtracted", "forced_photometry", "spectra")] == [0, 0, 1]


# One more exposure.

AWAY = SkyCoord(40.0, 5.0, unit="deg")


def test_one_more_exposure_reruns_only_the_tiles_it_touches(files, tmp_path):
    write_field(tmp_path / "away", exposures=2, field=AWAY, obs_id="2025W51_1A_0700_1")
    catalog = vstack([catalog_of(), catalog_of(AWAY)], metadata_conflicts="silent")
    repo = make_repository(tmp_path / "repo", [files, tmp_path / "away"], catalog)
    run_pipeline(repo, pipeline())
    write_field(tmp_path / "more", exposures=3, field=AWAY, obs_id="2025W51_1A_0700_1")
    new = max((tmp_path / "more").iterdir())
    with open_repo(repo) as butler:
        (ref,) = ingest_files(butler, [new]).ingested
        before = {str(ref.dataId): ref.id for ref in butler.query_datasets("spectra", collections="u/me/spectra")}
    assert len(before) == 2
    exposure = ref.dataId["exposure"]
    run_pipeline(repo, pipeline("step1-images,step2-fluxes"), where=f"exposure = {exposure}")
    with Butler.from_config(repo) as butler:
        where = f"instrument = 'SPHEREx' AND exposure = {exposure} AND detector = 2"
        tiles = sorted(data_id["healpix4"] for data_id in butler.query_data_ids(["healpix4"], where=where))
    assert tiles_of(AWAY, 4)[0] in tiles
    assert tiles_of(FIELD, 4)[0] not in tiles
    where = f"healpix4 IN ({', '.join(map(str, tiles))})"
    quanta = run_pipeline(repo, pipeline("step3-spectra"), where=where)
    # Tiles at its rim have none of the sources, and no spectra before or after.
    assert [quantum.dataId["healpix4"] for quantum in quanta] == tiles
    with Butler.from_config(repo) as butler:
        after = {str(ref.dataId): ref for ref in butler.query_datasets("spectra", collections="u/me/spectra")}
        changed = [name for name, ref in after.items() if ref.id != before[name]]
        assert len(after) == 2
        assert len(changed) == 1
        exposures = set(butler.get(after[changed[0]])["exposure"])
    assert exposure in exposures
    assert len(exposures) == 3
