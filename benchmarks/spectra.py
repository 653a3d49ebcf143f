"""Spectra: how true fluxes are, and how fast they come from the archive and from disk, beside a user's own loop.

    python benchmarks/spectra.py [--trials 10000] [--frames 360] [--output benchmarks/results]

The archive is a local server with 0.6 s latency a request and 20 MB/s all together, and has full-size files, copies of
those of two detectors under the names of many observations: 26 GB.  The rival downloads each file, cuts it and fits
photutils' PSF photometry, 16 files at a time; it is given a few of the files, and its time is scaled to all.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from astropy.time import Time
from lsst.daf.butler import Butler
from photutils.psf import ImagePSF, PSFPhotometry

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from http_server import Served, serve
from point_sources import MIDDLE, SOLID_ANGLE, blank, fill, flux_of, stamp

from spherex_butler import SpectralImage, make_repo
from spherex_butler.archive import ingest_archive_table
from spherex_butler.spectra import extract_spectra, measure
from spherex_butler.testing import source_catalog, write_level2
from spherex_butler.testing.observations import Observation

LATENCY, SPEED = 0.6, 20e6
CONNECTIONS = 16
RIVAL_FRAMES = 16
DETECTORS = (2, 5)
BORESIGHT = SkyCoord(10.0, 41.0, unit="deg")
SIGNIFICANCES = (1, 3, 10, 30, 100)


@dataclass(frozen=True)
class Figure:
    """One row: what was measured, and what was to be reached."""

    what: str
    value: float
    unit: str
    reach: str
    rival: str = ""


@dataclass
class Report:
    """The rows so far."""

    figures: list[Figure] = field(default_factory=list)

    def add(self, what: str, value: float, unit: str, *, reach: str = "", rival: str = "") -> None:
        """Add a row, and print it."""
        self.figures.append(Figure(what, value, unit, reach, rival))
        print(f"{what:64}{value:12.4g} {unit:10}{reach:28}{rival}", flush=True)

    def write(self, folder: Path) -> None:
        """Write the rows as JSON and Markdown."""
        folder.mkdir(parents=True, exist_ok=True)
        about = {"python": platform.python_version(), "cores": len(os.sched_getaffinity(0))}
        content = {"machine": about, "figures": [asdict(one) for one in self.figures]}
        (folder / "spectra.json").write_text(f"{json.dumps(content, indent=1, ensure_ascii=False)}\n")
        lines = ["# Spectra", "", f"`make bench-spectra`; Python {about['python']}, {about['cores']} cores.", ""]
        lines += ["| What | Measured | To reach | Rival |", "|---|---|---|---|"]
        lines += [f"| {one.what} | {one.value:.4g} {one.unit} | {one.reach} | {one.rival} |" for one in self.figures]
        (folder / "spectra.md").write_text("\n".join(lines) + "\n")


class PairedNoise:
    """Normal noise of which every second draw is that of the one before, mirrored.

    The mean of a pair is free of what is linear in the noise, so that a bias shows that is much smaller than the
    error of a flux.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._last: Any = None

    def normal(self, mean: Any, sigma: Any) -> Any:
        """Return a draw, as `numpy.random.Generator.normal` does."""
        if self._last is None:
            self._last = self._random.standard_normal(np.shape(mean))
            return mean + sigma * self._last
        mirrored, self._last = mean - sigma * self._last, None
        return mirrored


def accuracy(report: Report, trials: int) -> None:
    """Measure fluxes of sources at random places within a pixel, two at each, with the kernel that made the image."""
    for release in ("qr2", "qr3"):
        image = blank(release)
        for significance in SIGNIFICANCES:
            places, noise = np.random.default_rng(significance), PairedNoise(significance)
            flux = flux_of(significance, stamp(image, MIDDLE, MIDDLE))
            found = np.empty((trials // 2, 2, 2))  # pairs, of each two fluxes with their errors
            for pair in found:
                x, y = MIDDLE + places.uniform(-0.5, 0.5, 2)
                for trial in pair:
                    measured = measure(fill(image, flux * stamp(image, x, y), noise), x, y, solid_angle=SOLID_ANGLE)
                    trial[:] = measured.flux, measured.flux_error
            pulls = (found[..., 0] - flux) / found[..., 1]
            scatter = 1.4826 * np.median(np.abs(pulls - np.median(pulls)))
            means = found[..., 0].mean(axis=1)
            error = 100 * means.std() / flux / np.sqrt(len(means))
            name = f"{release}, signal to noise {significance}"
            bias = 100 * (means.mean() / flux - 1)
            report.add(
                f"{name}: mean flux too high by", bias, "%", reach="within 0.5 %", rival=f"known to {error:.2f} %"
            )
            report.add(f"{name}: scatter of pulls (NMAD)", float(scatter), "", reach="0.95 to 1.05")


@contextmanager
def archive(folder: Path, frames: int) -> Iterator[tuple[Path, Table, QTable]]:
    """Make full-size files under the names of many observations, and the archive's table of them."""
    files = {detector: write_level2(folder / "pristine", detector=detector, center=BORESIGHT) for detector in DETECTORS}
    observation = Observation.parse("2025W51_1A_0684_2")
    rows = []
    for _ in range(-(-frames // len(DETECTORS))):
        for detector, path in files.items():
            rows.append(_row(folder, str(observation), detector, path))
        observation = observation.following()
    catalog = source_catalog(BORESIGHT, 0.3 * u.deg)
    yield folder / "served", Table(rows=rows), catalog[np.argsort(catalog["flux"])[::-1]]


def _row(folder: Path, obs_id: str, detector: int, path: Path) -> dict[str, Any]:
    image = SpectralImage.read(path, planes=[], bbox=(0, 2, 0, 2))
    token = path.name.partition("_spx_")[2].removesuffix(".fits")
    name = f"qr2/level2/{obs_id[:10]}/{token}/{detector}/level2_{obs_id}D{detector}_spx_{token}.fits"
    copy = folder / "served" / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)
    _rename(copy, image.obs_id, obs_id)
    corners = image.wcs.pixel_to_world([-0.5, 2039.5, 2039.5, -0.5], [-0.5, -0.5, 2039.5, 2039.5])
    polygon = " ".join(f"{one.ra.deg:.12f} {one.dec.deg:.12f}" for one in [*corners, corners[0]])
    begin = Time(Observation.parse(obs_id).times(detector).begin, scale="utc").mjd
    return {
        "obs_id": obs_id,
        "energy_bandpassname": f"SPHEREx-D{detector}",
        "access_url": f"https://irsa.ipac.caltech.edu/ibe/data/spherex/{name}",
        "s_region": f"POLYGON ICRS {polygon}",
        "t_min": begin,
        "t_max": begin + 0.00133,
        "t_exptime": 113.58,
    }


def _rename(path: Path, old: str, new: str) -> None:
    """Replace the observation id in the headers of a file."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        place = content.find(f"OBSID   = '{old}'".encode())
        assert place > 0
        content[place : place + 80] = f"OBSID   = '{new}'".ljust(80).encode()


def registered(folder: Path, name: str, table: Table, access: str) -> Butler:
    butler = make_repo(folder / name)
    done = ingest_archive_table(butler, table, access=access)
    assert not done.failed, done.failed[0]
    return butler


def speed(report: Report, frames: int) -> None:
    """Measure spectra from the server and from disk, of one source and of a hundred."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as name, archive(Path(name), frames) as (place, table, catalog):
        source = catalog[:1]["source_id", "ra", "dec"]
        hundred = catalog[:100]["source_id", "ra", "dec"]
        with serve(place, latency=LATENCY, bytes_a_second=SPEED) as served:
            butler = registered(Path(name), "remote", table, served.url)
            what = f"{frames} frames of the server"
            one = _timed(report, f"{what}, one source", butler, source, served=served, reach="≤ 120 s")
            volume = served.bytes_sent / sum((place / path).stat().st_size for path in _paths(table))
            report.add(f"{what}: bytes read", 100 * volume, "%", reach="≤ 4 % of the files")
            requests = len(served.requests)
            rival = _rival(served, table, source) * frames
            beside = f"{rival / one:.1f} × as long as ours"
            report.add(f"{frames} frames, download, cut and photutils", rival, "s", rival=beside)
            _timed(report, f"{what}, 100 sources", butler, hundred, served=served)
            more = len(served.requests) / requests
            report.add("requests of 100 sources, to those of one", more, "×", reach="≤ 1.5 ×")
        local = registered(Path(name), "local", table, str(place))
        _timed(report, f"{frames} frames of the disk, one source", local, source, reach="≤ 10 s")


def _paths(table: Table) -> list[str]:
    return [url.partition("spherex/")[2] for url in table["access_url"]]


def _timed(
    report: Report, what: str, butler: Butler, sources: QTable, *, served: Served | None = None, reach: str = ""
) -> float:
    if served is not None:
        served.requests.clear()
    begun = time.perf_counter()
    spectra = extract_spectra(butler, sources, connections=CONNECTIONS)
    seconds = time.perf_counter() - begun
    assert np.isfinite(spectra["flux"]).mean() > 0.5
    report.add(what, seconds, "s", reach=reach, rival=f"{len(spectra)} measurements")
    return seconds


def _rival(served: Served, table: Table, source: QTable) -> float:
    """Return how many seconds a frame takes where users download, cut and fit."""
    some = _paths(table)[:RIVAL_FRAMES]
    begun = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda path: _download_and_fit(f"{served.url}/{path}", source), some))
    return (time.perf_counter() - begun) / len(some)


def _download_and_fit(url: str, source: QTable) -> float:
    with TemporaryDirectory() as folder:
        path = Path(folder, "image.fits")
        with urlopen(url) as answer:
            path.write_bytes(answer.read())
        position = SkyCoord(source["ra"][0], source["dec"][0])
        image = SpectralImage.read(path, center=position, size=31)
        x, y = (float(axis) for axis in image.wcs.world_to_pixel(position))
        model = ImagePSF(image.psf.at(x, y).astype(float), oversampling=10)
        start = QTable({"x": [x], "y": [y], "flux": [1.0]})
        data = image.data - np.nanmedian(image.data)
        photometry = PSFPhotometry(model, (7, 7))
        return float(photometry(data, error=np.sqrt(image.variance), mask=image.mask, init_params=start)["flux_fit"][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000, help="even; 0 leaves the accuracy out")
    parser.add_argument("--frames", type=int, default=360, help="images; 0 leaves the speed out")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    report = Report()
    if options.trials:
        accuracy(report, options.trials)
    if options.frames:
        speed(report, options.frames)
    report.write(options.output)


if __name__ == "__main__":
    main()
