"""Gives the outputs of generation their invisible mark, and says so where it is switched off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from dithead.face.alignment import transform_scale
from dithead.inference.analyse.tracklet import Tracklet
from dithead.options import SamplingOptions
from dithead.provenance.switched_off import NO_WATERMARK
from dithead.provenance.watermark import LEAST_FACE, LEAST_SECONDS, PUBLIC_KEY, SCHEME, Payload, Watermarker
from dithead.provenance.watermark_grid import EYES, FACE_WIDTH, grid_transform
from dithead.provenance.watermark_keys import KeyKind, marking_key, marking_key_state


class OutputWatermark:
    """The invisible mark of one output; whether its key can be read is checked when it is made.

    Args:
        options: Whether to mark.

    Raises:
        ConfigError: The key that ``trust.toml`` names cannot be used.
    """

    def __init__(self, options: SamplingOptions) -> None:
        self.key = marking_key() if options.watermark else None

    @property
    def key_kind(self) -> KeyKind | Literal["off"]:
        """Whose key marks the output: everyone's, or the installation's own; off: it stays unmarked."""
        if self.key is None:
            return "off"
        return "public" if self.key == PUBLIC_KEY else "own"

    def marker(self, model: str, job: str) -> Watermarker | None:
        """Return what marks the mouths of an output, or None where the mark is switched off.

        Args:
            model: The name of the model that draws.
            job: One of ``provenance.watermark.JOBS``.
        """
        return None if self.key is None else Watermarker(Payload.of_model(model, job), self.key)

    def record(self, model: str, job: str) -> dict[str, Any] | None:
        """Return what an output's credentials say of its mark; None where it has none. See ``marker``."""
        if self.key is None:
            return None
        return {"scheme": SCHEME, "payload": f"{Payload.of_model(model, job).number:04x}", "key": self.key_kind}

    def key_record(self) -> dict[str, Any]:
        """Return what changes when the key does, for the key of a job that may be resumed; nothing of the secret."""
        return {} if self.key is None else {"watermark_key": marking_key_state()}

    def notes(self, faces: Iterable[ShownFace] | None = None) -> list[str]:
        """Return the note that belongs into the result when the mark is switched off, or may not last.

        Args:
            faces: Those that were redrawn; None: not known.
        """
        if self.key is None:
            return [NO_WATERMARK]
        return [] if faces is None else _doubts(list(faces))


class ShownFace(NamedTuple):
    """How wide a redrawn face is in the output, and for how long it is shown."""

    pixels: float
    seconds: float


def shown_faces(tracklets: Iterable[Tracklet], size: int, frame_seconds: float) -> Iterator[ShownFace]:
    """Yield the size of each redrawn face.

    Args:
        tracklets: The faces of the first pass.
        size: Crop side S.
        frame_seconds: How long the output shows one frame of the source, on average.
    """
    for tracklet in tracklets:
        middle = grid_transform(tracklet.transforms[len(tracklet.transforms) // 2], size)
        yield ShownFace(FACE_WIDTH * EYES / transform_scale(middle), len(tracklet.transforms) * frame_seconds)


def _doubts(faces: list[ShownFace]) -> list[str]:
    """Why the mark may be lost when the output is encoded again; nothing where one face is large and long enough."""
    begin = "the invisible watermark may be lost when this video is encoded again:"
    if not any(face.pixels >= LEAST_FACE for face in faces):
        return [f"{begin} no face that was redrawn is {LEAST_FACE:g} pixels wide"] if faces else []
    size = f"{LEAST_FACE:g} pixels wide"
    if not any(face.seconds >= LEAST_SECONDS for face in faces if face.pixels >= LEAST_FACE):
        return [f"{begin} no redrawn face that is {size} is shown for {LEAST_SECONDS:g} seconds or more"]
    return []
