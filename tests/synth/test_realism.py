"""Leaving a feature out changes nothing but that feature, and a mouth at rest changes nothing but the mouth."""

from pathlib import Path

import numpy as np
import pytest

from dithead.errors import ConfigError
from dithead.media.video import read_frames
from dithead.prepare.raw_videos import find_raw_videos
from dithead.synth.corpus.options import SynthOptions
from dithead.synth.corpus.people import ClipTask, name_of, plan_take, synth_corpus
from dithead.synth.corpus.realism import DETAILS, FEATURES, check_features, jaw_from_loudness
from dithead.synth.corpus.recipe import CorpusRecipe
from dithead.synth.corpus.take import Take
from dithead.synth.face.units import CONTROLS


@pytest.fixture(scope="module")
def planned(body, espeak: None):
    """Plan a take without some features; each is made once."""
    made: dict[tuple[str, ...], Take] = {}

    def plan(*without: str) -> Take:
        if without not in made:
            options = SynthOptions(Path("head"), seed=6, seconds=0.4, without=check_features(without))
            made[without] = plan_take(ClipTask(3, None), CorpusRecipe(options), body, Path("none"))
        return made[without]

    return plan


def facts(take: Take) -> dict[str, object]:
    """Return what a take consists of in a form that can be compared."""
    skin = next(part for part in take.person.parts if part.name == "skin")
    return {
        "people": take.person.identity, "skin": skin.uniforms["relief"], "shadow": take.shadows,
        "light": take.setting.light.key_direction, "camera": (take.setting.noise, take.setting.blur),
        "motion": take.motion.head.tobytes(),
        "expression": b"".join(curve.tobytes() for curve in take.motion.weights.values()),
        "inside": sorted(part.name for part in take.person.parts), "visemes": take.script.mouth.units.tobytes(),
        "microphone": take.script.wave.tobytes(), "background": take.setting.background.tobytes(),
        **{name: [part.uniforms.get(key) for part in take.person.parts if part.name not in ("teeth", "tongue")
                  for key in sorted(keys)] for name, keys in DETAILS.items()},
    }  # fmt: skip


@pytest.mark.parametrize("feature", sorted(set(FEATURES) - {"voices", "people"}))
def test_leaving_a_feature_out_changes_that_alone(planned, feature: str) -> None:
    complete, reduced = facts(planned()), facts(planned(feature))
    assert {name for name in complete if complete[name] != reduced[name]} == {feature}


def test_without_people_everybody_has_one_face_in_the_same_places(planned, body) -> None:
    complete, reduced = planned(), planned("people")
    assert complete.person.identity != reduced.person.identity
    assert facts(complete)["background"] == facts(reduced)["background"]
    same_sound = complete.script.wave.tobytes() == reduced.script.wave.tobytes()
    assert same_sound or complete.script.voice != reduced.script.voice


def test_without_voices_everybody_has_one_voice(planned) -> None:
    assert planned("voices").script.voice.language == "en"
    assert facts(planned())["people"] == facts(planned("voices"))["people"]


def test_unknown_features_are_named() -> None:
    assert check_features(["skin", "light", "skin"]) == ("light", "skin")
    with pytest.raises(ConfigError, match="'hats' can be left out; there are people, skin"):
        check_features(["hats"])


def test_the_jaw_follows_the_loudness() -> None:
    controls = jaw_from_loudness(np.array([0, 0, 0.2, 1, 1], np.float32))
    jaw = controls[:, CONTROLS.index("jawOpen")]
    assert jaw[0] == 0
    assert (np.diff(jaw) >= 0).all()
    assert jaw[-1] > 0.15
    assert not controls[:, CONTROLS.index("mouthPucker")].any()


def test_frames_at_rest_differ_in_the_mouth_alone(planned, renderer) -> None:
    without_folds = planned("voices", "folds")  # a smile has folds at the eyes, which go with it
    frames = list(without_folds.render(renderer, rest=True))
    frame = max(frames, key=lambda f: f.aperture)
    assert frame.aperture > 0.05
    changed = np.abs(frame.pixels.astype(int) - frame.rest).max(2)
    lips = frame.landmarks[[61, 291, 0, 17]]
    y, x = (slice(int(lips[:, i].min()), int(lips[:, i].max()) + 1) for i in (1, 0))
    assert changed[y, x].max() > 20
    assert not changed[: int(frame.eyes[:, 1].max())].any(), "eyes, hair, noise and background stay"


def test_pictures_at_rest_and_labels_lie_beside_the_clip(head_folder: Path, tmp_path: Path, espeak: None) -> None:
    options = SynthOptions(head_folder, size=64, seconds=0.2, seed=6, rest=True, labels=True)
    synth_corpus(1, tmp_path, options)
    folder = tmp_path / name_of(0)
    assert len(list(read_frames(folder / ".rest.mp4"))) == 5
    with np.load(folder / "truth.npz") as truth:
        assert (truth["labels"].shape, truth["head"].shape, truth["units"].shape) == ((5, 64, 64), (5, 6), (5, 52))
    assert [source.path.name for source in find_raw_videos(tmp_path, tmp_path / "data")] == ["clip.mp4"]
    assert find_raw_videos(tmp_path, tmp_path / "data")[0].licence == "CC0-1.0", "prepare reads it from SOURCES.json"
