"""Spectra by a pipeline of Rubin's: simulate, ingest, certify, run, and compare with what was simulated.

Run with ``make demo-pipeline``; everything it writes goes to ``demo-pipeline-output/``. With ``make demo-bps`` the
pipeline is submitted to a batch system, here Parsl on this machine, and everything goes to ``demo-bps-output/``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable, Table, vstack
from demonstration import fresh_folder, say, step
from lsst.daf.butler import Butler
from matplotlib.figure import Figure

import spherex_butler
from spherex_butler import SpectralImage
from spherex_butler.calibrations import ingest_calibrations
from spherex_butler.constants import FULL_FRAME
from spherex_butler.ingest import ingest_files
from spherex_butler.names import parse_product_name
from spherex_butler.plot import plot_spectrum
from spherex_butler.spectra import put_catalog
from spherex_butler.testing import (
    PlannedFile,
    calibration_tokens,
    plan_exposures,
    source_catalog,
    source_flux,
    write_calibration,
    write_level2,
)
from spherex_butler.testing.frames import make_frame
from spherex_butler.testing.planes import pixel_positions
from spherex_butler.testing.pointing import Pointing

FIELD = SkyCoord(10.0, 41.0, unit="deg")
RELEASES = {"qr2": {}, "qr3": {"release": "qr3", "obs_id": "2026W33_1A_0684_2"}}
CALIBRATIONS = {"l3_flux_corrections": "qr3", "nonfunc": "qr2"}
PIPELINE = "resource://spherex_butler/pipelines/spectra.yaml"
INPUTS, CATALOG, OUTPUT = "SPHEREx/defaults", "u/demo/catalog", "u/demo/spectra"
SUBMISSION = f"""\
includeConfigs: resource://spherex_butler/configs/bps/parsl.yaml
pipelineYaml: {PIPELINE}
operator: demo
payload:
  payloadName: spectra
  butlerConfig: {{root}}
  inCollection: {INPUTS},{CATALOG}
  dataQuery: instrument = 'SPHEREx'
clusterAlgorithm: lsst.ctrl.bps.quantum_clustering_funcs.dimension_clustering
cluster:
  image:
    pipetasks: maskPersistence, applyGains, subtractZodi, forcedPhotometry
    dimensions: exposure, detector
site:
  local:
    cores: {{processes}}
"""
"""What is submitted: all that is done to an image in one job. The output is ``u/<operator>/<payloadName>``."""

SCAN = 11  # exposures, each a channel further; at the ends of the detectors the PSF changes much within a zone
ISOLATED = 30 * u.arcsec  # from any other source
MARGIN = 16  # pixels to the edge of the image, within which the background is seen on all sides
MARKED = ("SOURCE", "FULLSAMPLE", "PHANMISS")  # flags that say nothing bad of a pixel


Origins = dict[tuple[int, int], tuple[int, int]]
"""The first pixel of each image, by exposure and detector."""


def simulate(folder: Path, options: argparse.Namespace) -> Origins:
    step(1, "Simulate one field, seen by every exposure at another wavelength, in the form of two releases")
    origins: Origins = {}
    for name, release in CALIBRATIONS.items():
        for detector in options.detectors:
            token = calibration_tokens(release, detector)[name]
            write_calibration(
                folder / "calibrations", name, token, detector=detector, release=release, shape=(FULL_FRAME, FULL_FRAME)
            )
    for release, choices in RELEASES.items():
        planned = plan(folder / release, options, **choices)
        for one in planned:
            x, y = pixel_positions(make_frame(**one.options).wcs(), FIELD.ra.deg, FIELD.dec.deg)
            first = [round(float(place)) - options.size // 2 for place in (x, y)]
            origin = tuple(np.clip(first, 0, FULL_FRAME - options.size).tolist())
            name = parse_product_name(one.path.name)
            origins[name.observation.exposure_id, name.detector] = origin
            write_level2(one.path, **one.options | {"size": options.size, "origin": origin, "full_psf": True})
            if release == "qr2":
                put_off_gains(one.path, folder / "calibrations")
        say(f"{release}: {len(planned)} images of {options.size} x {options.size} pixels")
    say("QR2's images are on gains of their own, some 3 % off, and l3_flux_corrections say by how much.")
    return origins


def plan(folder: Path, options: argparse.Namespace, **choices: str) -> list[PlannedFile]:
    """Return files of a scan over the field, of which some exposures are taken, evenly."""
    start = Pointing.of_boresight(FIELD).scanned(-(SCAN // 2))
    attitude = {"center": start.boresight, "position_angle": start.position_angle}
    scan = plan_exposures(folder, exposures=SCAN, detectors=options.detectors, **attitude, **choices)
    taken = set(np.linspace(0, SCAN - 1, options.exposures).round().astype(int).tolist())
    return [one for number, one in enumerate(scan) if number // len(options.detectors) in taken]


def put_off_gains(path: Path, calibrations: Path) -> None:
    """Divide an image by the factors that would put it onto the gains of QR3."""
    image = SpectralImage.read(path)
    (corrections,) = calibrations.rglob(f"l3_flux_corrections_D{image.detector}_*.fits")
    factors = fits.getdata(corrections, "IMAGE")[image.box.slices]
    image.data = image.data / factors
    image.uncertainty.array[:] = image.variance / factors**2
    image.zodi[:] = image.zodi / factors
    image.write(path, overwrite=True, recipe="none")


def create(root: Path, folder: Path, catalog: QTable) -> None:
    step(2, "Make a repository, ingest the files, certify the calibrations, put a catalogue")
    with spherex_butler.make_repo(root) as butler:
        report = ingest_files(butler, [folder / release for release in RELEASES])
        say(f"images:       {report.summary}")
        say(f"calibrations: {ingest_calibrations(butler, folder / 'calibrations').summary}")
        tiles = put_catalog(butler, catalog, run=CATALOG)
        say(f"catalogue:    {len(catalog)} sources in {len(tiles)} HEALPix tiles")


def run(root: Path, processes: int, *, bps: bool = False) -> None:
    step(3, "Run the pipeline")
    start = time.perf_counter()
    if bps:
        submit(root, processes)
    else:
        words = ["run", "-b", str(root), "-p", PIPELINE, "-i", f"{INPUTS},{CATALOG}", "-o", OUTPUT]
        words += ["-d", "instrument = 'SPHEREx'", "--register-dataset-types", "-j", str(processes)]
        call("pipetask", words, root.parent)
    with Butler.from_config(root, collections=OUTPUT) as butler:
        kinds = butler.registry.queryDatasetTypes("*_metadata")  # of each quantum one
        quanta = sum(len(butler.query_datasets(kind, limit=None)) for kind in kinds)
    elapsed = time.perf_counter() - start
    say(f"{quanta} quanta in {elapsed:.0f} s, {elapsed * processes / quanta:.1f} s a quantum and process")


def submit(root: Path, processes: int) -> None:
    """Have a batch system run the pipeline, and wait until it has."""
    submission = root.parent / "bps.yaml"
    submission.write_text(SUBMISSION.format(root=root, processes=processes), encoding="utf-8")
    say(submission.read_text(encoding="utf-8").replace(f"{root.parent}/", ""))
    call("bps", ["submit", submission.name], root.parent)


def call(program: str, words: list[str], folder: Path) -> None:
    """Call a program of Rubin's in a folder, whose log goes to a file there."""
    shown = " ".join(f'"{word}"' if " " in word else word for word in words)
    say(f"{program} {shown}".replace(f"{folder}/", ""))
    programs = Path(sys.executable).parent  # which may not be on the PATH; jobs look for theirs there
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PWD": str(folder)}
    command = [str(programs / program), "--log-level", "WARNING", *words]
    log = folder / f"{program}.log"
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(  # noqa: S603 - the words are those printed
            command, cwd=folder, env=environment, check=False, stdout=file, stderr=subprocess.STDOUT
        )
    if done.returncode:
        sys.exit(f"{program} ended with the exit status {done.returncode}; why is in {log}.")


def recovered(root: Path) -> Table:
    """Return the rows of all tiles."""
    with Butler.from_config(root, collections=OUTPUT) as butler:
        return vstack([butler.get(ref) for ref in butler.query_datasets("spectra")], metadata_conflicts="silent")


def compare(spectra: Table, catalog: QTable, origins: Origins, size: int) -> float:
    step(4, "Compare the spectra with those that were simulated")
    truth, row = true_flux(spectra, catalog)
    places = SkyCoord(catalog["ra"], catalog["dec"])
    separations = places[:, np.newaxis].separation(places).to(u.arcsec)
    apart = np.sort(separations, axis=1)[:, 1]  # from the nearest other source
    bits = dict(word.split("=") for word in spectra.meta["flags"].split())
    bad = sum(1 << int(bit) for name, bit in bits.items() if name not in MARKED)
    good = (apart[row] > ISOLATED) & (spectra["masked_fraction"] == 0) & (np.asarray(spectra["flags"]) & bad == 0)
    good &= is_inside(spectra, origins, size)
    pull = (u.Quantity(spectra["flux"], u.Jy) - truth) / u.Quantity(spectra["flux_error"], u.Jy)
    sources = len(set(spectra["source"]))
    say(f"{len(spectra)} fluxes of {sources} sources, {good.sum()} of isolated ones, unflagged and not at an edge:")
    year, detectors = np.asarray(spectra["exposure"]) // 10**10, np.asarray(spectra["detector"])
    for release, taken in (("QR2", 2025), ("QR3", 2026)):
        for detector in sorted(set(detectors.tolist())):
            rows = good & (year == taken) & (detectors == detector)
            if rows.any():
                ratio = np.median(np.asarray(spectra["flux"])[rows] / truth.value[rows])
                chi2 = np.mean(pull.value[rows] ** 2)
                said = f"{rows.sum()} fluxes, ratio {ratio:.4f} (median), reduced chi2 {chi2:.2f}"
                say(f"  {release} D{detector}: {said}")
    chi2 = float(np.mean(pull.value[good] ** 2))
    say(f"reduced chi2 of all: {chi2:.2f} (expected 1; 0.8 to 1.2 is as good as the simulated PSF)")
    return chi2


def true_flux(spectra: Table, catalog: QTable) -> tuple[u.Quantity, np.ndarray]:
    """Return what each row's source was simulated with, and its row in the catalogue."""
    known = {str(name): number for number, name in enumerate(catalog["source_id"].tolist())}
    row = np.array([known[str(name)] for name in spectra["source"]])
    return source_flux(catalog[row], u.Quantity(spectra["wavelength"], u.um)).to(u.Jy), row


def is_inside(spectra: Table, origins: Origins, size: int) -> np.ndarray:
    """Return which sources are not at the edge of their image."""
    images = zip(spectra["exposure"].tolist(), spectra["detector"].tolist(), strict=True)
    first = np.array([origins[image] for image in images])
    inside = np.stack([spectra["x"], spectra["y"]], axis=1) - first
    return ((inside > MARGIN) & (inside < size - 1 - MARGIN)).all(axis=1)


def draw(spectra: Table, catalog: QTable, path: Path, most: int = 6) -> None:
    step(5, "Look at them")
    truth, row = true_flux(spectra, catalog)
    names, first, counts = np.unique(np.asarray(spectra["source"]), return_index=True, return_counts=True)
    whole = np.flatnonzero(counts >= 0.9 * counts.max())
    by_flux = whole[np.argsort(-truth.value[first[whole]])]
    figure = Figure(figsize=(15, 8), layout="constrained")
    wavelength = np.geomspace(0.75, 5, 200) * u.um
    for number, index in enumerate(by_flux[np.linspace(0, len(by_flux) - 1, most).astype(int)], 1):
        ax = plot_spectrum(spectra, source=names[index], ax=figure.add_subplot(2, 3, number))
        simulated = catalog[np.full(len(wavelength), row[first[index]])]
        ax.plot(wavelength.value, source_flux(simulated, wavelength).to_value(u.mJy), color="0.6", zorder=0)
        ax.set_title(f"source {names[index]}")
    figure.suptitle("Spectra by the pipeline (points) and as they were simulated (lines)")
    figure.savefig(path, dpi=100)
    say(f"picture: {path.name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("demo-pipeline-output"), help="folder to (re)make")
    parser.add_argument("--exposures", type=int, default=6, help="of each release, up to 11")
    parser.add_argument("--detectors", type=int, nargs="+", default=[2, 5], help="2, 5 or both, which see one field")
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--processes", "-j", type=int, default=2)
    parser.add_argument("--bps", action="store_true", help="submit the pipeline to Parsl on this machine")
    options = parser.parse_args()

    output = fresh_folder(options.output, parser)
    catalog = source_catalog(FIELD, 6.15 * u.arcsec * options.size)
    origins = simulate(output / "archive", options)
    create(output / "repository", output / "archive", catalog)
    run(output / "repository", options.processes, bps=options.bps)
    spectra = recovered(output / "repository")
    compare(spectra, catalog, origins, options.size)
    draw(spectra, catalog, output / "spectra.png")
    say(f"\nAll of it is in {output}.")


if __name__ == "__main__":
    main()
