"""Leaving a feature out changes that and nothing else; a mouth at rest changes the mouth and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from dithead.errors import ConfigError
from dithead.media.video import read_frames
from dithead.prepare.raw_videos import find_raw_videos
from dithead.synth.corpus.people import Options, Task, name_of, plan_take, synth_corpus
from dithead.synth.corpus.realism import DETAILS, FEATURES, jaw_alone, known
from dithead.synth.corpus.take import Take
from dithead.synth.face.visemes import CONTROLS


@pytest.fixture(scope="module")
def planned(body, espeak: None):
    """A take by what it is without, made once each."""
    made: dict[tuple[str, ...], Take] = {}

    def plan(*without: str) -> Take:
        if without not in made:
            options = Options("head", seed=6, seconds=0.4, without=known(without))
            made[without] = plan_take(Task(3, None), options, body, Path("none"))
        return made[without]

    return plan


def facts(take: Take) -> dict[str, object]:
    """What a take is made of, comparable."""
    skin = next(part for part in take.person.parts if part.name == "skin")
    return {
        "people": take.person.identity, "skin": skin.uniforms["relief"], "shadow": take.shadows,
        "light": take.setting.light.key_direction, "camera": (take.setting.noise, take.setting.blur),
        "motion": take.motion.head.tobytes(),
        "expression": b"".join(curve.tobytes() for curve in take.motion.weights.values()),
        "inside": sorted(part.name for part in take.person.parts), "visemes": take.script.controls.tobytes(),
        "microphone": take.script.wave.tobytes(), "background": take.setting.background.tobytes(),
        **{name: [part.uniforms.get(key) for part in take.person.parts if part.name not in ("teeth", "tongue")
                  for key in sorted(keys)] for name, keys in DETAILS.items()},
    }  # fmt: skip


@pytest.mark.parametrize("feature", sorted(set(FEATURES) - {"voices", "people"}))
def test_leaving_one_out_changes_that_alone(planned, feature: str) -> None:
    whole, less = facts(planned()), facts(planned(feature))
    assert {name for name in whole if whole[name] != less[name]} == {feature}


def test_one_face_for_everybody_in_their_own_places(planned, body) -> None:
    whole, less = planned(), planned("people")
    assert whole.person.identity != less.person.identity
    assert facts(whole)["background"] == facts(less)["background"]
    assert whole.script.wave.tobytes() == less.script.wave.tobytes() or whole.script.voice != less.script.voice


def test_one_voice(planned) -> None:
    assert planned("voices").script.voice.language == "en"
    assert facts(planned())["people"] == facts(planned("voices"))["people"]


def test_unknown_features_are_named() -> None:
    assert known(["skin", "light", "skin"]) == ("light", "skin")
    with pytest.raises(ConfigError, match="'hats' can be left out; there are people, skin"):
        known(["hats"])


def test_a_jaw_alone_follows_loudness() -> None:
    controls = jaw_alone(np.array([0, 0, 0.2, 1, 1], np.float32))
    jaw = controls[:, CONTROLS.index("jaw")]
    assert jaw[0] == 0
    assert (np.diff(jaw) >= 0).all()
    assert jaw[-1] > 0.5
    assert not controls[:, CONTROLS.index("round")].any()


def test_the_same_frames_with_the_mouth_at_rest(planned, stage) -> None:
    without_folds = planned("voices", "folds")  # a smile has folds at the eyes, which go with it
    moments = list(without_folds.perform(stage, rest=True))
    moment = max(moments, key=lambda m: m.aperture)
    assert moment.aperture > 0.05
    changed = np.abs(moment.pixels.astype(int) - moment.rest).max(2)
    lips = moment.landmarks[[61, 291, 0, 17]]
    y, x = (slice(int(lips[:, i].min()), int(lips[:, i].max()) + 1) for i in (1, 0))
    assert changed[y, x].max() > 20
    assert not changed[: int(moment.eyes[:, 1].max()) + 1].any(), "eyes, hair, noise and background stay"


def test_pictures_at_rest_and_labels_lie_beside_the_clip(head_folder: Path, tmp_path: Path, espeak: None) -> None:
    synth_corpus(1, tmp_path, head_model=head_folder, size=64, seconds=0.2, seed=6, rest=True, labels=True)
    folder = tmp_path / name_of(0)
    assert len(list(read_frames(folder / ".rest.mp4"))) == 5
    with np.load(folder / "truth.npz") as truth:
        assert (truth["labels"].shape, truth["head"].shape, truth["controls"].shape) == ((5, 64, 64), (5, 6), (5, 8))
    assert [source.path.name for source in find_raw_videos(tmp_path, tmp_path / "data")] == ["clip.mp4"]
    assert find_raw_videos(tmp_path, tmp_path / "data")[0].licence == "CC0-1.0", "prepare knows from SOURCES.json"
