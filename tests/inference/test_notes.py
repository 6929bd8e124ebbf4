"""Nothing of the input is lost silently: a note says what, and which option keeps it."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dithead.errors import FaceError
from dithead.inference.notes import Lengths, drawing_notes, job_notes, length_notes, result_notes
from dithead.inference.pipeline import generate
from dithead.inference.result import Drawings, FrameSpan
from dithead.inference.source.soundtrack import Soundtrack
from dithead.media.audio import write_audio
from dithead.media.info import VideoInfo
from dithead.options import GenerateJob


@pytest.mark.parametrize(
    ("lengths", "fit", "notes"),
    [
        (Lengths(3.2, 2.1, 2.1), "silence",
         ["the last 1.1 s of the speech are cut off, because the video ends; --fit bounce keeps them"]),
        (Lengths(3.2, 2.1, 3.2), "bounce",
         ["the video is played back and forth for 1.1 s, because the speech is longer"]),
        (Lengths(3.2, 2.1, 3.2), "freeze",
         ["the video is stopped at its last frame for 1.1 s, because the speech is longer"]),
        (Lengths(1.0, 2.1, 1.0), "cut",
         ["the last 1.1 s of the video are cut off, because the speech ends (--fit cut)"]),
        (Lengths(1.0, 2.1, 2.1), "bounce", []),
        (Lengths(2.12, 2.1, 2.1), "silence", []),
    ],
)  # fmt: skip
def test_each_difference_in_length_is_said_with_what_was_done(lengths: Lengths, fit: Any, notes: list[str]) -> None:
    assert length_notes(lengths, fit) == notes


def test_frames_passed_through_damaged_ones_and_speakers_without_a_face_are_noted(tmp_path) -> None:
    analysis = SimpleNamespace(
        faces_missed=12, frames=75, passed_through=[FrameSpan(0, 5, "no face"), FrameSpan(20, 25, "mouth covered")],
        damaged=[FrameSpan(7, 9, "damaged")], tracklets=[SimpleNamespace(face=1)], remarks=["its clock jumps"],
    )  # fmt: skip
    write_audio(tmp_path / "a.wav", np.zeros(16, np.float32), 16000)
    lengths = {1: 3.0, 3: 5.0}
    speakers = dict.fromkeys(lengths, tmp_path / "a.wav")
    sound = Soundtrack(tmp_path / "a.wav", speakers, 3.0, lengths, tmp_path / "a.wav", background_seconds=1.8)
    info = VideoInfo(
        64, 64, Fraction(25), has_audio=True, other_streams=("audio", "audio", "data"), chapters=2,
        metadata={"title": "kept", "encoder": "x", "location": "+52+13/", "make": "phone"},
    )  # fmt: skip
    notes = result_notes(info, analysis, Lengths(3, 3, 3), "bounce", sound)
    assert notes == [
        "the source's own sound is not heard; --background-sound source keeps it under the speech",
        "of the source's 2 sound tracks only the first is used",
        "the last 2.0 s of speaker 3 are cut off",
        "the background sound ends 1.2 s before the output",
        "no lips say the speech of speaker 3: the video shows no face 3",
        "12 of 75 source frames pass through unchanged (no face, mouth covered)",
        "3 damaged frames of the source show the last good frame",
        "the source's other streams are left out: data",
        "the source's 2 chapters are left out",
        "the source's tags are left out: location, make",
        "of the source: its clock jumps",
    ]


def of_lengths(result):
    """The notes but that on the watermark, for which the face of the pictures is too small."""
    return [note for note in result.notes if "watermark" not in note]


def test_by_default_all_of_the_speech_is_said(footage, pictures, talker, tmp_path) -> None:
    t = np.arange(16000) / 16000
    write_audio(tmp_path / "long.wav", (0.3 * np.sin(2 * np.pi * 300 * t)).astype(np.float32), 16000)
    whole = generate(footage(pictures), tmp_path / "long.wav", tmp_path / "a.mkv", model=talker)
    assert whole.frames == 25
    assert of_lengths(whole) == ["the video is played back and forth for 0.5 s, because the speech is longer"]
    cut = generate(footage(pictures), tmp_path / "long.wav", tmp_path / "b.mkv", model=talker, fit="silence")
    assert cut.frames == len(pictures)
    assert of_lengths(cut) == [
        "the last 0.5 s of the speech are cut off, because the video ends; --fit bounce keeps them"
    ]


def test_a_face_that_is_not_there_is_refused_by_its_number(footage, pictures, speech, talker, tmp_path) -> None:
    source = footage(pictures[:3])
    with pytest.raises(FaceError, match=rf"no face 5; the video shows 1 \(dithead faces {source.name}\)"):
        generate(source, speech, tmp_path / "o.mkv", model=talker, face="5")


@pytest.mark.parametrize(
    ("options", "info", "note"),
    [
        ({"start": 1.0, "fit": "loop"}, {"still": True},
         "--start and --fit had no effect: a picture lasts as long as the speech"),
        ({"end": 9.0}, {}, "the video ends 6.0 s before --end"),
        ({"face": "left", "speakers": {1: "a.wav"}}, {}, "--face had no effect: --speaker names the faces"),
        ({"crf": 3, "lossless": True}, {}, "--crf had no effect: --lossless keeps every sample"),
        ({"background_gain": -9}, {}, "--background-gain had no effect: no --background-sound was given"),
    ],
)  # fmt: skip
def test_an_option_without_effect_is_named(options: dict[str, Any], info: dict[str, Any], note: str) -> None:
    source = VideoInfo(64, 64, Fraction(25), **info)
    assert job_notes(GenerateJob("v", "a", "o.mp4", **options), source, 3.0) == [note]
    assert job_notes(GenerateJob("v", "a", "o.mp4"), source, 3.0) == []


def test_pictures_that_stand_in_for_many_drawings_are_a_warning() -> None:
    drawings = Drawings()
    for share in [0.0] * 8 + [1.0, 0.6]:
        drawings.add(share, 0.0)
    assert (drawings.mouths, drawings.replaced, drawings.mended) == (10, 2, 0)
    assert drawing_notes(drawings) == []
    drawings.add(0.1, 0.9)
    (note,) = drawing_notes(drawings)
    assert note.startswith("warning: 2 of 11 drawn mouths were replaced by pictures of the source and 1 were mended")
    assert "--no-detail" in note
    assert drawings + drawings == Drawings(22, 4, 2)
