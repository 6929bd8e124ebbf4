"""Loads the C2PA library and keeps it from the network."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from dithead.errors import ConfigError
from dithead.limits import MAX_CREDENTIALS
from dithead.provenance.keys import trusted_certificates

_IN_MEMORY = 16
"""MB of a file that is being signed up to which the library holds its copy in memory instead of on disk.

Our choice: the library's own 512 would make memory grow with the length of a video."""


@cache
def credentials_library() -> Any:
    """Import ``c2pa``; it takes a quarter of a second.

    Raises:
        ConfigError: It is not installed, or there is no build of it for this machine.
    """
    try:
        return import_module("c2pa")
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"Content Credentials need c2pa-python, which cannot be loaded here ({reason}); "
            "install it with: pip install 'c2pa-python>=0.38,<0.39', or give --no-credentials"
        ) from None


def offline_context() -> Any:
    """Return a context that trusts this machine's certificates and fetches nothing: no manifest, revocation or list."""
    settings: dict[str, Any] = {
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
        "core": {"backing_store_memory_threshold_in_mb": _IN_MEMORY},
        "builder": {"thumbnail": {"enabled": False}},  # a thumbnail would show the source
    }
    if anchors := trusted_certificates():
        settings["trust"] = {"user_anchors": anchors.decode()}
    return credentials_library().Context.from_dict(settings)


def read_store(sidecar: Path) -> bytes:
    """Read the credentials that lie beside a file. Raises OSError where they cannot be read or are too large."""
    with sidecar.open("rb") as file:
        content = file.read(MAX_CREDENTIALS + 1)
    if len(content) > MAX_CREDENTIALS:
        raise OSError(f"its credentials are larger than {MAX_CREDENTIALS >> 20} MiB")
    return content


def is_c2pa_error(error: Exception) -> bool:
    """Tell whether the C2PA library raised this error."""
    return isinstance(error, credentials_library().C2paError)
