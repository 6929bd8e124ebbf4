"""Identities repeat and vary, motion and settings stay within bounds, and the microphone delays nothing."""

from pathlib import Path

import numpy as np
import pytest

from dithead.errors import DataError
from dithead.synth.face.motion import blink_curve, rotation_matrix, sample_motion
from dithead.synth.head.identity import SKIN_TONES, Identity, macro_weights, sample_identity
from dithead.synth.scene.setting import sample_setting
from dithead.synth.voice.microphone import SAMPLE_RATE, simulate_microphone
from dithead.synth.voice.texts import SENTENCES, made_up_words, sample_text

KEYS = frozenset(
    ["nose/nose-hump-decr", "nose/nose-hump-incr", "eyes/l-eye-bag-in", "eyes/l-eye-bag-out", "eyes/r-eye-bag-in",
     "eyes/r-eye-bag-out", "head/head-trans-up", "head/head-trans-down", "head/head-oval", "asym/asym-jaw-1-l"]
)  # fmt: skip


def test_the_same_seed_gives_the_same_person() -> None:
    first, again, other = (sample_identity(seed, KEYS) for seed in (3, 3, 4))
    assert first == again
    assert first.shape != other.shape


def test_an_identity_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    identity = sample_identity(11, KEYS)
    identity.save(tmp_path / "identity.json")
    assert Identity.load(tmp_path / "identity.json") == identity


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]", "not json"])
def test_a_file_that_is_no_identity_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "identity.json").write_text(text)
    with pytest.raises(DataError, match=r"identity\.json"):
        Identity.load(tmp_path / "identity.json")


def test_people_cover_ages_sexes_ancestries_and_tones() -> None:
    people = [sample_identity(seed, KEYS) for seed in range(300)]
    lightness = [p.tone[1] for p in people]
    assert min(lightness) < SKIN_TONES[6][1] < SKIN_TONES[1][1] < max(lightness)
    assert 0.35 < np.mean([p.male > 0.5 for p in people]) < 0.65
    assert max(p.age for p in people) > 0.6 > 0.1 > min(p.age for p in people)
    assert all(sum(p.ancestry[i] > 0.6 for p in people) > 40 for i in range(3))
    assert len({p.hair for p in people}) >= 6


def test_left_and_right_are_nearly_alike_and_opposite_keys_exclude_each_other() -> None:
    for seed in range(20):
        shape = sample_identity(seed, KEYS).shape
        assert not {"nose/nose-hump-decr", "nose/nose-hump-incr"} <= set(shape)
        signed = [shape.get(f"eyes/{s}-eye-bag-out", 0) - shape.get(f"eyes/{s}-eye-bag-in", 0) for s in "lr"]
        assert abs(signed[0] - signed[1]) < 0.5
        assert not any("trans" in name for name in shape)


def test_macro_weights_sum_to_one() -> None:
    identity = sample_identity(5, KEYS)
    weights = macro_weights(identity)
    assert sum(w for n, w in weights.items() if "universal" not in n) == pytest.approx(1, abs=1e-3)


def test_blinks_close_and_open_again() -> None:
    time = np.arange(0, 60, 0.01, dtype=np.float32)
    closed = blink_curve(np.random.default_rng(0), time)
    assert closed.min() == 0
    assert closed.max() > 0.98
    count = ((closed[1:] > 0.5) & (closed[:-1] <= 0.5)).sum()
    assert 8 <= count <= 40  # people blink 8 to 21 times a minute, more when talking
    assert (closed > 0.5).mean() < 0.1


def test_a_head_turns_rigidly_and_nods_down() -> None:
    rotation = rotation_matrix(0.3, 0.2, -0.1)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-6)
    nose = np.array([0, 0, 1.0])
    assert (rotation_matrix(0, 0.2, 0) @ nose)[1] < -0.1
    assert (rotation_matrix(0.2, 0, 0) @ nose)[0] > 0.1


def test_heads_stay_near_the_camera() -> None:
    for seed in range(20):
        motion = sample_motion(np.random.default_rng(seed), 75, 25, np.random.default_rng(1).random(75))
        assert np.abs(motion.head).max() < 0.75
        speed = np.abs(np.diff(motion.head, axis=0)).max() * 25
        assert speed < 2.5  # radians a second
        assert all(len(curve) == 75 and np.isfinite(curve).all() for curve in motion.weights.values())


def test_settings_repeat_and_darker_faces_are_exposed_longer() -> None:
    light, same, dark = (sample_setting(9, tone=tone) for tone in (0.4, 0.4, 0.05))
    np.testing.assert_array_equal(light.background, same.background)
    assert dark.light.exposure > light.light.exposure


@pytest.mark.parametrize("seed", range(6))
def test_a_microphone_delays_nothing(seed: int) -> None:
    clicks = np.zeros(22050, np.float32)
    clicks[[3000, 9000, 17000]] = 0.8
    recorded = simulate_microphone(clicks, 22050, np.random.default_rng(seed))
    assert len(recorded) == SAMPLE_RATE
    places = np.array([3000, 9000, 17000]) * SAMPLE_RATE / 22050
    for place in places:
        near = recorded[int(place) - 200 : int(place) + 200]
        assert abs(int(np.abs(near).argmax()) - 200) <= SAMPLE_RATE * 0.002


def test_silence_stays_silent() -> None:
    recorded = simulate_microphone(np.full(22050, 1e-5, np.float32), 22050, np.random.default_rng(2))
    assert np.abs(recorded).max() < 0.1


def test_every_language_has_enough_text() -> None:
    rng = np.random.default_rng(0)
    for language in SENTENCES:
        assert len(sample_text(rng, language, 5.0).split()) >= 18
    assert len(made_up_words(rng, 30).split()) == 30


def test_fair_skin_is_neither_pink_nor_pale() -> None:
    """As in real pictures, red is well above blue, and green is nearer to blue than to red."""
    for red, green, blue in SKIN_TONES[:3]:
        assert 2.5 < red / blue < 4
        assert 1.3 < green / blue < 1.7
