"""The one place where daf_butler's private parts are used: its datastore, its registry, and their database.

Butler's public calls ask for the existence and size of files, of some hundred
even where there are thousands: an archive's table could not be ingested
without asking the archive.  Their other steps are done here by the calls they
are made of, and the datastore's records are read here.
"""

from __future__ import annotations

__all__ = (
    "MANY",
    "ImageTables",
    "LiveTable",
    "StoredFile",
    "butler_of",
    "collection_names",
    "collection_numbers",
    "database_address",
    "database_file",
    "fast_writing",
    "file_datastore",
    "have_same_registry",
    "image_tables",
    "import_datasets",
    "insert_regions",
    "is_remote",
    "lacks_statistics",
    "live_table",
    "other_datastores",
    "recorded_paths",
    "records_without_dataset",
    "require_direct",
    "selected_rows",
    "update_statistics",
    "with_file_records",
)

import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import sqlalchemy
from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DimensionRecord, Registry
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.datastore.stored_file_info import StoredFileInfo
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.daf.butler.direct_butler import DirectButler
from lsst.daf.butler.registry.obscore import ObsCoreLiveTableManager

from ..constants import DATASET_TYPE, REGION
from ..errors import ConfigurationError, reason_of

StoredFile = StoredFileInfo
"""Path, size, checksum, formatter and storage class of a file, as recorded."""

MANY = 10_000
"""New images from which on an ingest ends with `update_statistics`, whatever the database knows."""

_UNCOUNTED = sqlalchemy.text("""
    SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = :schema AND relkind = 'r' AND has_table_privilege(pg_class.oid, 'SELECT')
    AND pg_relation_size(pg_class.oid) > 128 * 1024
    AND NOT EXISTS (SELECT FROM pg_stats WHERE schemaname = nspname AND tablename = relname)
""")
"""PostgreSQL's tables of more than a thousand rows or so, of whose content it knows nothing."""

_PAGE_CACHE = 128 * 2**20
_ANALYSIS_LIMIT = 1000  # rows an index; SQLite's documentation advises 100 to 1000

_log = logging.getLogger(__name__)


def butler_of(registry: Registry) -> Butler:
    """Return the Butler whose registry this is: all that Rubin's pipelines hand to an instrument or a look-up.

    Raises
    ------
    ConfigurationError
        Raised if there is none behind it.
    """
    butler = getattr(registry, "_butler", None)
    if not isinstance(butler, Butler):
        raise ConfigurationError(f"{registry!r} is no registry of a Butler; expected what butler.registry is.")
    return butler


def database_file(butler: Butler) -> Path | None:
    """Return the SQLite file of a repository's registry; `None` if it is on a server."""
    if not isinstance(butler, DirectButler):
        return None
    found = getattr(butler._registry._db, "filename", None)  # SQLite alone has one
    return Path(found) if found else None


def database_address(butler: Butler) -> str:
    """Return the URL of a repository's registry, without a password."""
    return str(_parts(butler)[0]._registry._db._engine.url.render_as_string(hide_password=True))


def file_datastore(butler: Butler) -> FileDatastore:
    """Return the repository's datastore."""
    return _parts(butler)[1]


def is_remote(butler: Butler) -> bool:
    """Return whether a Butler server answers for the repository, which shows neither its database nor its folders."""
    return not isinstance(butler, DirectButler)


def require_direct(butler: Butler) -> None:
    """Refuse a repository that is read through a Butler server.

    Raises
    ------
    ConfigurationError
        Raised if it is.
    """
    if is_remote(butler):
        raise ConfigurationError(
            f"The repository is opened as {type(butler).__name__}, through a Butler server; this needs its database "
            "and files themselves. Expected the repository's own folder or butler.yaml: do this on a machine that "
            "reaches database and files. Through a server, Butler's queries and get work, and get_cutouts "
            "(docs/how-to/remote-butler.md)."
        )


def _parts(butler: Butler) -> tuple[DirectButler, FileDatastore]:
    require_direct(butler)
    if isinstance(butler, DirectButler) and isinstance(butler._datastore, FileDatastore):
        return butler, butler._datastore
    datastore = type(getattr(butler, "_datastore", None)).__name__
    raise ConfigurationError(
        f"The repository is opened as {type(butler).__name__} with the datastore {datastore}; expected one that has "
        "database and files itself, as Butler.from_config gives for those of spherex_butler.make_repo."
    )


def have_same_registry(one: Butler, other: Butler) -> bool:
    """Return whether two Butlers work on the same database, in the same schema."""
    first, second = (_parts(butler)[0]._registry._db for butler in (one, other))
    return (first._engine.url, first.namespace) == (second._engine.url, second.namespace)


def import_datasets(butler: Butler, files: Mapping[DatasetRef, Sequence[StoredFile]]) -> None:
    """Insert datasets with their ids, and the records of their files, in the order given; in a transaction.

    Runs, dataset types and dimension records are there, and the files in their places; the datastore knows none of the
    datasets. A live ObsCore table gets their rows, for which their data IDs are expanded.
    """
    inner, datastore = _parts(butler)
    expand = inner._registry.obsCoreTableManager is not None

    def group(ref: DatasetRef) -> tuple[str, str]:
        return ref.run, ref.datasetType.name

    datasets = [_with_what_is_on_record(ref) for ref in files] if expand else list(files)
    for _, refs in groupby(sorted(datasets, key=group), key=group):
        # Not assume_new=True, which converts the time of ingest once a row, and takes five times as long.
        inner._registry._importDatasets(refs, expand=expand)
    table = datastore._table.name
    records = {ref.id: {table: list(infos)} for ref, infos in files.items()}
    datastore.import_records({datastore.name: DatastoreRecordData(records=records)})  # type: ignore[arg-type]  # a list is invariant


def _with_what_is_on_record(ref: DatasetRef) -> DatasetRef:
    """Return a dataset without dimension records, so that Butler looks them up: its own may be those of a header."""
    values = ref.dataId.required_values
    data_id = DataCoordinate.from_required_values(ref.datasetType.dimensions, values)
    return DatasetRef(ref.datasetType, data_id, run=ref.run, id=ref.id)


@dataclass(frozen=True, slots=True, eq=False)
class LiveTable:
    """The live ObsCore table of a repository, with one row a dataset; ``key`` is the column with its id."""

    table: sqlalchemy.Table
    key: str
    manager: ObsCoreLiveTableManager

    @property
    def columns(self) -> Any:
        """The columns of the table, by name."""
        return self.table.columns

    def universe_values(self, ref: DatasetRef) -> dict[str, Any]:
        """Return the values that follow from the dimension records of a dataset, whose data ID is expanded."""
        values = self.manager.record_factory.make_universe_records(ref)
        return {name: value for name, value in values.items() if name != self.key}

    def update(self, rows: Iterable[tuple[uuid.UUID, Mapping[str, Any]]]) -> None:
        """Set the same columns in each row."""
        marked = [{"of_dataset": identifier, **values} for identifier, values in rows]
        self.manager.db.update(self.table, {self.key: "of_dataset"}, *marked)


def live_table(butler: Butler) -> LiveTable | None:
    """Return the live ObsCore table of a repository, `None` if it has none."""
    manager = _parts(butler)[0]._registry.obsCoreTableManager
    if not isinstance(manager, ObsCoreLiveTableManager):
        return None
    key: Any = manager.schema.dataset_fk  # never None in a live table
    return LiveTable(manager.table, key.name, manager)


def insert_regions(butler: Butler, records: Sequence[DimensionRecord], pixels: Mapping[Any, Sequence[int]]) -> None:
    """Insert regions with the pixels they overlap, which Butler would compute here and now.

    ``pixels`` are those of the universe's common system, by exposure and detector. Butler would compute them here and
    now, which takes 0.17 ms a region, nearly half of the time for an image; another process does it at the same time.
    """
    common = butler.dimensions.commonSkyPix
    system = {"skypix_system": common.system.name, "skypix_level": common.level}
    overlaps = [
        {"skypix_index": pixel, **record.dataId.required, **system}
        for record in records
        if record.region is not None
        for pixel in pixels.get((record.exposure, record.detector), ())
    ]
    registry = _parts(butler)[0]._registry
    tables: Any = registry._managers.dimensions
    registry._db.insert(tables._tables[REGION], *(record.toDict() for record in records))
    registry._db.insert(tables._overlap_tables[REGION][1], *overlaps)


def other_datastores(butler: Butler) -> list[str]:
    """Return under which names of datastores the registry knows files, if it knows none under this one's."""
    inner, datastore = _parts(butler)
    name = datastore.bridge._tables.dataset_location.columns.datastore_name  # type: ignore[attr-defined]
    with inner._registry._db.query(sqlalchemy.select(name).where(name == datastore.name).limit(1)) as rows:
        if rows.first() is not None:
            return []
    with inner._registry._db.query(sqlalchemy.select(name).distinct()) as rows:
        return sorted(rows.scalars())


def records_without_dataset(butler: Butler, limit: int) -> tuple[int, list[tuple[uuid.UUID, str]]]:
    """Return how many files are on record of no dataset, and the first ids and paths of these.

    They belong to datasets whose removal was interrupted.
    """
    inner, datastore = _parts(butler)
    records = datastore._table._table  # type: ignore[attr-defined]
    location = datastore.bridge._tables.dataset_location  # type: ignore[attr-defined]
    known = sqlalchemy.exists().where(
        location.columns.dataset_id == records.columns.dataset_id, location.columns.datastore_name == datastore.name
    )
    statement = sqlalchemy.select(records.columns.dataset_id, records.columns.path).where(~known)
    found: list[tuple[uuid.UUID, str]] = []
    count = 0
    with inner._registry._db.query(statement) as rows:
        for count, row in enumerate(rows, start=1):  # noqa: B007  (the last one counts)
            if len(found) < limit:
                found.append((row.dataset_id, row.path))
    return count, found


def recorded_paths(butler: Butler) -> Iterator[str]:
    """Yield the path of each file on record: relative to the datastore's root, or an absolute address."""
    inner, datastore = _parts(butler)
    records = datastore._table._table  # type: ignore[attr-defined]
    with inner._registry._db.query(sqlalchemy.select(records.columns.path)) as rows:
        for row in rows:
            yield row.path


@dataclass(frozen=True, slots=True)
class ImageTables:
    """The registry's tables that tell of images: for questions that Butler's own queries answer row by row.

    ``overlaps`` are the pixels of the sky that each region overlaps; ``tags`` say which dataset a collection has of an
    exposure and detector, also of types other than ``dataset_type_id``, that of images. ``begin`` and ``end`` of
    ``exposures`` are in nanoseconds, TAI, and 0 where they are not known; how they are stored depends on the database.
    """

    overlaps: sqlalchemy.Table
    regions: sqlalchemy.Table
    exposures: sqlalchemy.Table
    begin: sqlalchemy.ColumnElement[int]
    end: sqlalchemy.ColumnElement[int]
    tags: sqlalchemy.Table
    datasets: sqlalchemy.Table
    files: sqlalchemy.Table
    dataset_type_id: int


def image_tables(butler: Butler) -> ImageTables:
    """Return the tables that tell of images."""
    inner, datastore = _parts(butler)
    managers: Any = inner._registry._managers
    storage = managers.datasets._find_storage(DATASET_TYPE)
    exposures = managers.dimensions._tables["exposure"]
    timespan = inner._registry._db.getTimespanRepresentation().from_columns(exposures.columns)
    return ImageTables(
        overlaps=managers.dimensions._overlap_tables[REGION][1],
        regions=managers.dimensions._tables[REGION],
        exposures=exposures,
        begin=timespan.lower(),
        end=timespan.upper(),
        tags=managers.datasets._get_tags_table(storage.dynamic_tables),
        datasets=managers.datasets._static.dataset,
        files=datastore._table._table,  # type: ignore[attr-defined]
        dataset_type_id=storage.dataset_type_id,
    )


def collection_numbers(butler: Butler, names: Iterable[str]) -> tuple[int, ...]:
    """Return the numbers by which tables know collections, in the order given."""
    collections: Any = _parts(butler)[0]._registry._managers.collections
    return tuple(collections.find(name).key for name in names)


def collection_names(butler: Butler, numbers: Iterable[int]) -> dict[int, str]:
    """Return the names of collections by their numbers."""
    collections: Any = _parts(butler)[0]._registry._managers.collections
    return {number: collections[number].name for number in numbers}


def selected_rows(butler: Butler, statement: sqlalchemy.SelectBase) -> Iterator[Any]:
    """Yield the rows that a statement selects."""
    with _parts(butler)[0]._registry._db.query(statement) as rows:
        yield from rows


def with_file_records(butler: Butler, refs: Iterable[DatasetRef]) -> dict[DatasetRef, list[StoredFile]]:
    """Return datasets that know their files, so that ``get`` asks no database, with these files; none if given up."""
    datastore = _parts(butler)[1]
    refs = list(refs)
    found = datastore._get_stored_records_associated_with_refs(refs)
    files = {ref: found.get(ref.id, []) for ref in refs}
    return {ref.replace(datastore_records={datastore._table.name: [*of]}): of for ref, of in files.items()}


@contextmanager
def fast_writing(butler: Butler) -> Iterator[None]:
    """Give an SQLite file a page cache that holds the upper part of its indexes, until the end of the block.

    At 2.7 million images rows go in 1.46 times as fast with twice as large a one. A write-ahead log made no further
    difference, and would not work on network file systems.
    """
    engine = _parts(butler)[0]._registry._db._engine
    if engine.dialect.name != "sqlite":
        yield
        return
    engine.dispose()  # of connections made without
    sqlalchemy.event.listen(engine, "connect", _enlarge_cache)
    try:
        yield
    finally:
        sqlalchemy.event.remove(engine, "connect", _enlarge_cache)
        engine.dispose()


def _enlarge_cache(connection: Any, _record: Any) -> None:
    connection.execute(f"PRAGMA cache_size = {-_PAGE_CACHE // 1024}")


def lacks_statistics(butler: Butler) -> bool:
    """Return whether the database is PostgreSQL and never looked at what some of its tables hold.

    It looks at a table by itself when much of it is new, but a crash makes it forget how much that is.
    """
    database = _parts(butler)[0]._registry._db
    if database._engine.dialect.name != "postgresql":
        return False
    with database._engine.connect() as connection:
        return bool(connection.execute(_UNCOUNTED, {"schema": database.namespace}).scalar())


def update_statistics(butler: Butler) -> None:
    """Let the database count what its tables hold, by which it chooses how to search them.

    Left for another time where the caller is in a transaction, which has the
    database, or the database has other things to do. PostgreSQL leaves out
    the tables that are not the user's own.
    """
    database = _parts(butler)[0]._registry._db
    if database.isInTransaction():
        return
    try:
        with database._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql(f"PRAGMA analysis_limit = {_ANALYSIS_LIMIT}")
            connection.exec_driver_sql("ANALYZE")
            connection.commit()
    except sqlalchemy.exc.DBAPIError as error:
        _log.warning("The database did not count its rows, and may search slowly: %s", reason_of(error))
