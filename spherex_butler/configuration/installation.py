"""What `install` changes in the process: search path, storage classes, default universe, ``Butler.makeRepo``.

All of it is process-wide, as what Butler reads is: threads share it. Installing
and leaving are serialized, and of several overlapping contexts the last to
leave puts things back.
"""

from __future__ import annotations

__all__ = ("Installation", "install")

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

from lsst.daf.butler import Butler, ButlerConfig, Config, ConfigSubset, DimensionConfig, StorageClassFactory

from ..errors import ConfigurationError
from ..paths import CONFIG_PATH_VARIABLE, config_path
from .provider import PROVIDER
from .universe import claim_universe, definition, dimension_config, repository_config, require_ours


class Installation:
    """What `install` returns: made already, and undone at the end of a ``with`` block."""

    _lock = threading.RLock()
    _undo: ClassVar[ExitStack | None] = None
    """Undoes our changes, while they are made."""
    _contexts: ClassVar[int] = 0
    """How many ``with`` blocks are being executed."""
    _permanent: ClassVar[bool] = False
    """Whether the changes stay after the last of these."""

    def __init__(self) -> None:
        self._is_owner = self._apply()

    def __enter__(self) -> Self:
        with self._lock:
            if self._apply() or self._is_owner:
                Installation._permanent = False
            Installation._contexts += 1
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            Installation._contexts -= 1
            if self._contexts == 0 and not self._permanent and self._undo is not None:
                undo, Installation._undo = self._undo, None
                undo.close()

    @classmethod
    def _apply(cls) -> bool:
        """Make our changes unless they are made; return whether they were not."""
        with cls._lock:
            if cls._undo is not None:
                return False
            with ExitStack() as stack:
                claim_universe(dimension_config())
                stack.enter_context(_known_storage_classes())
                stack.enter_context(_search_path())
                stack.enter_context(_pointing_repositories())
                cls._undo = stack.pop_all()
            cls._permanent = True
            return True


def install() -> Installation:
    """Make this process speak SPHEREx: by default, its repositories are ours.

    From now on ``DAF_BUTLER_CONFIG_PATH`` holds our folders (child processes
    inherit it), our storage classes are known, ``DimensionUniverse()`` is ours,
    and ``Butler.makeRepo`` makes SPHEREx repositories, which then open in any
    process, as those of `.make_repo` do. Repositories of other universes open as
    before.

    Returns
    -------
    installation
        A context manager, at whose end all this and the environment are as
        they were before; without ``with`` the changes stay. Doing it again
        changes nothing.

    Raises
    ------
    ConfigurationError
        Raised if the process holds other definitions of our universe or of one
        of our storage classes. The process is left as it was.

    Notes
    -----
    A `Butler` opened inside the context must not be used after it: its storage
    classes are forgotten there.
    """
    return Installation()


@contextmanager
def _known_storage_classes() -> Iterator[None]:
    factory = StorageClassFactory()
    config = PROVIDER.storage_classes()
    added = [name for name in config["storageClasses"] if name not in factory]
    try:
        factory.addFromConfig(config)
        yield
    except ValueError as error:
        raise ConfigurationError(
            f"This process holds another definition of one of our storage classes: {error}. Find it with "
            "spherex_butler.configuration.check.check_configuration and give it a name of its own."
        ) from error
    finally:
        for name in added:
            if name in factory:
                factory._unregisterStorageClass(name)  # noqa: SLF001  # reset() would drop other packages' classes


@contextmanager
def _search_path() -> Iterator[None]:
    """Put our folders on the path, and take them off again; folders that others add meanwhile stay."""
    before = os.environ.get(CONFIG_PATH_VARIABLE)
    given = before.split(os.pathsep) if before else []
    folder = config_path()
    added = [str(Path(folder, "repository"))]  # holds nothing that Butler looks for but the universe
    if folder not in given:
        added.append(folder)
    after = os.environ[CONFIG_PATH_VARIABLE] = os.pathsep.join(added + given)
    try:
        _check_effect()
        yield
    finally:
        now = os.environ.get(CONFIG_PATH_VARIABLE, after).split(os.pathsep)
        for entry in added:
            if entry in now:
                now.remove(entry)
        os.environ[CONFIG_PATH_VARIABLE] = os.pathsep.join(now)
        if before is None and not now:
            del os.environ[CONFIG_PATH_VARIABLE]


def _check_effect() -> None:
    config = DimensionConfig()
    if definition(config) != definition(dimension_config()):
        raise ConfigurationError(
            f"Butler takes the default universe from {str(config.filesRead[0])!r} even before "
            f"{CONFIG_PATH_VARIABLE}, because the file is in the current folder; work in another one."
        )


@contextmanager
def _pointing_repositories() -> Iterator[None]:
    """Have ``Butler.makeRepo`` write the line that makes a SPHEREx repository open anywhere."""
    original = Butler.__dict__["makeRepo"]

    @functools.wraps(original.__func__)
    def makeRepo(
        root: Any, config: Any = None, dimensionConfig: Any = None, standalone: bool = False, *args: Any, **kwargs: Any
    ) -> Config:
        if not (standalone or isinstance(config, ButlerConfig | ConfigSubset)):  # the latter Butler refuses
            config = _with_pointer(config, DimensionConfig(dimensionConfig))
        made: Config = original.__func__(root, config, dimensionConfig, standalone, *args, **kwargs)
        return made

    Butler.makeRepo = staticmethod(makeRepo)  # type: ignore[method-assign]  # there is no hook for it
    try:
        yield
    finally:
        Butler.makeRepo = original  # type: ignore[method-assign]


def _with_pointer(given: Config | str | None, dimensions: DimensionConfig) -> Config | str | None:
    try:
        require_ours(dimensions)
    except ConfigurationError:
        return given  # a repository of another universe
    given = Config(given)
    config = repository_config(dimensions)
    includes = [uri for uri in given.pop("includeConfigs", []) if uri not in config["includeConfigs"]]
    config.update(given)
    config["includeConfigs"] += includes
    return config
