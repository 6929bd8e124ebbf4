"""A clip and the truth about it, as files: video with sound, arrays, and a record that marks it complete."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from fractions import Fraction
from io import BytesIO
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.writer import VideoWriter
from dithead.synth.corpus.ground_truth import Moment, stack
from dithead.synth.corpus.take import Take
from dithead.synth.corpus.talking_clip import Script
from dithead.synth.voice.microphone import RATE

CLIP, REST, TRUTH, IDENTITY, RECORD = "clip.mp4", ".rest.mp4", "truth.npz", "identity.json", "clip.json"


def write_take(folder: Path, take: Take, pictures: Iterator[Moment], fps: int, record: Mapping[str, object]) -> None:
    """Write everything about a take into ``folder``; the record comes last. Raises OSError and OutputError."""
    folder.mkdir(parents=True, exist_ok=True)
    moments = write_video(folder / CLIP, pictures, take.script, fps, take.quality)
    save_arrays(folder / TRUTH, stack(moments))
    take.person.identity.save(folder / IDENTITY)
    part = folder / "clip.part"
    part.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    part.replace(folder / RECORD)


def save_arrays(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write a compressed ``.npz``, whole or not at all. Packed in memory: a zip file cut off by a full disk complains
    once more, in a traceback, when it is forgotten."""
    packed = BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    part = path.with_suffix(".part")
    part.write_bytes(packed.getvalue())
    part.replace(path)


def write_video(path: Path, moments: Iterator[Moment], script: Script, fps: int, quality: float) -> list[Moment]:
    """Encode the pictures with the script's sound; returns the moments without their pixels.

    Where moments hold a picture at rest too, those become a silent video beside it.
    """
    kept: list[Moment] = []
    first = next(moments)
    height, width = first.pixels.shape[:2]
    like = VideoInfo(width, height, Fraction(fps), color_range=1, color_space=1, color_primaries=1, color_trc=1)
    with ExitStack() as both:
        sounding = VideoWriter(path, like, EncoderOptions(crf=quality, repeatable=True), audio=(script.wave, RATE))
        writer = both.enter_context(sounding)
        silent = None
        if first.rest is not None:
            silent = both.enter_context(
                VideoWriter(path.with_name(REST), like, EncoderOptions(crf=quality, repeatable=True))
            )
        for moment in chain([first], moments):
            writer.write(moment.pixels)
            if silent is not None and moment.rest is not None:
                silent.write(moment.rest)
            kept.append(moment.without_pixels())
    return kept
