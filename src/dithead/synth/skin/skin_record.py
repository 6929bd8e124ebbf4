"""A real skin as files: ``NAME.png`` (the skin picture) and ``NAME.json`` (whose it is and what goes with it)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from dithead.errors import DataError, OutputError
from dithead.synth.skin.paint import read_picture
from dithead.synth.types import Colour, Picture

SKINS_FOLDER = "skins"
"""Name of the folder of real skins in a corpus."""


@dataclass(frozen=True)
class SkinRecord:
    """Whose skin this is and what goes with it. The field names are its JSON keys.

    Attributes:
        name: of the person in the dataset.
        clips: ids of the clips from which the skin was made.
        source: of these clips.
        licence: of these clips.
        tone: reflectance of the skin.
        hair: colour of the brows, which the hair takes.
        male: 0 female .. 1 male.
        ancestry: shares of African, Asian and Caucasian.
        age: as in `Identity`.
        shape: shape key -> weight of the fitted head.
        error: of the landmarks' fit, in distances between the outer eye corners.
    """

    name: str
    clips: tuple[str, ...]
    source: str
    licence: str
    tone: Colour
    hair: Colour
    male: float
    ancestry: tuple[float, float, float]
    age: float
    shape: dict[str, float]
    error: float


def write_skin(folder: Path, picture: Picture, record: SkinRecord) -> None:
    """Write a skin; the record comes last, because it marks the skin as complete.

    Args:
        folder: is made where it is missing.
        picture: (A, A, 4), see `paint.paint_skin`.
        record: what goes with it.

    Raises:
        OutputError: when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{record.name}.png"), cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA))
        (folder / f"{record.name}.json").write_text(json.dumps(asdict(record), indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise OutputError(f"{folder}: cannot write ({error.strerror or error})") from error


def load_skin(folder: str | Path, name: str) -> tuple[Picture, SkinRecord]:
    """Read a skin that `write_skin` wrote.

    Raises:
        DataError: when it is missing or damaged.
    """
    path = Path(folder) / f"{name}.json"
    if not path.is_file():
        raise DataError(f"{folder}: no skin called {name!r}; pass --skin-from the dataset of the person it is from")
    try:
        stored = json.loads(path.read_text())
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        return read_picture(path.with_suffix(".png")), SkinRecord(**fields)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: not a skin ({error}); delete it, and the same command makes it again") from error
