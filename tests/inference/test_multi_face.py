"""Two presenters in one picture: they keep their numbers, can be chosen, and can each have their own speech."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from dithead.errors import ConfigError, FaceError, OutputError
from dithead.face.landmarks import FaceLandmarker
from dithead.inference.analyse.face_sheet import shots_with_faces, write_face_sheet
from dithead.inference.analyse.multi_face import FaceChoice, FaceMemory, follow_faces
from dithead.inference.pipeline import generate
from dithead.media.audio import write_audio
from dithead.media.contact_sheet import save_picture
from dithead.media.video import read_frames

PRESENTERS = Path(__file__).parents[2] / "examples" / "presenters"
SIDE = 200


def stills(name: str, count: int) -> list[np.ndarray]:
    frames = islice(read_frames(PRESENTERS / f"{name}.mp4"), count)
    return [cv2.resize(f.pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for f in frames]


@pytest.fixture(scope="module")
def pair() -> list[np.ndarray]:
    """Mia on the left, Ben on the right."""
    return [np.concatenate(both, axis=1) for both in zip(stills("mia", 6), stills("ben", 6), strict=True)]


@pytest.fixture(scope="module")
def crossing() -> list[np.ndarray]:
    """Mia walks from left to right in front of Ben, who walks the other way."""
    count, width = 26, 560
    mia, ben = stills("mia", 1)[0], stills("ben", 1)[0]
    frames = []
    for k in range(count):
        frame = np.full((SIDE, width, 3), 90, np.uint8)
        x = round(k * (width - SIDE) / (count - 1))
        frame[:, width - SIDE - x : width - x] = ben
        frame[:, x + 40 : x + 160] = mia[:, 40:160]
        frames.append(frame)
    return frames


def colour(frame: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Mean colour of a nose."""
    x, y = face[4, :2].round().astype(int)
    return frame[y - 4 : y + 5, x - 4 : x + 5].reshape(-1, 3).mean(axis=0)


def test_numbers_stay_with_the_people_when_they_cross(crossing):
    memory = FaceMemory()
    with FaceLandmarker() as landmarker:
        seen = [memory.step(frame, landmarker.detect(frame)) for frame in crossing]
    first, last = seen[0], seen[-1]
    assert set(first) == set(last) == {1, 2}
    assert first[1][4, 0] < first[2][4, 0]
    assert last[1][4, 0] > last[2][4, 0]
    assert np.abs(colour(crossing[0], first[1]) - colour(crossing[-1], last[1])).max() < 12
    assert any(len(faces) < 2 for faces in seen)  # one was hidden for a while


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("left", {1}), ("right", {2}), ("all", {1, 2}), ("2", {2}), ("1", {1}), ("300,80", {2}), ("20.5,60", {1})],
)
def test_choices(pair, text, wanted):
    choice = FaceChoice.parse(text)
    assert choice is not None
    with FaceLandmarker() as landmarker:
        for faces, shot in follow_faces(pair[:2], choice, landmarker):
            assert {n for n, face in faces.items() if face is not None} == wanted
            assert shot == 0


def test_largest_is_the_quick_way():
    assert FaceChoice.parse("largest") is None


@pytest.mark.parametrize("text", ["0", "-1", "nobody", "1,", "1;2", ""])
def test_unknown_choices_are_refused(text):
    with pytest.raises(ConfigError, match="unknown face"):
        FaceChoice.parse(text)


def changed_sides(source, output) -> tuple[bool, bool]:
    """Whether anything changed in the left and in the right half of the pictures."""
    old = np.stack([f.pixels for f in read_frames(source)]).astype(int)
    new = np.stack([f.pixels for f in read_frames(output)])
    changed = (old != new).any(axis=(0, 1, 3))
    return bool(changed[:SIDE].any()), bool(changed[SIDE:].any())


@pytest.mark.parametrize(("face", "wanted"), [("left", (True, False)), ("2", (False, True)), ("all", (True, True))])
def test_only_the_chosen_face_changes(footage, pair, speech, talker, tmp_path, face, wanted):
    source = footage(pair)
    generate(source, speech, tmp_path / "out.mp4", fit="silence", model=talker, face=face, lossless=True)
    assert changed_sides(source, tmp_path / "out.mp4") == wanted


def test_each_face_is_driven_by_its_own_speech(footage, pair, speech, talker, tmp_path):
    source = footage(pair)
    noise = np.random.default_rng(0).normal(0, 0.2, 9600).astype(np.float32)
    write_audio(tmp_path / "noise.wav", noise, 16000)

    def made(second) -> np.ndarray:
        options = {"model": talker, "lossless": True, "speakers": {1: speech, 2: second}}
        generate(source, speech, tmp_path / "out.mp4", **options)
        return np.stack([f.pixels for f in read_frames(tmp_path / "out.mp4")])

    same, other = made(speech), made(tmp_path / "noise.wav")
    assert np.array_equal(same[:, :, :SIDE], other[:, :, :SIDE])
    assert not np.array_equal(same[:, :, SIDE:], other[:, :, SIDE:])


def test_a_sheet_numbers_every_face(footage, pair, tmp_path):
    source = footage([*pair[:2], *[np.full_like(pair[0], 20)] * 2, *pair[2:4]])
    shots = list(shots_with_faces(source))
    assert [(s.shot, sorted(s.faces)) for s in shots] == [(0, [1, 2]), (2, [1, 2])]
    assert write_face_sheet(source, tmp_path / "who.png") == 4
    picture = cv2.imread(str(tmp_path / "who.png"))
    assert picture.shape == (640, 640, 3)  # two stills of 400 x 200, enlarged to 640 x 320


def test_a_sheet_never_replaces_the_picture_whose_faces_it_numbers(pair, tmp_path):
    picture = tmp_path / "pair.png"
    save_picture(pair[0], picture)
    before = picture.read_bytes()
    with pytest.raises(OutputError, match="is also an input"):
        write_face_sheet(picture, picture)
    assert picture.read_bytes() == before


def test_a_sheet_of_nobody_is_refused(footage, tmp_path):
    with pytest.raises(FaceError, match="no face in any frame"):
        write_face_sheet(footage([np.full((64, 64, 3), 20, np.uint8)]), tmp_path / "who.png")
    assert not (tmp_path / "who.png").exists()
