"""Everything this package configures Butler with, in one object.

The environment variable, an ``includeConfigs`` line and `.repository.creation.make_repo` are
layers over it, and so would be the entry points that Butler plans for the
configuration of installed packages (DMTN-352).
"""

from __future__ import annotations

__all__ = ("PROVIDER", "ConfigurationProvider")

from lsst.daf.butler import Config, DimensionConfig

from ..paths import config_uri


class ConfigurationProvider:
    """Reads the packaged configuration; each call returns a copy of its own."""

    repository_uri = config_uri("repository/butler.yaml")
    """What the ``butler.yaml`` of a SPHEREx repository includes."""

    def storage_classes(self) -> Config:
        """Definitions by storage class name, under the key ``storageClasses``."""
        return Config(config_uri("storageClasses.yaml"))

    def formatters(self) -> Config:
        """Formatters by storage class name."""
        return Config(Config(config_uri("datastores/fileDatastore.yaml"))["datastore", "formatters"])

    def templates(self) -> Config:
        """File name templates for any repository, all of them for the instrument SPHEREx only."""
        return Config(Config(config_uri("datastores/templates.yaml"))["datastore", "templates"])

    def repository(self) -> Config:
        """The whole configuration of a SPHEREx repository, includes resolved."""
        return Config(self.repository_uri)

    def obscore(self) -> Config:
        """How images are shown to the Virtual Observatory, as Butler's ObsCore managers read it."""
        return Config(config_uri("repository/obscore.yaml"))

    def dimensions(self) -> DimensionConfig:
        """The SPHEREx dimension universe."""
        return DimensionConfig(config_uri("repository/dimensions.yaml"))


PROVIDER = ConfigurationProvider()
