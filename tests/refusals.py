"""Why something was refused, with all that was said on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spherex_butler.errors import FormatError


def messages(info: pytest.ExceptionInfo[BaseException]) -> str:
    """Return the messages of an exception and of its causes: Butler wraps a formatter's."""
    texts, error = [], info.value
    while error is not None:
        texts.append(str(error))
        error = error.__cause__
    return " | ".join(texts)


def refused(storage_class: str, store: Any, dataset: Any) -> str:
    """Return why a put failed, having checked that it left no file."""
    before = store.files()
    with pytest.raises(Exception) as info:  # noqa: PT011
        store.put(dataset, storage_class)
    assert store.files() == before
    return messages(info)


def refused_get(store: Any, ref: Any, component: str | None = None, **parameters: Any) -> str:
    """Return why a get failed."""
    with pytest.raises(Exception) as info:  # noqa: PT011
        store.get(ref, component, **parameters)
    return messages(info)


def refused_read(store: Any, ref: Any, path: Path, component: str | None = None) -> str:
    """Return why a file cannot be read by a dataset's formatter alone: Butler would stop at the file's size."""
    formatter = store.butler._datastore._prepare_for_direct_get(ref, {})[0].formatter
    with pytest.raises(FormatError) as info:
        formatter.read_from_local_file(str(path), component)
    return messages(info)
