"""Nothing of the input is lost silently: a note says what, and which option keeps it."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest

from dithead.errors import FaceError
from dithead.inference.notes import (
    Lengths,
    drawing_notes,
    job_notes,
    length_notes,
    result_notes,
    sound_notes,
    unchanged_notes,
)
from dithead.inference.pipeline import generate
from dithead.inference.result import Drawings, FrameSpan
from dithead.inference.source.soundtrack import Soundtrack
from dithead.inference.streaming import LiveHead
from dithead.media.audio import write_audio
from dithead.media.info import VideoInfo
from dithead.options import GenerateJob

HINT = "; FFmpeg can copy them from the source (guide: dub a long film)"


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
         ["the last 1.1 s of the video are cut off, because the speech ends; --fit bounce keeps them"]),
        (Lengths(1.0, 2.1, 2.1), "bounce", []),
        (Lengths(2.12, 2.1, 2.1), "silence", []),
    ],
)  # fmt: skip
def test_each_difference_in_length_is_said_with_what_was_done(lengths: Lengths, fit: Any, notes: list[str]) -> None:
    assert length_notes(lengths, fit) == notes


def test_frames_passed_through_damaged_ones_and_speakers_without_a_face_are_noted(tmp_path) -> None:
    analysis = SimpleNamespace(
        faces_missed=12, frames=75, passed_through=[FrameSpan(0, 5, "no face"), FrameSpan(20, 25, "mouth covered")],
        damaged=[FrameSpan(7, 9, "damaged")], remarks=["its clock jumps"],
        tracklets=[SimpleNamespace(face=1, references=SimpleNamespace(opened=True), turned_references=())],
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
        "none of the source's 2 sound tracks is heard; --background-sound source keeps the first under the speech",
        "the last 2.0 s of speaker 3 are cut off, because --audio ends; without it all of every speaker is heard",
        "the background sound ends 1.2 s before the output",
        "no lips say the speech of speaker 3: the video shows no face 3; `dithead faces` shows which there are",
        "12 of 75 source frames pass through unchanged: 0 to 5 (no face), 20 to 25 (mouth covered); --occlusion off "
        "draws mouths that are hidden or blurred, too",
        "the source shows the mouth in one position only; all others are made from it, with teeth that are not the "
        "person's",
        "3 damaged frames of the source show the last good frame",
        "the source's other streams are left out: data" + HINT,
        "the source's 2 chapters are left out" + HINT,
        "the source's tags are left out: location, make",
        "of the source: its clock jumps",
    ]


def of_lengths(result):
    """The notes but that on the watermark, for which the face of the pictures is too small."""
    return [note for note in result.notes if "watermark" not in note]


def test_of_many_stretches_that_pass_through_the_first_are_named() -> None:
    spans = [FrameSpan(4, 4, "no face"), *(FrameSpan(10 * k, 10 * k + 5, "face turned away") for k in range(1, 8))]
    (note,) = unchanged_notes(SimpleNamespace(faces_missed=43, frames=90, passed_through=spans))  # type: ignore[arg-type]
    assert note == (
        "43 of 90 source frames pass through unchanged: 4 (no face), 10 to 15 (face turned away), 20 to 25 (face "
        "turned away) and 5 more stretches (--json lists them)"
    )


def test_a_second_sound_track_and_the_end_of_a_background_are_noted(tmp_path) -> None:
    for name, seconds in (("a.wav", 1), ("b.wav", 2)):
        write_audio(tmp_path / name, np.zeros(16000 * seconds, np.float32), 16000)
    two_tracks(tmp_path / "two.mka", tmp_path / "a.wav", tmp_path / "b.wav")
    sound = Soundtrack(tmp_path / "two.mka", {}, 1.0, {}, tmp_path / "two.mka", background_seconds=2.0)
    assert sound_notes(VideoInfo(64, 64, Fraction(25)), Lengths(1, 1, 1), sound) == [
        "the last 1.0 s of the background sound are cut off, because the output ends",
        f"of the 2 sound tracks of {tmp_path / 'two.mka'} only the first is used",
    ]


def two_tracks(path: Path, *sounds: Path) -> None:
    """Write a file with the sounds as one track each."""
    with av.open(str(path), "w") as made:
        streams = [made.add_stream("flac", rate=16000) for _ in sounds]
        for stream, sound in zip(streams, sounds, strict=True):
            with av.open(str(sound)) as media:
                for frame in (*media.decode(audio=0), None):
                    made.mux(stream.encode(frame))


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
    with pytest.raises(
        FaceError, match=rf"video shows 1 \(to see them: dithead faces {re.escape(str(source))} -o faces\.png\)"
    ):
        generate(source, speech, tmp_path / "o.mkv", model=talker, face="5")
    cv2.imwrite(str(tmp_path / "still.png"), pictures[0][..., ::-1])
    with pytest.raises(FaceError, match=r"no face 2; the picture shows 1 \(to see them: dithead faces .*still\.png -o"):
        generate(tmp_path / "still.png", speech, tmp_path / "o.mkv", model=talker, face=2)
    with pytest.raises(FaceError, match=r"no face 5; the video shows 1"):
        LiveHead(source, model=talker, face=5)


@pytest.mark.parametrize(
    ("options", "info", "note"),
    [
        ({"start": 1.0, "fit": "loop"}, {"still": True},
         "--start and --fit had no effect: a picture lasts as long as the speech"),
        ({"end": 9.0}, {}, "the video ends 6.0 s before --end"),
        ({"face": "left", "speakers": {1: "a.wav"}}, {}, "--face had no effect: --speaker names the faces"),
        ({"crf": 3, "lossless": True}, {}, "--crf had no effect: --lossless keeps every sample"),
        ({"idle": False}, {}, "--no-idle had no effect: people in videos move by themselves"),
        ({"encoder": "nvenc", "encoder_preset": "veryfast"}, {},
         "--encoder-preset had no effect: it is for x264 and x265, and not for nvenc"),
        ({"background_gain": -9}, {}, "--background-gain had no effect: no --background-sound was given"),
    ],
)  # fmt: skip
def test_an_option_without_effect_is_named(options: dict[str, Any], info: dict[str, Any], note: str) -> None:
    source = VideoInfo(64, 64, Fraction(25), **info)
    assert job_notes(GenerateJob("v", "a", "o.mp4", **options), source, 3.0) == [note]
    assert job_notes(GenerateJob("v", "a", "o.mp4"), source, 3.0) == []


@pytest.mark.parametrize(
    ("options", "info"),
    [({"idle": False}, {"still": True}), ({"encoder_preset": "veryfast"}, {}), ({"encoder": "nvenc"}, {})],
)
def test_an_option_with_an_effect_is_not_named(options: dict[str, Any], info: dict[str, Any]) -> None:
    assert job_notes(GenerateJob("v", "a", "o.mp4", **options), VideoInfo(64, 64, Fraction(25), **info), 3.0) == []


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
