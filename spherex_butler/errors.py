"""The exceptions this package raises, by what the reader can do about them."""

__all__ = ("ConfigurationError", "FormatError", "ParameterError", "RepositoryError", "SpherexButlerError", "reason_of")


class SpherexButlerError(Exception):
    """Base class of every error this package raises on purpose."""


class FormatError(SpherexButlerError, ValueError):
    """A name, header or file is not what its format says it should be."""


class ParameterError(SpherexButlerError, ValueError):
    """A caller asked for something that does not exist or has no meaning."""


class ConfigurationError(SpherexButlerError, RuntimeError):
    """The process, the configuration and the repository do not fit together."""


class RepositoryError(ConfigurationError):
    """The repository itself failed, whatever was to be done: its database, its disk, or the permission to write."""


def reason_of(error: Exception) -> str:
    """Return on one line why something cannot be done."""
    said = getattr(error, "orig", None)  # by a database, to which SQLAlchemy adds the statement and its parameters
    text = " ".join(str(error if said is None else said).split())
    return text if isinstance(error, SpherexButlerError) else ": ".join(filter(None, (type(error).__name__, text)))
