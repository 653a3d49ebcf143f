"""A plain daf_butler repository that knows our storage classes, for every formatter's test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType, FileDataset
from made_once import copy_plain_repo


class Store:
    """Puts and gets single datasets, each of a dataset type of its own."""

    def __init__(self, butler: Butler, root: Path) -> None:
        self.butler = butler
        self.root = root
        self._numbers = itertools.count()

    def put(self, dataset: Any, storage_class: str) -> DatasetRef:
        name = f"dataset{next(self._numbers)}"
        dimensions = self.butler.dimensions.empty
        self.butler.registry.registerDatasetType(DatasetType(name, dimensions, storage_class))
        return self.butler.put(dataset, name)

    def ingest(self, path: Path, storage_class: str) -> DatasetRef:
        """Register a copy of a file that no formatter here wrote."""
        dimensions = self.butler.dimensions.empty
        dataset_type = DatasetType(f"dataset{next(self._numbers)}", dimensions, storage_class)
        self.butler.registry.registerDatasetType(dataset_type)
        ref = DatasetRef(dataset_type, DataCoordinate.make_empty(self.butler.dimensions), run="test")
        self.butler.ingest(FileDataset(str(path), [ref]), transfer="copy")
        return ref

    def get(
        self,
        ref: DatasetRef,
        component: str | None = None,
        *,
        storage_class: str | None = None,
        **parameters: Any,
    ) -> Any:
        if component is not None:
            ref = ref.makeComponentRef(component)
        return self.butler.get(ref, parameters=parameters, storageClass=storage_class)

    def round_trip(self, dataset: Any, storage_class: str) -> Any:
        return self.get(self.put(dataset, storage_class))

    def path(self, ref: DatasetRef) -> Path:
        return Path(self.butler.getURI(ref).ospath)

    def files(self) -> set[Path]:
        """Every file in the repository, without the registry's own."""
        return {p for p in self.root.rglob("*") if p.is_file() and not p.name.startswith("gen3.sqlite3")}


def make_store(root: Path, config: Mapping[str, Any]) -> Store:
    copy_plain_repo(root, config)
    return Store(Butler.from_config(root, writeable=True, run="test"), root)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A repository of daf_butler's own universe with our configuration included."""
    include = "resource://spherex_butler/configs/butler.yaml"
    store = make_store(tmp_path_factory.mktemp("repository"), {"includeConfigs": [include]})
    yield store
    store.butler.close()


@pytest.fixture
def configured_store(tmp_path: Path) -> Iterator[Any]:
    """Return a function that makes a repository from extra ``formatters`` entries.

    With ``include=False`` it is one that knows nothing of this package but
    the formatters named.
    """
    stores: list[Store] = []

    def make(formatters: Mapping[str, Any], *, include: bool = True) -> Store:
        config: dict[str, Any] = {"datastore": {"formatters": dict(formatters)}}
        if include:
            config["includeConfigs"] = ["resource://spherex_butler/configs/butler.yaml"]
        stores.append(make_store(tmp_path / f"repository{len(stores)}", config))
        return stores[-1]

    yield make
    for store in stores:
        store.butler.close()
