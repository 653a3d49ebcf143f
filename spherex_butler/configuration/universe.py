"""The SPHEREx dimension universe: read, compared with what the process holds, and extended."""

from __future__ import annotations

__all__ = ("claim_universe", "definition", "dimension_config", "extend_universe", "require_ours")

import difflib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import yaml
from lsst.daf.butler import Config, DimensionConfig, DimensionElement, DimensionUniverse, GovernorDimension
from pydantic import ValidationError

from ..errors import ConfigurationError
from .provider import PROVIDER

_TAKEN_NAMESPACES = ("spherex", "daf_butler")


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
    """Return what a universe's configuration defines, so that two can be compared.

    Documentation and the order of sets are left out, defaults are filled in.
    """
    model = config.to_simple().model_dump(mode="json", by_alias=True)
    model["elements"] = {name: _element(element) for name, element in sorted(model["elements"].items())}
    return model


def _element(element: dict[str, Any]) -> dict[str, Any]:
    columns = {
        kind: [{key: value for key, value in column.items() if key != "doc"} for column in element[kind]]
        for kind in ("keys", "metadata")
    }
    sets = {kind: sorted(element[kind]) for kind in ("requires", "implies")}
    return {key: value for key, value in element.items() if key != "doc"} | columns | sets


def claim_universe(config: DimensionConfig) -> DimensionUniverse:
    """Return this process's universe of exactly this definition.

    Butler keeps one universe a process for each namespace and version, and
    silently takes any other definition under the same pair for the same: a
    repository made then would lack tables.

    Raises
    ------
    ConfigurationError
        Raised if the process holds another definition under the namespace and
        version of ``config``.
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
    """Check that a universe has all of ours, as we define it: elements, families and pixels.

    Raises
    ------
    ConfigurationError
        Raised if one is missing or defined otherwise.
    """
    ours, theirs = _parts(dimension_config()), _parts(config)
    wrong = [name for name in ours if ours[name] != theirs.get(name)]
    if wrong:
        raise ConfigurationError(
            f"The dimension universe {config.get('namespace')!r}, version {config['version']}, lacks or "
            f"redefines {wrong}, which a SPHEREx repository needs as spherex_butler defines them; make it "
            "with spherex_butler.extend_universe."
        )


def _parts(config: DimensionConfig) -> dict[str, Any]:
    """Return what is defined by name, and the pixelizations as one."""
    whole = definition(config)
    return {**whole["elements"], **dict(_families(whole)), "skypix": whole["skypix"]}


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
    base = dimension_config().toDict()
    added = {"elements": _plain(elements), "topology": _plain(topology or {})}
    _check_clashes(base, added)
    extended = DimensionConfig(
        base
        | {"namespace": namespace, "version": version, "elements": base["elements"] | added["elements"]}
        | {"topology": _merged_topology(base["topology"], added["topology"])}
    )
    _check_definition(extended, added)
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


def _plain(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy in plain dictionaries, whatever mappings it came in."""
    return {key: _plain(value) if isinstance(value, Mapping) else value for key, value in section.items()}


def _names(section: Mapping[str, Any]) -> set[str]:
    """Return all that is defined by name; Butler keeps elements, families and pixelizations together."""
    families = {name for name, _ in _families(section)}
    return {*section["elements"], *families, *section.get("skypix", {})}


def _check_clashes(base: Mapping[str, Any], added: Mapping[str, Any]) -> None:
    unknown = sorted(set(added["topology"]) - {"spatial", "temporal"})
    if unknown:
        raise ConfigurationError(f"Unknown topology {unknown}; expected 'spatial' or 'temporal'.")
    pixels = {dimension.name for dimension in DimensionUniverse(dimension_config()).skypix_dimensions}
    clashes = sorted(_names(added) & (_names(base) | pixels))
    if clashes:
        raise ConfigurationError(
            f"{clashes} are defined by the SPHEREx universe already; give the pipeline's elements and "
            "families names of their own."
        )


def _merged_topology(base: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    return {space: base.get(space, {}) | added.get(space, {}) for space in {**base, **added}}


def _check_definition(config: DimensionConfig, added: Mapping[str, Any]) -> None:
    """Build the universe without registering it in the process."""
    try:
        understood = config.to_simple().model_dump(mode="json", by_alias=True, exclude_unset=True)
        unknown = sorted(_unknown_keys(added, understood))
        if unknown:
            raise ConfigurationError(f"Butler does not understand {unknown} of the extended universe.")
        _check_references(config, added)
        builder = config.makeBuilder()
        builder.finish()
    except (ValidationError, RuntimeError, KeyError, TypeError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"Butler cannot build the extended universe: {error}") from error
    for name in added["elements"]:
        _check_columns(builder.elements[name])
    governors = {
        name: _governor(name, [builder.elements[member] for member in members]) for name, members in _families(config)
    }
    _check_spatial_governors({name: governors[name] for name in config["topology"].get("spatial", {})})


def _check_columns(element: DimensionElement) -> None:
    """Check what Butler finds out only while it makes the tables."""
    related = [dimension.name for dimension in (*element.required, *element.implied) if dimension is not element]
    keys = [key.name for key in getattr(element, "unique_keys", ())]
    columns = [*related, *keys, *(column.name for column in element.metadata_columns)]
    repeated = sorted(name for name, number in Counter(columns).items() if number > 1)
    if repeated:
        raise ConfigurationError(
            f"The element {element.name!r} has more than one column named {repeated}; its keys, its metadata "
            "and the dimensions it requires or implies need names of their own."
        )


def _governor(family: str, members: Iterable[DimensionElement]) -> str:
    """Return the governor dimension of a family, which Butler misses only in queries."""
    governors = [{d.name for d in member.required if isinstance(d, GovernorDimension)} for member in members]
    if len(set().union(*governors)) != 1 or not all(governors):
        raise ConfigurationError(
            f"The members of the family {family!r} require the governor dimensions "
            f"{[sorted(names) for names in governors]}; expected one and the same, such as ['instrument']."
        )
    return governors[0].pop()


def _check_spatial_governors(governors: Mapping[str, str]) -> None:
    """Check what Butler only asserts while it makes the tables."""
    if len(set(governors.values())) < len(governors):
        raise ConfigurationError(
            f"Spatial families need a governor dimension each, but theirs are {dict(governors)}; give the "
            "pipeline's regions one of its own ('governor: true'), as a sky map is for its tracts."
        )


def _check_references(config: DimensionConfig, added: Mapping[str, Any]) -> None:
    """Check what Butler does not: it silently drops an unknown implied dimension."""
    elements = config["elements"]
    for name, referred in _references(added):
        unknown = sorted(set(referred) - set(elements))
        if unknown:
            raise ConfigurationError(
                f"{name} refers to {unknown}, which the extended universe does not define; "
                f"its elements are {sorted(elements)}."
            )


def _references(added: Mapping[str, Any]) -> Iterator[tuple[str, Collection[str]]]:
    for name, element in added["elements"].items():
        for kind in ("requires", "implies"):
            yield f"{kind!r} of the element {name!r}", element.get(kind) or ()
        for kind in ("populated_by", "implied_union_target"):
            yield f"{kind!r} of the element {name!r}", [element[kind]] if element.get(kind) else ()
    for name, members in _families(added):
        yield f"the family {name!r}", members


def _families(section: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for families in section["topology"].values():
        yield from families.items()


def _unknown_keys(given: Any, understood: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of keys that were given but that Butler's own model ignored."""
    if isinstance(given, Mapping) and isinstance(understood, Mapping):
        for key, value in given.items():
            if key == "storage":  # the old way to say is_cached, resolved by the model
                continue
            if key not in understood:
                yield f"{path}{key}"
            yield from _unknown_keys(value, understood.get(key), f"{path}{key}.")
    elif isinstance(given, list) and isinstance(understood, list):
        for number, (value, model) in enumerate(zip(given, understood, strict=False)):
            yield from _unknown_keys(value, model, f"{path}{number}.")


def _difference(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    return "\n".join(
        difflib.unified_diff(
            yaml.safe_dump(held).splitlines(),
            yaml.safe_dump(wanted).splitlines(),
            "held by this process",
            "asked for",
            lineterm="",
        )
    )


def repository_config(dimensions: DimensionConfig) -> Config:
    """Return what the ``butler.yaml`` of a SPHEREx repository says.

    Parameters
    ----------
    dimensions
        The repository's universe; if it extends ours, the file name templates
        that serve any dataset are extended, too, as Butler wants every dimension in them.
    """
    config = Config({"includeConfigs": [PROVIDER.repository_uri]})
    added = [name for name, element in dimensions["elements"].items() if element.get("keys")]
    added = sorted(set(added) - set(dimension_config()["elements"]))
    fields = "".join(f"_{name}-{{{name}:?}}" for name in added)
    templates = PROVIDER.repository()["datastore", "templates"]
    for name in ("default", "SpectralImage") if added else ():
        config["datastore", "templates", name] = templates[name].removesuffix("_{run}") + fields + "_{run}"
    return config
