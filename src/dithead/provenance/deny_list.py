"""Keeps an operator's list of faces that may not be redrawn, as embeddings on this machine, and searches it.

The list is a JSON file that its owner alone can read: an embedding recognises a person, so treat it as such. Nothing of
it, and nothing of the faces that are compared with it, leaves the machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.errors import ConfigError, OutputError
from dithead.limits import parse_json, read_text
from dithead.media.files import replacing
from dithead.provenance.settings import config_folder, read_settings

FORMAT = 1
_SIZE = 128  # numbers of an embedding
_DEFAULT = "deny.json"


@dataclass(frozen=True)
class DeniedFace:
    """A face that may not be redrawn."""

    name: str
    embedding: NDArray[np.float32]  # (128,)


@dataclass
class DenyList:
    """The faces of one file, and the distance up to which a face is taken for one of them."""

    path: Path
    distance: float
    faces: list[DeniedFace] = field(default_factory=list)

    def match(self, embedding: NDArray[np.float32]) -> DeniedFace | None:
        """Return the nearest denied face within ``distance`` of an embedding (128,), or None."""
        if not self.faces:
            return None
        apart = [float(np.linalg.norm(face.embedding - embedding)) for face in self.faces]
        nearest = int(np.argmin(apart))
        return self.faces[nearest] if apart[nearest] <= self.distance else None

    def add(self, name: str, embeddings: Sequence[NDArray[np.float32]]) -> None:
        """Add a person by one or more embeddings (128,); pictures of different age and light help."""
        self.faces += [DeniedFace(name, embedding) for embedding in embeddings]

    def remove(self, name: str) -> int:
        """Remove a person; returns how many embeddings that were."""
        before = len(self.faces)
        self.faces = [face for face in self.faces if face.name != name]
        return before - len(self.faces)

    def save(self) -> None:
        """Write the list, readable by its owner only. Raises OutputError when that fails."""
        faces = [{"name": face.name, "embedding": [round(float(v), 5) for v in face.embedding]} for face in self.faces]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written ({error.strerror})") from None
        with replacing(self.path) as temporary:
            os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
            temporary.write_text(json.dumps({"format": FORMAT, "faces": faces}) + "\n", "utf-8")


def read_deny_list(*, may_be_new: bool = False) -> DenyList:
    """Read the list of denied faces, which is empty where there is none.

    Args:
        may_be_new: Whether a list that is named in ``trust.toml`` may be one that is only being made.

    Raises:
        ConfigError: It cannot be read. A list that is named in ``trust.toml`` must exist, so that a typing error in
            its name does not allow everybody.
    """
    settings = read_settings()
    path = settings.deny_list or config_folder() / _DEFAULT
    try:
        if not path.exists():
            raise FileNotFoundError
        faces = [_face(each) for each in parse_json(read_text(path, str(path), ConfigError))["faces"]]
    except FileNotFoundError:
        if settings.deny_list is not None and not may_be_new:
            raise ConfigError(
                f"{path}: trust.toml names this deny list, but there is none; mend the name, "
                "or make it with: dithead deny add"
            ) from None
        return DenyList(path, settings.deny_distance)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: is not a deny list ({type(error).__name__}); make it with: dithead deny add"
        ) from None
    return DenyList(path, settings.deny_distance, faces)


def _face(record: Any) -> DeniedFace:
    embedding = np.array(record["embedding"], np.float32)
    if embedding.shape != (_SIZE,) or not np.isfinite(embedding).all():
        raise ValueError("not an embedding")
    return DeniedFace(str(record["name"]), embedding)
