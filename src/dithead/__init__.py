"""dithead: make a person in a video speak a given speech track.

    import dithead

    dithead.generate(video="face.mp4", audio="speech.wav", output="out.mp4")

Importing the package loads nothing heavy; a name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dithead.checkpoint import load_model as load_model
    from dithead.checkpoint import save_model as save_model
    from dithead.errors import ConfigError as ConfigError
    from dithead.errors import DataError as DataError
    from dithead.errors import DitheadError as DitheadError
    from dithead.errors import FaceError as FaceError
    from dithead.errors import MediaError as MediaError
    from dithead.errors import MissingExtraError as MissingExtraError
    from dithead.errors import ModelError as ModelError
    from dithead.errors import OutputError as OutputError
    from dithead.inference.dithead_pipeline import DitheadPipeline as DitheadPipeline
    from dithead.inference.pipeline import generate as generate
    from dithead.inference.result import GenerateResult as GenerateResult
    from dithead.prepare.prepare_dataset import prepare_dataset as prepare_dataset
    from dithead.provenance.verify import VerifyResult as VerifyResult
    from dithead.provenance.verify import verify as verify

__version__ = "0.1.0"

_ERRORS = (
    "ConfigError",
    "DataError",
    "DitheadError",
    "FaceError",
    "MediaError",
    "MissingExtraError",
    "ModelError",
    "OutputError",
)
_HOME = {
    "DitheadPipeline": "dithead.inference.dithead_pipeline",
    "GenerateResult": "dithead.inference.result",
    "generate": "dithead.inference.pipeline",
    "load_model": "dithead.checkpoint",
    "prepare_dataset": "dithead.prepare.prepare_dataset",
    "save_model": "dithead.checkpoint",
    "verify": "dithead.provenance.verify",
    "VerifyResult": "dithead.provenance.verify",
    **dict.fromkeys(_ERRORS, "dithead.errors"),
}

__all__ = [
    "ConfigError",
    "DataError",
    "DitheadError",
    "DitheadPipeline",
    "FaceError",
    "GenerateResult",
    "MediaError",
    "MissingExtraError",
    "ModelError",
    "OutputError",
    "VerifyResult",
    "__version__",
    "generate",
    "load_model",
    "prepare_dataset",
    "save_model",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dithead' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
