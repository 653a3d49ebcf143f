"""Spectral images: each way to get at them beside what a user has without this package, in one run.

    python benchmarks/spectral_images.py [--repeats 15] [--output benchmarks/results]

Full-size files of both releases are simulated.  Prints a table and writes it
as ``spectral_images.json`` and ``spectral_images.md``.  Times are medians;
only their ratios mean anything on another machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

import astropy
import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from lsst.daf.butler import Butler, DatasetRef

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from http_server import Served, serve

from spherex_butler import SpectralImage
from spherex_butler.ingest import ingest_files
from spherex_butler.testing import write_level2
from spherex_butler.testing.repository import temporary_repo

RELEASES = ("qr2", "qr3")
PLANES = ("IMAGE", "FLAGS", "VARIANCE", "ZODI")
LATENCY, SPEED = 0.05, 20e6


@dataclass(frozen=True)
class Figure:
    """One row: what was measured, beside what, and what was to be reached."""

    what: str
    ours: float
    rival: float
    unit: str
    rival_name: str
    ratio: float
    reach: str
    reached: bool
    remark: str = ""


class Report:
    """Collects the rows and shows them as they come."""

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats
        self.figures: list[Figure] = []

    def faster(self, what: str, ours: Any, rival: Any, rival_name: str, *, times: float, remark: str = "") -> None:
        """Compare two functions: ours is to be so many times faster."""
        mine, other = self._both(ours, rival)
        self._add(
            what, mine, other, "ms", rival_name, other / mine, f"≥ {times:g} × faster", other / mine >= times, remark
        )

    def at_most(self, what: str, ours: Any, rival: Any, rival_name: str, *, times: float, plus: float = 0.0) -> None:
        """Compare two functions: ours may take so many times as long, and ``plus`` ms."""
        mine, other = self._both(ours, rival)
        reach = f"≤ {times:g} ×" + (f" + {plus:g} ms" if plus else "")
        self._add(what, mine, other, "ms", rival_name, mine / other, reach, mine <= times * other + plus)

    def count(self, what: str, ours: float, limit: float, unit: str, of: str) -> None:
        """Compare a count with its limit."""
        self._add(what, ours, limit, unit, of, ours / limit, f"≤ {limit:g} {unit}", ours <= limit)

    def _both(self, ours: Callable[[], Any], rival: Callable[[], Any]) -> tuple[float, float]:
        """Return median milliseconds of both, taken in turns so that they see the same machine."""
        ours(), rival()
        taken: dict[int, list[float]] = {0: [], 1: []}
        for _ in range(self.repeats):
            for number, function in enumerate((ours, rival)):
                start = time.perf_counter()
                function()
                taken[number].append(1000 * (time.perf_counter() - start))
        return statistics.median(taken[0]), statistics.median(taken[1])

    def _add(self, *values: Any) -> None:
        figure = Figure(*values)
        self.figures.append(figure)
        print(line(figure), flush=True)

    def write(self, folder: Path) -> None:
        """Write the rows as JSON and Markdown."""
        folder.mkdir(parents=True, exist_ok=True)
        about = {"python": platform.python_version(), "astropy": astropy.__version__, "numpy": np.__version__}
        about |= {"cores": os.cpu_count(), "machine": platform.machine(), "repeats": self.repeats}
        content = {"about": about, "figures": [asdict(figure) for figure in self.figures]}
        (folder / "spectral_images.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        (folder / "spectral_images.md").write_text(markdown(self.figures, about))


def line(figure: Figure) -> str:
    mark = "ok  " if figure.reached else "MISS"
    return (
        f"{mark} {figure.what:52}{figure.ours:10.2f}{figure.rival:10.2f} {figure.unit:9}"
        f"{figure.ratio:8.2f}  {figure.reach:18} {figure.rival_name} {figure.remark}"
    )


def markdown(figures: list[Figure], about: dict[str, Any]) -> str:
    rows = [
        f"| {f.what} | {f.ours:.2f} | {f.rival:.2f} | {f.unit} | {f.ratio:.2f} | {f.reach} | "
        f"{'yes' if f.reached else '**no**'} | {f.rival_name} {f.remark} |"
        for f in figures
    ]
    head = ["| What | Ours | Rival | | Ratio | Reach | Reached | Rival is |", "|---|---|---|---|---|---|---|---|"]
    facts = ", ".join(f"{name} {value}" for name, value in about.items())
    return "\n".join([f"# Spectral images\n\n`make bench`; {facts}.\n", *head, *rows]) + "\n"


# The rivals.


def open_and_read(path: Path, names: tuple[str, ...] | None = None) -> list[Any]:
    """Open with astropy's defaults and take the same HDUs to native arrays."""
    found: list[Any] = []
    with fits.open(path) as hdus:
        for hdu in hdus[1:] if names is None else [hdus[name] for name in names]:
            if isinstance(hdu, fits.BinTableHDU) and not isinstance(hdu, fits.CompImageHDU):
                found.append({name: native(hdu.data[name]) for name in hdu.data.names})
            else:
                found.append(native(hdu.data))
    return found


def native(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.array(array, dtype=array.dtype.newbyteorder("="))


def tutorial_cutout(path: Path, center: SkyCoord) -> list[Any]:
    """Open with the defaults, make the WCS, cut each plane."""
    with fits.open(path) as hdus:
        wcs = WCS(hdus["IMAGE"].header)
        return [Cutout2D(hdus[name].data, center, 64, wcs=wcs, copy=True) for name in PLANES]


def download_and_cut(url: str, center: SkyCoord, folder: Path) -> list[Any]:
    path = folder / "downloaded.fits"
    with urlopen(url) as answer:
        path.write_bytes(answer.read())
    return tutorial_cutout(path, center)


def section_cutout(url: str, center: SkyCoord, **options: Any) -> list[Any]:
    """Astropy's remote reading, with ``.section``."""
    with fits.open(url, use_fsspec=True, fsspec_kwargs=options) as hdus:
        wcs = WCS(hdus["IMAGE"].header)
        return [Cutout2D(hdus[name].section, center, 64, wcs=wcs) for name in PLANES]


# What is measured.


def local(report: Report, butler: Butler, ref: DatasetRef, path: Path, release: str) -> None:
    def get(component: str | None = None, **parameters: Any) -> Any:
        return butler.get(ref if component is None else ref.makeComponentRef(component), parameters=parameters)

    image = get()
    center = image.wcs.pixel_to_world(1000.3, 900.2)
    opened = "fits.open(path), the same HDUs"
    report.at_most(f"{release}: get of the whole image", get, lambda: open_and_read(path), opened, times=1.05)
    report.at_most(
        f"{release}: get of flags",
        lambda: get("flags"),
        lambda: open_and_read(path, ("FLAGS",)),
        opened,
        times=1.1,
        plus=1,
    )
    whole = "get of the whole image"
    report.faster(f"{release}: get of header", lambda: get("header"), get, whole, times=10)
    report.faster(f"{release}: get of wcs", lambda: get("wcs"), get, whole, times=5)
    report.faster(f"{release}: get of spectral_wcs", lambda: get("spectral_wcs"), get, whole, times=5)
    report.faster(
        f"{release}: one wavelength",
        lambda: get("wavelength", bbox=(1000, 1001, 900, 901)),
        get,
        whole,
        times=5,
    )
    report.faster(
        f"{release}: 64 x 64 cutout, four planes and WCS",
        lambda: get(center=center, size=64, planes=["FLAGS", "VARIANCE", "ZODI"]).wcs,
        lambda: tutorial_cutout(path, center),
        "open, WCS, Cutout2D of each plane",
        times=3 if release == "qr2" else 5,
    )


def wavelengths(report: Report, image: SpectralImage, release: str) -> None:
    y, x = np.mgrid[:2040, :2040]
    wcs = image.spectral_wcs

    def by_astropy() -> Any:
        return wcs.pixel_to_world_values(x, y)[0]

    difference = np.abs(image.wavelength.to_value(u.um) - np.asarray(by_astropy()) * wcs.wcs.cunit[0].to(u.um)).max()
    remark = f"(largest difference {difference:.1e} µm)"
    name = f"{release}: wavelength of every pixel"
    report.faster(
        name, lambda: image.wavelength, by_astropy, "WCS.pixel_to_world over the grid", times=50, remark=remark
    )


def remote(report: Report, butler: Butler, path: Path, release: str, folder: Path) -> None:
    with serve(path.parent, latency=LATENCY, bytes_a_second=SPEED) as served:
        url = f"{served.url}/{path.name}"
        (ref,) = ingest_files(butler, url, transfer="direct").ingested
        center = SpectralImage.read(path).wcs.pixel_to_world(1000.3, 900.2)

        def ours() -> Any:
            return butler.get(ref, parameters={"center": center, "size": 64})

        requests, sent = counted(served, ours)
        methods = {method for method, *_ in served.requests}
        name = f"{release}: remote 64 x 64 cutout"
        report.count(f"{name}, requests ({', '.join(methods)})", requests, 9, "requests", "")
        report.count(f"{name}, bytes", sent, 0.035 * path.stat().st_size, "bytes", "of the file")
        report.faster(name, ours, lambda: download_and_cut(url, center, folder), "download and cut", times=5)
        for label, options in (("default blocks", {}), ("100 kB blocks", {"block_size": 100_000})):
            used, volume = counted(served, lambda options=options: section_cutout(url, center, **options))
            remark = f"({used} requests, {volume / 1e6:.1f} MB)"
            report.faster(
                name,
                ours,
                lambda options=options: section_cutout(url, center, **options),
                f"astropy .section, {label}",
                times=5,
                remark=remark,
            )


def counted(served: Served, function: Callable[[], Any]) -> tuple[int, int]:
    served.requests.clear()
    function()
    return len(served.requests), served.bytes_sent


MEMORY = """
import sys
from pathlib import Path
import spherex_butler
butler = spherex_butler.open_repo(sys.argv[1])
(ref,) = butler.query_datasets("level2", where=f"detector = {sys.argv[2]}")
small = butler.get(ref, parameters={"bbox": (0, 64, 0, 64)})
def kilobytes(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0])
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
before = kilobytes("VmRSS")
image = butler.get(ref)
after = kilobytes("VmHWM")
arrays = sum(getattr(image, name).nbytes for name in ("data", "flags", "variance", "zodi")) + image.psf.data.nbytes
print((after - before) * 1024, arrays)
"""


def memory(report: Report, root: Path, detector: int, release: str) -> None:
    """Measure the peak in a process of its own, over what it takes to have read a cutout."""
    words = [sys.executable, "-c", MEMORY, str(root), str(detector)]
    peak, arrays = map(int, subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())
    report.count(f"{release}: peak memory of a whole get", peak / 1e6, 1.3 * arrays / 1e6, "MB", "1.3 × the arrays")


@contextmanager
def files(folder: Path) -> Iterator[dict[str, Path]]:
    paths = {}
    for detector, release in enumerate(RELEASES, start=3):
        (folder / release).mkdir()
        paths[release] = write_level2(folder / release, release=release, detector=detector)
    yield paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    report = Report(options.repeats)
    print(f"     {'':52}{'ours':>10}{'rival':>10}{'':10}{'ratio':>8}  {'reach':18} rival is")
    with TemporaryDirectory() as folder, temporary_repo() as butler, files(Path(folder)) as paths:
        refs = {release: ingest_files(butler, path, transfer="direct").ingested[0] for release, path in paths.items()}
        for release, path in paths.items():
            local(report, butler, refs[release], path, release)
            wavelengths(report, butler.get(refs[release]), release)
            memory(report, Path(butler._config.configDir.ospath), refs[release].dataId["detector"], release)  # noqa: SLF001
    report.repeats = max(3, options.repeats // 5)
    with TemporaryDirectory() as folder, temporary_repo() as butler, files(Path(folder)) as paths:
        for release, path in paths.items():
            remote(report, butler, path, release, Path(folder))
    report.write(options.output)
    print(f"\nWritten to {options.output}/spectral_images.md and .json")


if __name__ == "__main__":
    main()
