"""The live ObsCore table of a repository that has one: kept up to date with what Butler itself does not put there.

Butler's manager writes a row for each dataset that comes into a run, and the database removes it with the dataset. What
a file's record or its source tells besides is added here, and rows are renewed where dimension records are replaced.
"""

from __future__ import annotations

__all__ = ("complete_rows", "file_values", "renew_rows", "require_record_factory")

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

from lsst.daf.butler import Butler, CollectionType, DatasetRef

from ..constants import DATASET_TYPE, INSTRUMENT
from ..errors import ConfigurationError
from .butler_internals import LiveTable, StoredFile, live_table

_GROUP = "butler.obscore_factory"
_KILO = 1000

Stated = Mapping[uuid.UUID, Mapping[str, Any]]
"""What sources say of ObsCore's columns, by dataset."""


def require_record_factory(namespace: str) -> None:
    """Refuse a universe for which Butler finds nothing that makes ObsCore's rows."""
    known = sorted(point.name for point in entry_points(group=_GROUP))
    if namespace not in known:
        raise ConfigurationError(
            f"Butler finds what makes ObsCore's rows by installed packages' entry points {_GROUP!r}, and there is none "
            f"for the universe {namespace!r}, only for {known}. Install spherex-butler with pip, once more where it "
            f"is a checkout; the package of an extended universe needs '{namespace} = "
            '"spherex_butler.obscore:record_factory"\' in its own [project.entry-points."butler.obscore_factory"].'
        )


def file_values(path: str | None, size: int | None) -> dict[str, Any]:
    """Return what the record of an image's file says: its address if that is on the web, and its size if known."""
    web = path is not None and path.startswith(("https://", "http://"))
    kilobytes = None if size is None or size < 0 else -(-size // _KILO)
    known = {"access_url": path if web else None, "access_estsize": kilobytes}
    return {name: value for name, value in known.items() if value is not None}


def complete_rows(butler: Butler, files: Mapping[DatasetRef, Sequence[StoredFile]], stated: Stated) -> None:
    """Add to the rows of new datasets what their files and sources say; in the transaction that registers them."""
    if (live := live_table(butler)) is not None:
        of_files = {ref.id: _of_files(infos) for ref, infos in files.items()}
        _update(live, {key: {**stated.get(key, {}), **values} for key, values in of_files.items()})


def _of_files(infos: Iterable[StoredFile]) -> dict[str, Any]:
    first = next(iter(infos), None)
    return {} if first is None else file_values(first.path, first.file_size)


def renew_rows(butler: Butler, exposures: Collection[int], stated: Mapping[tuple[int, int], Mapping[str, Any]]) -> None:
    """Write again what follows from dimension records, for the images of exposures.

    ``stated`` is by exposure and detector.
    """
    live = live_table(butler)
    if live is None or not exposures:
        return
    rows = {}
    for ref in _images(butler, exposures):
        key = int(ref.dataId["exposure"]), int(ref.dataId["detector"])
        rows[ref.id] = {**live.universe_values(ref), **stated.get(key, {})}
    _update(live, rows)


def _images(butler: Butler, exposures: Collection[int]) -> list[DatasetRef]:
    runs = butler.collections.query("*", {CollectionType.RUN})
    with butler.query() as query:
        wanted = query.expression_factory.exposure.in_iterable(exposures)
        found = query.datasets(DATASET_TYPE, runs, find_first=False).where(wanted, instrument=INSTRUMENT)
        return list(found.with_dimension_records())


def _update(live: LiveTable, rows: Mapping[uuid.UUID, Mapping[str, Any]]) -> None:
    """Set some columns of rows; those with the same columns at once."""
    alike: dict[tuple[str, ...], list[tuple[uuid.UUID, Mapping[str, Any]]]] = defaultdict(list)
    for key, values in rows.items():
        known = {name: value for name, value in values.items() if name in live.columns}
        alike[tuple(sorted(known))].append((key, known))
    for columns, some in alike.items():
        if columns:
            live.update(some)
