"""The whole of spherex-butler in one sitting: simulate, ingest, query, read, derive, look.

Run with ``make demo``; everything it writes goes to ``demo-output/``.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.table import QTable
from demonstration import fresh_folder, say, step
from lsst.daf.butler import Butler, DatasetRef, DatasetType
from lsst.sphgeom import LonLat
from matplotlib.figure import Figure

import spherex_butler
from spherex_butler.ingest import ingest_files
from spherex_butler.plot import plot_image
from spherex_butler.testing import source_catalog, write_exposures

LATEST = "SPHEREx/defaults"
DERIVED = "u/demo/derived"


def show_path(path: str | Path, root: Path) -> str:
    path = Path(path)
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def simulate(folder: Path, *, exposures: int, size: int, seed: int) -> list[Path]:
    step(1, f"Simulate {exposures} exposures by six detectors, in the archive's format")
    start = time.perf_counter()
    paths = write_exposures(folder, exposures=exposures, size=size, seed=seed)
    volume = sum(path.stat().st_size for path in paths) / 1e6
    say(f"{len(paths)} files of {size} x {size} pixels, {volume:.0f} MB, in {time.perf_counter() - start:.0f} s:")
    for path in paths[:3]:
        say(f"  {show_path(path, folder.parent)}")
    say(f"  … and {len(paths) - 3} more")
    return paths


def create_and_ingest(root: Path, files: Path) -> Butler:
    step(2, "Make a repository and ingest the files")
    butler = spherex_butler.make_repo(root)
    detectors, channels = (
        len(butler.query_dimension_records(element, limit=None)) for element in ("detector", "channel")
    )
    types = len(list(butler.registry.queryDatasetTypes()))
    say(f"repository:  {root.name}/ with {detectors} detectors, {channels} spectral channels, {types} dataset types")
    report = ingest_files(butler, files, transfer="auto")
    say(f"ingest:      {report.summary}")
    if report.failed:
        sys.exit("\n".join(map(str, report.failed)))
    first = report.ingested[0]
    say(f"a file is at {show_path(butler.getURI(first).ospath, root.parent)}")
    say(f"its run is   {first.run}, in the chains SPHEREx/qr2 and {LATEST}")
    return butler


def query(butler: Butler) -> tuple[DatasetRef, SkyCoord]:
    step(3, "Query by exposure and by position on the sky")
    exposures = sorted(butler.query_dimension_records("exposure"), key=lambda record: record.id)
    for exposure in exposures:
        refs = butler.query_datasets("level2", collections=LATEST, exposure=exposure.id)
        say(
            f"exposure {exposure.id} ({exposure.obs_id}, {exposure.timespan.begin.utc.isot[:19]} UTC): "
            f"detectors {sorted(ref.dataId['detector'] for ref in refs)}"
        )
    region = butler.query_dimension_records("exposure_detector_region", exposure=exposures[0].id, detector=2)[0].region
    middle = LonLat(region.getCentroid())
    center = SkyCoord(middle.getLon().asDegrees(), middle.getLat().asDegrees(), unit="deg")
    where = f"exposure_detector_region.region OVERLAPS POINT({center.ra.deg}, {center.dec.deg})"
    found = butler.query_datasets("level2", collections=LATEST, where=where)
    say(f"at RA {center.ra.deg:.4f}, Dec {center.dec.deg:.4f} (a point that detector 2 saw):")
    for ref in sorted(found):
        say(f"  {ref.dataId['exposure']} detector {ref.dataId['detector']}")
    return next(ref for ref in sorted(found) if ref.dataId["detector"] == 2), center


def read(butler: Butler, ref: DatasetRef, center: SkyCoord) -> spherex_butler.SpectralImage:
    step(4, "Get an image, a cutout, wavelengths and flags")
    start = time.perf_counter()
    image = butler.get(ref)
    elapsed = 1000 * (time.perf_counter() - start)
    wavelength = image.wavelength
    say(f"image:       {image.shape[1]} x {image.shape[0]} pixels in {image.unit}, read in {elapsed:.0f} ms")
    say(f"wavelengths: {wavelength.min():.3f} to {wavelength.max():.3f}")
    say(f"masked:      {image.mask.mean():.2%} of the pixels; flags set: {', '.join(flags_set(image))}")
    start = time.perf_counter()
    size = min(64, *image.shape)
    cutout = butler.get(ref, parameters={"center": center, "size": size})
    elapsed = 1000 * (time.perf_counter() - start)
    x, y = (cutout.shape[1] - 1) / 2, (cutout.shape[0] - 1) / 2
    say(f"cutout:      {cutout.shape[1]} x {cutout.shape[0]} pixels from {cutout.origin}, read in {elapsed:.0f} ms")
    say(f"its middle:  {cutout.wavelength_at(x, y):.4f}, bandwidth {cutout.bandwidth_at(x, y):.4f}")
    header = butler.get(ref.makeComponentRef("header"))
    say(f"header only: {len(header)} cards; OBSID {header['OBSID']}, pipeline {image.version}")
    return image


def flags_set(image: spherex_butler.SpectralImage) -> list[str]:
    present = int(np.bitwise_or.reduce(image.flags, axis=None))
    return [name for name, bit in image.flag_definitions.items() if present >> bit & 1]


def derive(butler: Butler, ref: DatasetRef, image: spherex_butler.SpectralImage, seed: int, root: Path) -> None:
    step(5, "Put products of our own: an image, a table, arrays")
    without_zodi = image.subtract_zodi()
    starlight = CCDData(
        without_zodi.data, unit=image.unit, uncertainty=image.uncertainty, mask=image.mask, wcs=image.wcs
    )
    photometry = sources_in(image, seed)
    wavelength = image.wavelength.to_value(u.um)
    edges = np.linspace(wavelength.min(), wavelength.max(), 18)
    channel = np.clip(np.digitize(wavelength, edges) - 1, 0, 16)
    good = ~image.mask
    spectrum = {
        "wavelength": 0.5 * (edges[1:] + edges[:-1]) * u.um,
        "brightness": np.array([np.median(image.data[(channel == n) & good]) for n in range(17)]) * image.unit,
        "@attrs": {"obs_id": image.obs_id, "detector": image.detector},
    }
    products = {
        "starlight": ("CCDData", starlight),
        "photometry": ("VOQTable", photometry),
        "sky_spectrum": ("HDF5", spectrum),
    }
    butler.collections.register(DERIVED)
    for name, (storage_class, dataset) in products.items():
        dataset_type = DatasetType(name, ref.dimensions, storage_class)
        butler.registry.registerDatasetType(dataset_type)
        put = butler.put(dataset, name, ref.dataId, run=DERIVED)
        path = Path(butler.getURI(put).ospath)
        say(f"{name:13}{storage_class:9}{path.stat().st_size / 1e3:9.0f} kB  {show_path(path, root.parent)}")
    again = butler.get("photometry", ref.dataId, collections=DERIVED)
    say(f"read back:   {len(again)} sources, columns {', '.join(again.colnames)}")


def sources_in(image: spherex_butler.SpectralImage, seed: int) -> QTable:
    rows, columns = image.shape
    middle = image.wcs.pixel_to_world((columns - 1) / 2, (rows - 1) / 2)
    catalog = source_catalog(middle, middle.separation(image.footprint[0]), seed=seed)
    x, y = image.wcs.world_to_pixel(SkyCoord(catalog["ra"], catalog["dec"]))
    inside = (x >= 0) & (x < columns - 1) & (y >= 0) & (y < rows - 1)
    x, y = x[inside], y[inside]
    peak = image.data[np.round(y).astype(int), np.round(x).astype(int)] * image.unit
    return QTable({"x": x * u.pix, "y": y * u.pix, "wavelength": image.wavelength_at(x, y), "peak": peak})


def quick_look(image: spherex_butler.SpectralImage, center: SkyCoord, path: Path) -> None:
    step(6, "Look at it")
    figure = Figure(figsize=(14, 6.6), layout="constrained")
    part = image.cutout(center, min(100, *image.shape))
    plot_image(image, ax=figure.add_subplot(1, 2, 1, projection=image.wcs), mark=center)
    plot_image(part, ax=figure.add_subplot(1, 2, 2, projection=part.wcs), mark=center)
    figure.savefig(path, dpi=110)
    say(f"quick look:  {path.name} (image and spectral channels; around the mark, pixel by pixel, the flags that mask)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder to (re)make")
    parser.add_argument("--exposures", type=int, default=2)
    parser.add_argument("--size", type=int, default=2040, help="pixels a side; 2040 is the real size")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)

    output = fresh_folder(options.output, parser)
    simulate(output / "archive", exposures=options.exposures, size=options.size, seed=options.seed)
    butler = create_and_ingest(output / "repository", output / "archive")
    ref, center = query(butler)
    image = read(butler, ref, center)
    derive(butler, ref, image, options.seed, output / "repository")
    quick_look(image, center, output / "quick-look.png")
    butler.close()
    say(f"\nAll of it is in {output}.")
    say(f'Go on with: import spherex_butler; butler = spherex_butler.open_repo("{output / "repository"}")')


if __name__ == "__main__":
    main()
