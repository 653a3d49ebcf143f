"""Everything this package configures Butler with, in one object.

The environment variable, an ``includeConfigs`` line and `.repository.creation.make_repo` are
layers over it, and so would be the entry points that Butler plans for the
configuration of installed packages (DMTN-352).
"""

from __future__ import annotations

__all__ = ("PROVIDER", "ConfigurationProvider")

from dataclasses import dataclass

from lsst.daf.butler import Config, DimensionConfig

from ..paths import config_path, config_uri


@dataclass(frozen=True, slots=True)
class ConfigurationProvider:
    """Reads the packaged configuration; each call returns a copy of its own.

    Parameters
    ----------
    storage_class_file, datastore_file
        What any repository may use, whatever its universe and instruments.
    template_file
        What any repository with SPHEREx data may include, too.
    repository_file
        What a SPHEREx repository includes: the above and more.
    dimension_file
        The dimension universe.
    """

    storage_class_file: str = "storageClasses.yaml"
    datastore_file: str = "datastores/fileDatastore.yaml"
    template_file: str = "datastores/templates.yaml"
    repository_file: str = "repository/butler.yaml"
    dimension_file: str = "repository/dimensions.yaml"

    @property
    def folder(self) -> str:
        """The folder for ``DAF_BUTLER_CONFIG_PATH``."""
        return config_path()

    @property
    def repository_uri(self) -> str:
        """What the ``butler.yaml`` of a SPHEREx repository includes."""
        return config_uri(self.repository_file)

    def storage_classes(self) -> Config:
        """Definitions by storage class name, under the key ``storageClasses``."""
        return Config(config_uri(self.storage_class_file))

    def formatters(self) -> Config:
        """Formatters by storage class name."""
        return Config(Config(config_uri(self.datastore_file))["datastore", "formatters"])

    def templates(self) -> Config:
        """File name templates for any repository, all of them for the instrument SPHEREx only."""
        return Config(Config(config_uri(self.template_file))["datastore", "templates"])

    def repository(self) -> Config:
        """The whole configuration of a SPHEREx repository, includes resolved."""
        return Config(self.repository_uri)

    def dimensions(self) -> DimensionConfig:
        """The SPHEREx dimension universe."""
        return DimensionConfig(config_uri(self.dimension_file))


PROVIDER = ConfigurationProvider()
