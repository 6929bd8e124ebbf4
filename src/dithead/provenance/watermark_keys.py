"""Reads the secret keys of an installation's watermark; without one, marks are made and found with the public key.

A key is a file of random bytes that ``trust.toml`` names in ``watermark_keys``. The first marks outputs; all of them
and the public one are searched for, so that a key can be replaced and old outputs are still recognised.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from dithead.errors import ConfigError
from dithead.media.files import printable
from dithead.provenance.settings import read_settings
from dithead.provenance.watermark import PUBLIC_KEY

KeyKind = Literal["public", "own"]
"""public: the key of everyone; own: one of this installation's secret keys."""
_SHORTEST, _LONGEST = 16, 4096  # bytes of a key: 128 bits cannot be guessed; more than a page is some other file


def marking_key() -> bytes:
    """Return the key with which outputs are marked.

    Raises:
        ConfigError: The configured file cannot be read, or is too short or too long for a key.
    """
    named = read_settings().watermark_keys
    return _read(named[0]) if named else PUBLIC_KEY


def known_keys() -> tuple[bytes, ...]:
    """Return the keys that marks are searched for: this installation's own and the public one; see ``marking_key``."""
    own = [_read(path) for path in read_settings().watermark_keys]
    return tuple(dict.fromkeys([*own, PUBLIC_KEY]))


def marking_key_state() -> list[str | int] | None:
    """Return place, size and time of the file of the key that marks; None for the public key."""
    named = read_settings().watermark_keys
    if not named:
        return None
    found = named[0].stat()
    return [str(named[0].resolve()), found.st_size, found.st_mtime_ns]


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            key = file.read(_LONGEST + 1)
    except OSError as error:
        raise ConfigError(
            f"{printable(path)}: cannot be read ({error.strerror}); see watermark_keys in trust.toml"
        ) from None
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ConfigError(f"{printable(path)}: a watermark key has {_SHORTEST} to {_LONGEST} bytes, random ones")
    return key
