"""What `butler.get` costs over the bare read of the same file, for each formatter.

    python benchmarks/get_overhead.py [--repeats 20]

Prints milliseconds (the median of the repeats) and the ratio.  The bare read
is that of the library that knows the format, to arrays in memory.  Level 2
images are ingested files of full size; everything else is put, by the default
recipe.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import astropy.units as u
import h5py
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty
from astropy.table import QTable, Table
from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType, FileDataset

from spherex_butler.testing import level2_hdulist, write_level2
from spherex_butler.testing.repository import temporary_repo


@dataclass(frozen=True)
class Case:
    """One storage class, a dataset of it or a file to ingest, and the bare read of its file."""

    storage_class: str
    dataset: Any
    bare: Callable[[Path], Any]
    label: str = ""


def read_hdus(path: Path) -> list[Any]:
    with fits.open(path, memmap=False) as hdus:
        return [None if hdu.data is None else np.array(hdu.data) for hdu in hdus]


def read_hdf5(path: Path) -> list[Any]:
    found: list[Any] = []
    with h5py.File(path) as file:
        file.visititems(lambda _, node: found.append(node[()]) if isinstance(node, h5py.Dataset) else None)
    return found


def read_ccd(path: Path) -> list[Any]:
    ccd = CCDData.read(path, format="fits")
    return [np.array(ccd.data), np.array(ccd.mask), np.array(ccd.uncertainty.array)]


def cases(folder: Path) -> list[Case]:
    rng = np.random.default_rng(0)
    frame = rng.normal(size=(2040, 2040)).astype(np.float32)
    ccd = CCDData(frame, unit="MJy / sr", uncertainty=VarianceUncertainty(frame**2), mask=frame > 3)
    table = Table({name: rng.normal(size=10_000) for name in "abcdefgh"})
    table["name"] = [f"source {n}" for n in range(len(table))]
    long_table = Table({name: rng.normal(size=100_000) for name in "abcdefgh"})
    long_table["name"] = [f"source {n}" for n in range(len(long_table))]
    quantities = QTable({"flux": rng.normal(size=10_000) * u.mJy, "wavelength": rng.random(10_000) * u.um})
    tree = {"image": frame, "fit": {"coefficients": rng.normal(size=100), "order": 3}, "@attrs": {"obs_id": "x"}}
    images = [
        Case("SpectralImage", write_level2(folder, detector=3, release=release), read_hdus, f"SpectralImage {release}")
        for release in ("qr2", "qr3")
    ]
    return [
        *images,
        Case("CCDData", ccd, read_ccd),
        Case("HDUList", level2_hdulist(detector=3), read_hdus),
        Case("VOTable", table, lambda path: Table.read(path, format="votable")),
        Case("VOQTable", quantities, lambda path: QTable.read(path, format="votable")),
        Case("HDF5", tree, read_hdf5),
        Case("HDF5Table", table, read_hdf5, "HDF5Table 10,000"),
        Case("HDF5Table", long_table, read_hdf5, "HDF5Table 100,000"),
        Case("HDF5Array", frame, read_hdf5),
        Case("NumpyArray", frame, read_hdf5),
    ]


def median_ms(function: Callable[[], Any], repeats: int) -> float:
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def store(butler: Butler, case: Case) -> DatasetRef:
    name = "_".join(["overhead", *(case.label or case.storage_class).lower().replace(",", "").split()])
    dataset_type = DatasetType(name, butler.dimensions.empty, case.storage_class)
    butler.registry.registerDatasetType(dataset_type)
    if not isinstance(case.dataset, Path):
        return butler.put(case.dataset, name, run="overhead")
    ref = DatasetRef(dataset_type, DataCoordinate.make_empty(butler.dimensions), run="overhead")
    butler.ingest(FileDataset(case.dataset, [ref]), transfer="direct")
    return ref


def measure(butler: Butler, case: Case, repeats: int) -> tuple[float, float, float]:
    ref = store(butler, case)
    path = Path(butler.getURI(ref).ospath)
    got = median_ms(lambda: butler.get(ref), repeats)
    return path.stat().st_size / 1e6, got, median_ms(lambda: case.bare(path), repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    print(f"{'storage class':20}{'MB':>8}{'get [ms]':>11}{'bare [ms]':>11}{'ratio':>8}{'over [ms]':>11}")
    with temporary_repo() as butler, TemporaryDirectory() as folder:
        butler.collections.register("overhead")
        for case in cases(Path(folder)):
            size, got, bare = measure(butler, case, repeats)
            name = case.label or case.storage_class
            print(f"{name:20}{size:8.1f}{got:11.2f}{bare:11.2f}{got / bare:8.2f}{got - bare:11.2f}")


if __name__ == "__main__":
    main()
