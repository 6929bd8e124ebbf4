"""Finds the folder of a model by shipped name, path or Hugging Face hub id."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from dithead.errors import MissingExtraError, ModelError

DEFAULT_MODEL = "small"
"""Model that is used where none is named."""
SHIPPED = ("small",)
"""Models that come with the package."""
MODEL_FILES = ("config.json", "hashes.json", "*.safetensors", "MODEL_CARD.md")
"""Patterns of the files that are fetched from the hub."""

_HUB_ID = re.compile(r"(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(?:@(?P<revision>[\w./-]+))?")


def resolve_model(ref: str | Path) -> Path:
    """Find the folder that ``ref`` names.

    Args:
        ref: In this order: the name of a shipped model, an existing folder, ``org/name`` or ``org/name@revision`` on
            the Hugging Face hub (from its cache when it is there).

    Raises:
        ModelError: There is nothing by that name; the message says what to do.
    """
    text = str(ref)
    if text in SHIPPED:
        return _shipped_folder(text)
    folder = Path(text).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ModelError(f"{text} is a file; --model takes a name ({', '.join(SHIPPED)}), a folder or a hub id")
    match = _HUB_ID.fullmatch(text) if isinstance(ref, str) else None
    if match is None or text.startswith((".", "~")):
        raise ModelError(f"no model folder at {text}; the shipped models are: {', '.join(SHIPPED)}")
    return _fetch(match["repo"], match["revision"])


def _shipped_folder(name: str) -> Path:
    folder = Path(str(files("dithead"))) / "weights" / name
    if not (folder / "config.json").is_file():
        raise ModelError(f"the shipped model '{name}' is missing from {folder}; reinstall dithead")
    return folder


def _fetch(repo: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import snapshot_download  # takes half a second, so only where it is needed
    except ImportError:
        raise MissingExtraError("hub", "huggingface_hub") from None

    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(MODEL_FILES)))
    except (OSError, ValueError) as error:  # every error of the hub library is one of these two
        command = f"hf download {repo}" + (f" --revision {revision}" if revision else "")
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"model {repo} is neither a folder nor in the hub's cache, and fetching it failed ({reason}); "
            f"check the name and the connection, then: {command}"
        ) from error
