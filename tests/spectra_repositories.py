"""Repositories with images of one field in both releases and a catalogue of its sources, and pipelines run on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor
from made_once import copy_repo, open_repo

from spherex_butler.constants import FULL_FRAME
from spherex_butler.ingest import ingest_files
from spherex_butler.spectra import put_catalog
from spherex_butler.testing import source_catalog, source_flux, write_level2
from spherex_butler.testing.frames import make_frame
from spherex_butler.testing.level2 import plan_exposures
from spherex_butler.testing.planes import pixel_positions

PIPELINE = "resource://spherex_butler/pipelines/spectra.yaml"
FIELD = SkyCoord(10.0, 41.0, unit="deg")
SIDE = 56
CATALOG = "u/me/catalog"
INPUTS = ("SPHEREx/defaults", CATALOG)
QR3 = {"release": "qr3", "obs_id": "2026W33_1A_0684_2"}


def write_field(
    folder: Path, *, exposures: int = 3, detector: int = 2, field: SkyCoord = FIELD, **options: Any
) -> None:
    """Write what a scan shows of a field: each exposure has it a spectral channel further along the detector's y."""
    for one in plan_exposures(folder, exposures=exposures, detectors=[detector], center=field, **options):
        x, y = pixel_positions(make_frame(**one.options).wcs(), field.ra.deg, field.dec.deg)
        origin = tuple(int(np.clip(round(float(place)) - SIDE // 2, 0, FULL_FRAME - SIDE)) for place in (x, y))
        write_level2(one.path, **one.options | {"size": SIDE, "origin": origin})


def catalog_of(field: SkyCoord = FIELD) -> QTable:
    return source_catalog(field, 0.08 * u.deg)


def make_repository(repo: Path, files: Path | Iterable[Path], catalog: Table) -> Path:
    """Return a folder with a new repository of some files and a catalogue."""
    with open_repo(copy_repo(repo)) as butler:
        ingest_files(butler, files)
        put_catalog(butler, catalog, run=CATALOG)
    return repo


def pipeline(subset: str = "", **config: Any) -> Pipeline:
    """Return the pipeline, or a part of it, with values of ``task.field`` that differ from the defaults."""
    found = Pipeline.from_uri(PIPELINE + (f"#{subset}" if subset else ""))
    for name, value in {"applyGains__requireCorrections": False, **config}.items():
        label, _, key = name.partition("__")
        if label in found.task_labels:
            found.addConfigOverride(label, key, value)
    return found


@contextlib.contextmanager
def executor(
    repo: Path, of: Pipeline, *, output: str, inputs: Sequence[str] = INPUTS, where: str = "instrument = 'SPHEREx'"
) -> Iterator[SimplePipelineExecutor]:
    """Yield what runs a pipeline in this process."""
    with Butler.from_config(repo) as butler:
        if output in butler.collections.query("*"):  # as pipetask goes on with a chain that is there
            inputs = butler.collections.get_info(output).children
    with SimplePipelineExecutor.prep_butler(str(repo), inputs=inputs, output=output) as butler:
        yield SimplePipelineExecutor.from_pipeline(of, where=where, butler=butler)


def run_pipeline(repo: Path, of: Pipeline, *, output: str = "u/me/spectra", **options: Any) -> list[Any]:
    """Run a pipeline and return its quanta."""
    with executor(repo, of, output=output, **options) as found:
        return found.run(register_dataset_types=True)


def read_spectra(butler: Butler, collections: str = "u/me/spectra") -> Table:
    (ref,) = butler.query_datasets("spectra", collections=collections)
    return butler.get(ref)


def truth(spectra: Table, catalog: QTable) -> u.Quantity:
    """Return the flux that each row's source was simulated with."""
    rows = {str(name): row for row, name in enumerate(catalog["source_id"].tolist())}
    index = [rows[str(name)] for name in spectra["source"]]
    return source_flux(catalog[index], u.Quantity(spectra["wavelength"], u.um)).to(u.Jy)
