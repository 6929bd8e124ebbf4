"""Each hard case shows what its name says, and the ground truth agrees."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dithead.errors import ConfigError, DitheadError
from dithead.media.video import probe, read_frames
from dithead.synth.corpus.hard_cases import CASES, synth_hard_cases
from dithead.synth.head.parts import LABELS


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory, head_folder: Path, espeak: None) -> Path:
    root = tmp_path_factory.mktemp("hard")
    try:
        folders = synth_hard_cases(root, head_model=head_folder, seed=3, size=96, seconds=0.24)
    except DitheadError as error:
        pytest.skip(str(error))
    assert [folder.name for folder in folders] == list(CASES)
    return root


def ground_truth(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "truth.npz") as data:
        return {name: data[name] for name in data.files}


def first(folder: Path) -> np.ndarray:
    return next(iter(read_frames(folder / "clip.mp4"))).pixels


def test_absent_the_person_is_away_for_the_middle_third(cases: Path) -> None:
    stored = ground_truth(cases / "absent")
    assert stored["visible"].tolist() == [True, True, False, False, True, True]
    assert not stored["labels"][2].any()
    assert stored["labels"][0].any()


def test_two_people_make_a_wide_picture_with_the_speakers_ground_truth(cases: Path) -> None:
    info = probe(cases / "two" / "clip.mp4")
    assert (info.width, info.height) == (192, 96)
    assert not ground_truth(cases / "two")["labels"][:, :, 96:].any()


def test_a_microphone_hides_lips(cases: Path) -> None:
    labels = ground_truth(cases / "microphone")["labels"]
    assert (labels == LABELS.index("occluder")).sum() > 50


def test_dark_is_dark_and_in_silence_the_mouth_is_closed(cases: Path) -> None:
    skin = ground_truth(cases / "dark")["labels"][0] == LABELS.index("skin")
    assert first(cases / "dark")[skin].mean() < 70
    assert ground_truth(cases / "silence")["aperture"].max() < 0.03


def test_a_cut_jumps(cases: Path) -> None:
    frames = [frame.pixels.astype(float) for frame in read_frames(cases / "cut" / "clip.mp4")]
    steps = [np.abs(b - a).mean() for a, b in pairwise(frames)]
    assert int(np.argmax(steps)) == 2
    assert steps[2] > 3 * max(steps[:2] + steps[3:])


def test_labels_and_landmarks_agree_on_the_mouth(cases: Path) -> None:
    stored = ground_truth(cases / "harsh")
    row, column = np.nonzero(stored["labels"][0] == LABELS.index("lips"))
    outer = stored["landmarks"][0][[61, 291, 0, 17]]  # the mouth's corners, top and bottom
    assert outer[0, 0] == pytest.approx(column.min(), abs=4)
    assert outer[1, 0] == pytest.approx(column.max(), abs=4)
    assert outer[2, 1] == pytest.approx(row.min(), abs=4)
    assert outer[3, 1] == pytest.approx(row.max(), abs=4)


def test_turned_heads_painted_lips_and_captions(cases: Path) -> None:
    marks = ground_truth(cases / "turned")["landmarks"][0]
    mouth, jaw = marks[[61, 291], 0].mean(), marks[[234, 454], 0]
    sides = np.abs(mouth - jaw) / np.ptp(jaw)
    assert sides.max() > 0.65, sides  # of the face lies on one side of the mouth
    assert np.median(first(cases / "turned")[:20, :20]) < 20
    painted = ground_truth(cases / "makeup")["labels"][0] == LABELS.index("lips")
    skin = ground_truth(cases / "makeup")["labels"][0] == LABELS.index("skin")
    shown = first(cases / "makeup").astype(float)
    assert np.abs(shown[painted].mean(axis=0) - shown[skin].mean(axis=0)).max() > 30
    words = ground_truth(cases / "captions")["labels"][0] == LABELS.index("occluder")
    assert 50 < words.sum() < words.size / 6
    assert np.ptp(first(cases / "captions")[words].astype(int).max(axis=1)) > 120  # letters and their dark edge


@pytest.mark.parametrize("bad", [{"size": 33}, {"seconds": 0.1}])
def test_impossible_settings_are_refused(bad: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        synth_hard_cases(tmp_path, head_model=tmp_path, **bad)
