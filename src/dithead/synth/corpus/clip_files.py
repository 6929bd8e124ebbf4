"""Write a clip and its ground truth as files: a video with sound, arrays, and a record that marks it complete."""

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
from dithead.media.files import Seal
from dithead.media.info import VideoInfo
from dithead.media.writer import VideoWriter
from dithead.synth.corpus.ground_truth import AnnotatedFrame, stack_ground_truth
from dithead.synth.corpus.script import Script
from dithead.synth.corpus.take import Take
from dithead.synth.voice.microphone import SAMPLE_RATE
from dithead.types import Wave

CLIP, REST, TRUTH, IDENTITY, RECORD = "clip.mp4", ".rest.mp4", "truth.npz", "identity.json", "clip.json"
"""Names of the files in a clip's folder. REST is hidden so that `prepare` does not take it for another clip."""


def write_take(
    folder: Path,
    take: Take,
    frames: Iterator[AnnotatedFrame],
    fps: int,
    record: Mapping[str, object],
    seal: Seal | None = None,
) -> None:
    """Write everything about a take; the record comes last and marks the clip complete.

    Args:
        folder: The clip's folder, which is made.
        take: What was rendered.
        frames: Its frames in order.
        fps: Frames per second.
        record: Content of clip.json.
        seal: Signs each video when it is complete.

    Raises:
        OSError, OutputError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    annotated = write_video(folder / CLIP, frames, take.script.wave, fps, take.quality, seal)
    save_arrays(folder / TRUTH, stack_ground_truth(annotated))
    take.person.identity.save(folder / IDENTITY)
    part = folder / "clip.part"
    part.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    part.replace(folder / RECORD)


def script_record(script: Script) -> dict[str, object]:
    """Return the entries of clip.json that tell what is said when."""
    phonemes = [[p.ipa, round(p.start, 4), round(p.end, 4)] for p in script.phonemes]
    return {"text": script.text, "phonemes": phonemes}


def save_arrays(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write arrays as a compressed ``.npz``, whole or not at all.

    They are packed in memory first: if the disk were full, numpy's open zip file would fail a second time, with a
    traceback, when it is collected.
    """
    packed = BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    part = path.with_suffix(".part")
    part.write_bytes(packed.getvalue())
    part.replace(path)


def write_video(
    path: Path, frames: Iterator[AnnotatedFrame], wave: Wave, fps: int, quality: float, seal: Seal | None = None
) -> list[AnnotatedFrame]:
    """Encode frames with sound; pictures with the mouth at rest become a silent video beside it.

    Args:
        path: The video file.
        frames: One or more frames in order.
        wave: The sound (n,) at 16 kHz.
        fps: Frames per second.
        quality: Constant rate factor (crf) of H.264, 0 to 51; smaller is better.
        seal: Signs each video when it is complete.

    Returns:
        The frames without their pixels.
    """
    annotated: list[AnnotatedFrame] = []
    first = next(frames)
    height, width = first.pixels.shape[:2]
    info = VideoInfo(width, height, Fraction(fps), color_range=1, color_space=1, color_primaries=1, color_trc=1)
    options = EncoderOptions(crf=quality, repeatable=True)
    with ExitStack() as writers:
        writer = writers.enter_context(VideoWriter(path, info, options, audio=(wave, SAMPLE_RATE), seal=seal))
        rest_writer = None
        if first.rest is not None:
            rest_writer = writers.enter_context(VideoWriter(path.with_name(REST), info, options, seal=seal))
        for frame in chain([first], frames):
            writer.write(frame.pixels)
            if rest_writer is not None and frame.rest is not None:
                rest_writer.write(frame.rest)
            annotated.append(frame.without_pixels())
    return annotated
