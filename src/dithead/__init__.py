"""dithead: make a person in a video speak a given speech track.

    import dithead

    dithead.generate(video="face.mp4", audio="speech.wav", output="out.mp4")

Importing the package loads nothing heavy; a name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dithead.errors import DitheadError as DitheadError

__version__ = "0.1.0"

_LAZY = {
    "DitheadError": "dithead.errors",
}

__all__ = ["DitheadError", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'dithead' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
