"""The exceptions this package raises, by what the reader can do about them; its warning; what to say of any error."""

__all__ = (
    "ConfigurationError",
    "FormatError",
    "ParameterError",
    "RepositoryError",
    "SpherexButlerError",
    "SpherexButlerWarning",
    "hide_secrets",
    "near",
    "reason_of",
)

import difflib
import re
from collections.abc import Collection, Iterator

_HIDDEN = "***"

_PASSWORD = re.compile(
    r"""(?P<before>\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@'"]*:)  # a scheme and a user
        (?!\d+/)                                             # what is a port, and no password
        [^\s'"@]+(?:@(?=[^\s/'"]*@)[^\s/'"@]*)*              # also one with an @ of its own
        (?=@)""",
    re.VERBOSE,
)
_UNREACHABLE = re.compile(r"HTTPS?ConnectionPool\(host='([^']+)'.*(?:Max retries|NewConnection|Failed to resolve)")
_PARAMETER = re.compile(
    r"""(?P<before>[?&](?:x-(?:amz|goog)-(?:signature|credential|security-token)|signature|sig|awsaccesskeyid
            |googleaccessid|access_token|token)=     # of an address
        |(?:^|[?&;\s'"(])(?:ssl)?passw(?:or)?d=)      # of a database, also in its own notation
        [^&\s'"\#;)]+""",
    re.VERBOSE | re.IGNORECASE,
)


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


class SpherexButlerWarning(UserWarning):
    """Something was done as asked, but probably something else was meant."""


def reason_of(error: BaseException) -> str:
    """Return on one line why something cannot be done, without passwords."""
    said = getattr(error, "orig", None)  # by a database, to which SQLAlchemy adds the statement and its parameters
    text = hide_secrets(" ".join(str(error if said is None else said).split()))
    if (unreachable := _UNREACHABLE.search(text)) is not None:  # of urllib3, with addresses of objects in memory
        text = f"the server {unreachable[1]} cannot be reached"
    return text if isinstance(error, SpherexButlerError) else ": ".join(filter(None, (type(error).__name__, text)))


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes, each once: libraries have made circles of them."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def near(name: str, known: Collection[str]) -> str:
    """Return the end of a sentence about an unknown name: a question whether one was meant that is nearly the same."""
    by_lower = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[found[0]]!r}?" if found else "."


def hide_secrets(text: str) -> str:
    """Return a text with the passwords, and the signatures of signed addresses, in its URLs replaced by asterisks.

    ``postgresql://user:secret@host/name`` becomes ``postgresql://user:***@host/name``. Of a query string what grants
    access is replaced (``X-Amz-Signature=``, ``sig=``, ``token=``, ``password=`` and the like), and nothing else.
    """
    if "@" in text:  # looked for first: nearly no text has one, and a table as JSON has a million texts
        text = _PASSWORD.sub(rf"\g<before>{_HIDDEN}", text)
    return _PARAMETER.sub(rf"\g<before>{_HIDDEN}", text) if "=" in text else text
