"""The SPHEREx dimension universe: read, compared with what the process holds, and extended."""

from __future__ import annotations

__all__ = ("claim_universe", "definition", "dimension_config", "extend_universe", "require_ours")

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from lsst.daf.butler import Config, DimensionConfig, DimensionElement, DimensionUniverse, GovernorDimension
from lsst.daf.butler.dimensions.construction import DimensionConstructionBuilder
from pydantic import ValidationError

from ..errors import ConfigurationError
from .provider import PROVIDER

_TAKEN_NAMESPACES = ("spherex", "daf_butler")

_DATASTORE = "SPHEREx"
"""The name of a repository's datastore."""

_WITHOUT_DOC = {"__all__": {"doc"}}
_DOCUMENTATION: dict[str, Any] = {
    "elements": {"__all__": {"doc": True, "keys": _WITHOUT_DOC, "metadata": _WITHOUT_DOC}}
}
"""What pydantic leaves out of a universe's definition."""

_KEYS = {
    *("always_join", "defines_relationships", "doc", "governor", "implied_union_target", "implies", "is_cached"),
    *("keys", "metadata", "populated_by", "requires", "storage"),
}
"""What may be said of an element; only to name what was misspelt."""

_REFERRING = ("requires", "implies", "populated_by", "implied_union_target")
"""The keys of an element that name other elements."""


def dimension_config() -> DimensionConfig:
    """Return the definition of the SPHEREx dimension universe.

    Returns
    -------
    config
        A fresh copy, for ``Butler.makeRepo(dimensionConfig=...)`` or
        `DimensionUniverse`.
    """
    return PROVIDER.dimensions()


def definition(config: DimensionConfig) -> dict[str, Any]:
    """Return what a universe's configuration defines, with defaults and without documentation, to be compared."""
    return config.to_simple().model_dump(by_alias=True, exclude=_DOCUMENTATION)


def claim_universe(config: DimensionConfig) -> DimensionUniverse:
    """Return this process's universe of exactly this definition, or raise if it holds another of that version.

    Butler keeps one universe a process for each namespace and version, and
    silently takes any other definition under the same pair for the same: a
    repository made then would lack tables.
    """
    universe = DimensionUniverse(config)
    held, wanted = definition(universe.dimensionConfig), definition(config)
    if held != wanted:
        raise ConfigurationError(
            f"This process already holds another definition of the dimension universe "
            f"{universe.namespace!r}, version {universe.version}: a definition that changes needs a new "
            f"version, and this process a restart. The two definitions:\n{_difference(held, wanted)}"
        )
    return universe


def require_ours(config: DimensionConfig) -> None:
    """Check that a universe has all of ours, as we define it: elements, families and pixels."""
    ours, theirs = _parts(dimension_config()), _parts(config)
    wrong = sorted(name for name in ours if ours[name] != theirs.get(name))
    if wrong:
        raise ConfigurationError(
            f"The dimension universe {config.get('namespace')!r}, version {config['version']}, lacks or "
            f"redefines {wrong}, which a SPHEREx repository needs as spherex_butler defines them; make it "
            "with spherex_butler.extend_universe."
        )


def _parts(config: DimensionConfig) -> dict[str, Any]:
    """Return what is defined by name, and the pixelizations as one."""
    whole = definition(config)
    return {**whole["elements"], **_families(whole), "skypix": whole["skypix"]}


def extend_universe(
    elements: Mapping[str, Any],
    *,
    namespace: str,
    version: int,
    topology: Mapping[str, Any] | None = None,
) -> DimensionConfig:
    """Return our universe with a pipeline's own elements added.

    Parameters
    ----------
    elements
        Definitions by name, in the form of the ``elements`` section of a
        ``dimensions.yaml``.
    namespace
        The pipeline's own name for the extended universe.
    version
        The pipeline's own version of it, from 1; a definition that changes
        needs a new one.
    topology
        Families of spatial and temporal elements, in the form of the
        ``topology`` section of a ``dimensions.yaml``.

    Returns
    -------
    config
        For ``make_repo(root, dimensions=...)``. From now on the process holds
        this definition under ``namespace`` and ``version``.

    Raises
    ------
    ConfigurationError
        Raised if a name clashes with one of ours, the namespace is missing or
        not the pipeline's own, something undefined is referred to, or the
        process holds another definition under this namespace and version. The
        process is left as it was.
    """
    _check_identity(namespace, version)
    added = Config({"elements": elements, "topology": topology or {}}).toDict()
    _check_clashes(added)
    extended = dimension_config()
    extended.update({"namespace": namespace, "version": version, **added})
    builder = _build(extended, added)
    for name in added["elements"]:
        _check_columns(builder.elements[name])
    _check_governors(extended, builder)
    claim_universe(extended)
    return extended


def _check_identity(namespace: str, version: int) -> None:
    if type(namespace) is not str or namespace in {"", *_TAKEN_NAMESPACES}:
        raise ConfigurationError(
            f"The namespace of an extended universe is {namespace!r}; expected a name of the pipeline's own, "
            f"other than {' and '.join(map(repr, _TAKEN_NAMESPACES))}."
        )
    if type(version) is not int or version < 1:  # True is an int, too
        raise ConfigurationError(
            f"The version of the universe {namespace!r} is {version!r}; expected a whole number from 1."
        )


def _families(section: Mapping[str, Any]) -> dict[str, list[str]]:
    return {name: members for families in section["topology"].values() for name, members in families.items()}


def _check_clashes(added: Mapping[str, Any]) -> None:
    """Check the names of elements, families and pixelizations, which Butler keeps together."""
    ours = dimension_config().toDict()
    pixels = DimensionUniverse(dimension_config()).skypix_dimensions.names
    taken = {*ours["elements"], *_families(ours), *ours["skypix"], *pixels}
    clashes = sorted(taken.intersection(added["elements"]) | taken.intersection(_families(added)))
    if clashes:
        raise ConfigurationError(
            f"{clashes} are defined by the SPHEREx universe already; give the pipeline's elements and "
            "families names of their own."
        )


def _build(config: DimensionConfig, added: Mapping[str, Any]) -> DimensionConstructionBuilder:
    """Build the universe without registering it in the process."""
    try:
        builder = config.makeBuilder()
        _check_keys(config, added)
        _check_references(config, added)
        builder.finish()
    except ConfigurationError:
        raise
    except ValidationError as error:
        raise ConfigurationError(_not_understood(error, added)) from error
    except (RuntimeError, KeyError, TypeError) as error:
        raise ConfigurationError(f"Butler cannot build the extended universe: {error}") from error
    return builder


def _not_understood(error: ValidationError, added: Mapping[str, Any]) -> str:
    """Return which of the given values Butler's model of a universe refuses, and which keys may be misspelt."""
    found = [
        f"{'.'.join(map(str, one['loc'])) or 'the whole'} ({one['msg'][:1].lower()}{one['msg'][1:]})"
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    given = (
        (name, key) for name, element in added["elements"].items() if isinstance(element, Mapping) for key in element
    )
    found += [f"elements.{name} has {key!r}, which is no key of an element" for name, key in given if key not in _KEYS]
    return (
        f"Butler does not understand the extended universe: {'; '.join(found)}. Expected elements as in a "
        "dimensions.yaml, such as {'tile': {'doc': 'A tile.', 'requires': ['instrument'], "
        "'keys': [{'name': 'id', 'type': 'int'}]}}."
    )


def _check_keys(config: DimensionConfig, added: Mapping[str, Any]) -> None:
    """Check that Butler's own model ignored no key."""
    understood = Config(config.to_simple().model_dump(mode="json", by_alias=True))
    # A "storage" is the old way to say is_cached, which the model resolves.
    ignored = [key for key in Config(added).nameTuples() if key not in understood and "storage" not in key]
    names = [".".join(map(str, key)) for key in ignored if key[:-1] not in ignored]
    if names:
        raise ConfigurationError(f"Butler does not understand {names} of the extended universe.")


def _check_references(config: DimensionConfig, added: Mapping[str, Any]) -> None:
    """Check what Butler does not: it silently drops an unknown implied dimension."""
    for name, referred in _references(added):
        unknown = sorted(set(referred) - set(config["elements"]))
        if unknown:
            raise ConfigurationError(
                f"{name} refers to {unknown}, which the extended universe does not define; "
                f"its elements are {sorted(config['elements'])}."
            )


def _references(added: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for name, element in added["elements"].items():
        for kind in _REFERRING:
            value = element.get(kind) or []
            yield f"{kind!r} of the element {name!r}", [value] if isinstance(value, str) else value
    for name, members in _families(added).items():
        yield f"the family {name!r}", members


def _check_columns(element: DimensionElement) -> None:
    """Check what Butler finds out only while it makes the tables."""
    related = [dimension.name for dimension in (*element.required, *element.implied) if dimension is not element]
    keys = [key.name for key in getattr(element, "unique_keys", ())]
    columns = Counter([*related, *keys, *(column.name for column in element.metadata_columns)])
    repeated = sorted(name for name, number in columns.items() if number > 1)
    if repeated:
        raise ConfigurationError(
            f"The element {element.name!r} has more than one column named {repeated}; its keys, its metadata "
            "and the dimensions it requires or implies need names of their own."
        )


def _check_governors(config: DimensionConfig, builder: DimensionConstructionBuilder) -> None:
    """Check what Butler misses only in queries, or only asserts while it makes the tables."""
    governors = {}
    for family, members in _families(config).items():
        required = [builder.elements[member].required for member in members]
        found = [
            {dimension.name for dimension in each if isinstance(dimension, GovernorDimension)} for each in required
        ]
        if len(set().union(*found)) != 1 or not all(found):
            raise ConfigurationError(
                f"The members of the family {family!r} require the governor dimensions "
                f"{[sorted(names) for names in found]}; expected one and the same, such as ['instrument']."
            )
        governors[family] = found[0].pop()
    spatial = {family: governors[family] for family in config["topology", "spatial"]}
    if len(set(spatial.values())) < len(spatial):
        raise ConfigurationError(
            f"Spatial families need a governor dimension each, but theirs are {spatial}; give the "
            "pipeline's regions one of its own ('governor: true'), as a sky map is for its tracts."
        )


def _difference(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    before, after = (yaml.safe_dump(each).splitlines() for each in (held, wanted))
    return "\n".join(difflib.unified_diff(before, after, "held by this process", "asked for", lineterm=""))


def repository_config(dimensions: DimensionConfig) -> Config:
    """Return what the ``butler.yaml`` of a SPHEREx repository says.

    The datastore gets a name, by which the registry knows where datasets are: Butler's own, made of the root, would be
    another one once the root changes. The file name templates that serve any dataset get the dimensions of an extended
    universe, because Butler wants every dimension in them.
    """
    config = Config({"includeConfigs": [PROVIDER.repository_uri], "datastore": {"name": _DATASTORE}})
    added = [name for name, element in dimensions["elements"].items() if element.get("keys")]
    added = sorted(set(added) - set(dimension_config()["elements"]))
    fields = "".join(f"_{name}-{{{name}:?}}" for name in added)
    templates = PROVIDER.repository()["datastore", "templates"]
    for name in ("default", "SpectralImage") if added else ():
        config["datastore", "templates", name] = templates[name].removesuffix("_{run}") + fields + "_{run}"
    return config
