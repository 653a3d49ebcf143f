"""The contents of YAML and JSON files, which can only be read whole and are therefore only read if they are short."""

from __future__ import annotations

__all__ = ("read_json", "read_yaml")

import json
from typing import Any

import yaml
from lsst.resources import ResourcePath

from ..errors import FormatError
from .content import Content, Part

_MOST_TEXT = 1 << 20
"""Bytes of a file that is read."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The quick one, where PyYAML was built with it."""


def read_yaml(uri: ResourcePath, size: int | None) -> Content:
    """Return what a YAML file holds: its nodes and not its values, which may be endless, or objects of any kind."""
    try:
        node = yaml.compose(_whole_text("YAML", uri, size), _LOADER)
    except (yaml.YAMLError, RecursionError) as error:
        raise _not_expected("YAML", error) from error
    if isinstance(node, yaml.MappingNode):
        return Content("YAML", tuple(_yaml_part(str(key.value), value) for key, value in node.value))
    return Content("YAML", () if node is None else (_yaml_part("", node),))


def _yaml_part(name: str, node: yaml.Node) -> Part:
    if isinstance(node, yaml.CollectionNode):
        return _counted(name, len(node.value), is_mapping=isinstance(node, yaml.MappingNode))
    return Part(name=name, kind=str(node.tag).removeprefix("tag:yaml.org,2002:"))


def read_json(uri: ResourcePath, size: int | None) -> Content:
    """Return what a JSON file holds."""
    try:
        value = json.loads(_whole_text("JSON", uri, size))
    except (ValueError, RecursionError) as error:
        raise _not_expected("JSON", error) from error
    if isinstance(value, dict):
        return Content("JSON", tuple(_json_part(key, inner) for key, inner in value.items()))
    return Content("JSON", (_json_part("", value),))


def _json_part(name: str, value: Any) -> Part:
    if isinstance(value, dict | list):
        return _counted(name, len(value), is_mapping=isinstance(value, dict))
    return Part(name=name, kind=type(value).__name__.replace("NoneType", "null"))


def _counted(name: str, count: int, *, is_mapping: bool) -> Part:
    return Part(name=name, kind=f"{'mapping' if is_mapping else 'list'} of {count}")


def _whole_text(name: str, uri: ResourcePath, size: int | None) -> str:
    size = uri.size() if size is None else size
    if size > _MOST_TEXT:
        raise FormatError(
            f"It has {size} bytes, and {name} can only be read whole; butler.get in Python does that (expected at "
            f"most {_MOST_TEXT} here)."
        )
    try:
        return uri.read(_MOST_TEXT).decode()
    except UnicodeDecodeError as error:
        raise _not_expected(name, error) from error


def _not_expected(name: str, error: Exception) -> FormatError:
    return FormatError(f"It is not the {name} that was expected: {' '.join(str(error).split())}")
