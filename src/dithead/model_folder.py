"""Names and verifies the files of a model folder, without importing what reads its weights.

``checkpoint`` says what a folder holds, and writes and loads it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from dithead.errors import ModelError
from dithead.limits import parse_json, read_text

PARTS = ("autoencoder", "dit", "audio")
"""Parts of a model, each with its own file of weights."""
CONFIG, HASHES, CARD = "config.json", "hashes.json", "MODEL_CARD.md"
HASHED = (CONFIG, *(f"{part}.safetensors" for part in PARTS))
"""Files whose hashes are checked before use."""


def verify_folder(folder: Path) -> dict[str, int]:
    """Check every hashed file of a model folder.

    Returns:
        Sizes of the files in bytes by name.

    Raises:
        ModelError: A file is missing or has another hash; the first such file is named.
    """
    hashes = read_json(folder / HASHES)
    for name in HASHED:
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name} is missing; copy or fetch the model again")
        if hashes.get(name) != file_hash(folder / name):
            raise ModelError(f"{folder / name} does not match its SHA-256 in {HASHES}; copy or fetch the model again")
    return {name: (folder / name).stat().st_size for name in HASHED}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises ModelError when the file is missing or holds anything else."""
    if not path.is_file():
        raise ModelError(f"{path.parent} is not a model folder: {path.name} is missing")
    try:
        content = parse_json(read_text(path, str(path), ModelError))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}); copy or fetch the model again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a JSON object; copy or fetch the model again")
    return content


def file_hash(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
