"""A temporary SPHEREx repository, and the test that every formatter passes in one."""

from __future__ import annotations

__all__ = ("assert_round_trip", "temporary_repo")

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from astropy.io.fits import FITSDiff, HDUList
from astropy.nddata import NDData, NDUncertainty
from astropy.table import Table
from lsst.daf.butler import Butler, DatasetType, DimensionConfig

from ..repository.creation import make_repo


@contextlib.contextmanager
def temporary_repo(*, dimensions: DimensionConfig | None = None) -> Iterator[Butler]:
    """Open a new SPHEREx repository in a temporary folder, removed at the end.

    Parameters
    ----------
    dimensions
        An extension of our universe, from `~spherex_butler.extend_universe`.

    Yields
    ------
    butler
        Writeable, as `~spherex_butler.make_repo` returns it.
    """
    with (
        TemporaryDirectory(prefix="spherex-butler-") as folder,
        contextlib.closing(make_repo(Path(folder, "repository"), dimensions=dimensions)) as butler,
    ):
        yield butler


def assert_round_trip(butler: Butler | None, dataset: Any, storage_class: str) -> Any:
    """Return what a repository gives back of a dataset, if both are the same.

    Parameters
    ----------
    butler
        A writeable repository, which gets a dataset type of its own for this;
        `None` for a temporary one.
    dataset
        What to store.
    storage_class
        The name of its storage class.

    Returns
    -------
    returned
        What was read.

    Raises
    ------
    AssertionError
        Raised if it is not of the same type or differs in what it holds.
    """
    if butler is None:
        with temporary_repo() as temporary:
            return assert_round_trip(temporary, dataset, storage_class)
    name = f"round_trip_{uuid.uuid4().hex}"
    dataset_type = DatasetType(name, butler.dimensions.empty, storage_class)
    butler.registry.registerDatasetType(dataset_type)
    butler.collections.register("round_trip")
    returned = butler.get(butler.put(dataset, name, run="round_trip"))
    _assert_same(returned, dataset, storage_class)
    return returned


def _assert_same(returned: Any, given: Any, path: str) -> None:
    if type(returned) is not type(given):
        raise AssertionError(f"{path}: {type(returned)} was returned for {type(given)}.")
    for kind, compare in _COMPARISONS.items():
        if isinstance(given, kind):
            compare(returned, given, path)
            return
    if returned != given:
        raise AssertionError(f"{path}: {returned!r} was returned for {given!r}.")


def _compare_attributes(*names: str) -> Callable[[Any, Any, str], None]:
    def compare(returned: Any, given: Any, path: str) -> None:
        for name in names:
            _assert_same(getattr(returned, name, None), getattr(given, name, None), f"{path}.{name}")

    return compare


def _compare_mappings(returned: Mapping[Any, Any], given: Mapping[Any, Any], path: str) -> None:
    _assert_same(list(returned), list(given), f"{path} (keys)")
    for key, value in given.items():
        _assert_same(returned[key], value, f"{path}[{key!r}]")


def _compare_tables(returned: Table, given: Table, path: str) -> None:
    _assert_same(returned.colnames, given.colnames, f"{path} (columns)")
    for name in given.colnames:
        _assert_same(returned[name], given[name], f"{path}[{name!r}]")


def _compare_hdus(returned: HDUList, given: HDUList, path: str) -> None:
    returned = HDUList([hdu.copy() for hdu in returned])
    for hdu in returned:
        for keyword in [key for key in hdu.header if key.startswith("LSST BUTLER")]:
            del hdu.header[keyword]  # provenance, written by put
    difference = FITSDiff(returned, given)
    if not difference.identical:
        raise AssertionError(f"{path}: {difference.report()}")


def _compare_images(returned: NDData, given: NDData, path: str) -> None:
    _compare_attributes("data", "unit", "mask", "uncertainty", "flags", "zodi")(returned, given, path)
    for key, value in given.meta.items():  # a file adds cards of its own
        _assert_same(returned.meta.get(key), value, f"{path}.meta[{key!r}]")


def _compare_arrays(returned: Any, given: Any, path: str) -> None:
    _compare_attributes("dtype", "unit", "mask")(returned, given, path)
    np.testing.assert_array_equal(np.asarray(returned), np.asarray(given), err_msg=path)


_COMPARISONS: dict[type, Callable[[Any, Any, str], None]] = {
    HDUList: _compare_hdus,
    NDData: _compare_images,
    NDUncertainty: _compare_attributes("uncertainty_type", "array", "unit"),
    Table: _compare_tables,
    np.ndarray: _compare_arrays,
    Mapping: _compare_mappings,
}
"""How to compare what ``==`` cannot; the first that fits."""
