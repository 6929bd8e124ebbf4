"""Loads pretrained networks of diffusers and transformers by hub id or folder, with errors that say what to do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from dithead.errors import MissingExtraError, ModelError

Loaded = TypeVar("Loaded")


def load_pretrained(source: str, load: Callable[[], Loaded]) -> Loaded:
    """Return ``load()``, which reads the network called ``source``.

    Args:
        source: A hub id or a folder, for the error message.
        load: Reads the network, for instance ``lambda: Model.from_pretrained(source)``.

    Raises:
        ModelError: ``source`` is neither a folder nor in the hub's cache, and cannot be fetched.
    """
    hub = logging.getLogger("huggingface_hub")
    before = hub.level
    hub.setLevel(logging.ERROR)  # the hub library logs every retry; the error below says what went wrong
    try:
        return load()
    except (OSError, ValueError) as error:
        why = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelError(
            f"{source} is neither a folder of weights nor in the hub's cache, and fetching it failed ({why[:160]}); "
            f"where there is a connection: hf download {source}"
        ) from None
    finally:
        hub.setLevel(before)


def diffusers_library() -> Any:
    """Import diffusers; MissingExtraError where it is not installed."""
    try:
        import diffusers
    except ImportError:
        raise MissingExtraError("train", "diffusers") from None
    return diffusers


def transformers_library() -> Any:
    """Import transformers without its warnings; MissingExtraError where it is not installed."""
    try:
        import transformers
    except ImportError:
        raise MissingExtraError("train", "transformers") from None
    transformers.logging.set_verbosity_error()
    return transformers


def load_whisper(source: str) -> Any:
    """The encoder of a transformers Whisper, by hub id or folder. Raises ModelError."""
    model: Any = load_pretrained(source, lambda: transformers_library().WhisperModel.from_pretrained(source))
    return model.encoder.eval()


def load_moonshine(source: str) -> Any:
    """The encoder of a transformers Moonshine, by hub id or folder. Raises ModelError."""
    model: Any = load_pretrained(source, lambda: transformers_library().MoonshineModel.from_pretrained(source))
    return model.encoder.eval()
