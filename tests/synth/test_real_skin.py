"""Skins taken from pictures: on rendered people, whose skin is known, they must come back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from dithead.cli import app
from dithead.errors import ConfigError, DataError, DitheadError, FaceError
from dithead.synth.corpus.ground_truth import FrameAnnotator, landmark_points
from dithead.synth.corpus.options import SynthOptions
from dithead.synth.corpus.people import synth_corpus
from dithead.synth.corpus.take import aim_camera
from dithead.synth.face.motion import rotation
from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.head.identity import Identity, macro_keys, sample_identity
from dithead.synth.head.person import Person, uniforms
from dithead.synth.scene.setting import Light, sample_setting
from dithead.synth.skin import paint
from dithead.synth.skin.atlas import Atlas
from dithead.synth.skin.head_fit import MEAN, FaceSpace, fit_head
from dithead.synth.skin.real_skins import load_skin, make_skin, make_skins, pitch, wear
from dithead.synth.skin.views import choose_views

TURNS = (-0.3, 0.0, 0.3)
SIZE = 256
SOFT = Light(
    key_direction=(0.35, 0.4, 0.847), key_colour=(1.5, 1.5, 1.5), key_spread=0.5,
    fill_direction=(-0.6, 0.1, 0.79), fill_colour=(0.5, 0.5, 0.5), rim_direction=(-0.6, 0.3, -0.74),
    rim_colour=(0.0, 0.0, 0.0), ambient_up=(0.5, 0.5, 0.5), ambient_down=(0.35, 0.35, 0.35),
    white_balance=(1.0, 1.0, 1.0), exposure=0.85, contrast=0.2,
)  # fmt: skip


@dataclass(frozen=True)
class Footage:
    """Rendered pictures of one person, as a prepared dataset's clip would give them."""

    pictures: np.ndarray
    landmarks: np.ndarray
    identity: str = "someone"
    id: str = "someone-1"
    source: str = "test"
    licence: str = "CC BY 4.0"
    valid: bool = True

    def frames(self) -> np.ndarray:
        return self.pictures

    def track(self) -> Any:
        count = len(self.pictures)
        still = np.tile(np.eye(2, 3), (count, 1, 1))
        return SimpleNamespace(landmarks=self.landmarks, valid=np.full(count, self.valid), transforms=still)

    def meta(self) -> dict[str, Any]:
        return {"source_size": [SIZE, SIZE]}

    def audio(self) -> np.ndarray:
        return np.zeros(16000, np.float32)


def plain(seed: int, names: frozenset[str], skin: str) -> Identity:
    """Somebody without beard, glasses, make-up or hair in the face."""
    who = sample_identity(seed, names)
    return replace(who, hair=None, stubble=0.0, glasses=0, blush=0.0, lip_strength=0.3, gloss=0.3, skin=skin,
                   tone=(0.42, 0.24, 0.155), freckles=0.8, moles=15)  # fmt: skip


def photographed(body: Any, who: Identity) -> tuple[Footage, np.ndarray]:
    """Pictures of ``who`` from three sides, and their painted reflectance (A, A, 3)."""
    from dithead.synth.scene.renderer import Renderer

    person, setting = Person(body, who), sample_setting(4, tone=paint.luminance(who.tone))
    setting = replace(setting, light=SOFT, height=2.6, shift=(0.0, 0.0), azimuth=0.0, elevation=0.0)
    pictures, landmarks = [], []
    with Renderer(SIZE, SIZE, supersample=1.0) as stage:
        person.dress(stage, setting, np.random.default_rng(1))
        annotator = FrameAnnotator(person, SIZE, SIZE)
        for yaw in TURNS:
            person.pose({})
            turn, still = rotation(yaw, 0.0, 0.0), np.zeros(3, np.float32)
            camera = aim_camera(person, setting, np.zeros(2, np.float32))
            pixels = stage.draw(camera, uniforms(person, setting, turn, still))
            seen = annotator.annotate(pixels, turn, still, camera.view_projection(1.0), None)
            pictures.append(pixels)
            landmarks.append(np.vstack([seen.landmarks, np.zeros((10, 2), np.float32)]))
    painted = paint.paint_skin(who, body.head.folder, np.random.default_rng(1))[..., :3].astype(np.float32) / 255
    return Footage(np.stack(pictures), np.stack(landmarks)), painted**2


@pytest.fixture(scope="module")
def shot(body: Any) -> Iterator[tuple[Footage, np.ndarray]]:
    try:
        yield photographed(body, plain(21, body.head.key_names, "old_lightskinned_male_diffuse"))
    except DitheadError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def made(body: Any, shot: tuple[Footage, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    make_skins([shot[0]], folder, body)
    return folder / "skins"


def test_a_fit_finds_pose_and_shape(body: Any) -> None:
    space = FaceSpace(body.head)
    wide = (space.mean + space.shapes[3] * 0.5 + space.shapes[30] * 0.6).astype(np.float32)
    solid = landmark_points(body.head, wide).astype(np.float64)
    flat = []
    for yaw in TURNS:
        turned = solid @ rotation(yaw, 0.1, 0.05).T
        flat.append(turned[:, :2] * (100, -100) / (1 - turned[:, 2:] / 10) + 128)
    fit = fit_head(space, np.stack(flat))
    assert fit.error < 0.006
    for yaw, pose in zip(TURNS, fit.poses, strict=True):
        assert np.arcsin(pose.rotation[0, 2]) == pytest.approx(yaw, abs=0.05)
    before = _form(landmark_points(body.head, space.mean)) - _form(solid)
    assert np.abs(_form(fit.landmarks[1]) - _form(solid)).mean() < 0.6 * np.abs(before).mean()


def _form(points: np.ndarray) -> np.ndarray:
    """Points without place and size."""
    centred = points - points.mean(axis=0)
    return np.asarray(centred / np.linalg.norm(centred, axis=1).mean())


def test_landmarks_that_fall_together_are_refused(body: Any) -> None:
    with pytest.raises(FaceError, match="degenerate"):
        fit_head(FaceSpace(body.head), np.full((1, 478, 2), 7.0))


def test_facts_about_the_mean_are_those_of_macro_keys() -> None:
    assert sum(w for n, w in macro_keys(*MEAN).items() if "universal" not in n) == pytest.approx(1)


def test_texels_know_where_they_lie(body: Any) -> None:
    atlas = Atlas(body)
    x, y = atlas.mirror
    twin = cv2.remap(atlas.picture(atlas.place), x, y, cv2.INTER_NEAREST)[atlas.covered]
    front = (atlas.place[:, 2] > 0.9) & (twin[:, 2] > 0.5)
    assert front.sum() > 20_000
    np.testing.assert_allclose(np.median(np.abs(twin[front] * (-1, 1, 1) - atlas.place[front]), axis=0), 0, atol=0.02)
    np.testing.assert_allclose(atlas.weights.sum(axis=1), 1, atol=1e-4)


def test_a_rendered_skin_comes_back(body: Any, shot: tuple[Footage, np.ndarray], made: Path) -> None:
    """Tone, large patches and fine marks, and they lie where they were painted: not where their mirror images are."""
    picture, record = load_skin(made, "someone")
    atlas, skin, truth = Atlas(body), (picture[..., :3].astype(np.float32) / 255) ** 2, shot[1]
    where = plain_skin(atlas)
    assert np.abs(np.log(np.array(record.tone) / (0.42, 0.24, 0.155))).max() < 0.4
    assert _unlike(skin, truth, where) < 0.14
    mirrored = cv2.remap(truth, *atlas.mirror, cv2.INTER_LINEAR)
    alike, by_chance = _alike(skin, truth, where), _alike(skin, mirrored, where)
    assert alike > 0.5
    assert by_chance < alike - 0.2


def plain_skin(atlas: Atlas) -> np.ndarray:
    """(A, A) True on the cheeks, nose, chin and forehead: skin that pictures show and nothing grows on."""
    x, y, z = np.abs(atlas.place[:, 0]), atlas.place[:, 1], atlas.place[:, 2]
    inside = (z > 0.95) & (y > 6.4) & (y < 7.75) & (x < 0.6) & (atlas.lips < 0.05) & (atlas.keep_out > 0.9)
    return atlas.picture((inside & ~((np.abs(y - 7.4) < 0.16) & (x < 0.62))).astype(np.float32)) > 0.5


def _unlike(first: np.ndarray, second: np.ndarray, where: np.ndarray) -> float:
    """Mean difference of two skins' smoothed log reflectance, each relative to its own mean."""
    off = np.log(cv2.GaussianBlur(first, (0, 0), 3) + 0.004) - np.log(cv2.GaussianBlur(second, (0, 0), 3) + 0.004)
    off = off[where]
    return float(np.abs(off - off.mean(axis=0)).mean())


def _alike(first: np.ndarray, second: np.ndarray, where: np.ndarray) -> float:
    """Correlation of two skins' fine marks."""
    logs = [np.log(cv2.GaussianBlur(skin, (0, 0), 2) + 0.004).mean(axis=2) for skin in (first, second)]
    fine = [(x - cv2.GaussianBlur(x, (0, 0), 20))[where] for x in logs]
    return float(np.corrcoef(*fine)[0, 1])


def test_skins_repeat_to_the_byte_and_are_made_once(
    body: Any, shot: tuple[Footage, np.ndarray], made: Path, tmp_path: Path
) -> None:
    make_skins([shot[0]], tmp_path, body)
    again = tmp_path / "skins"
    for name in ("someone.png", "someone.json"):
        assert (again / name).read_bytes() == (made / name).read_bytes()
    (again / "someone.png").write_bytes(b"kept")
    assert make_skins([shot[0]], tmp_path, body) == ("someone",)
    assert (again / "someone.png").read_bytes() == b"kept"


def test_makehumans_own_layout_gives_the_same_skin(
    official: Path, shot: tuple[Footage, np.ndarray], made: Path, tmp_path: Path
) -> None:
    make_skins([shot[0]], tmp_path, Body(load_head(official)))
    assert (tmp_path / "skins" / "someone.png").read_bytes() == (made / "someone.png").read_bytes()


def test_a_skin_is_worn(body: Any, made: Path, tmp_path: Path) -> None:
    record = load_skin(made, "someone")[1]
    who = wear(sample_identity(5, body.head.key_names), record)
    assert (who.photo, who.tone, who.stubble, who.freckles) == ("someone", record.tone, 0.0, 0.0)
    who.save(tmp_path / "who.json")
    assert Identity.load(tmp_path / "who.json") == who
    person = Person(body, who, made)
    assert "eyebrows" not in {part.name for part in person.parts}, "the photo has its own"
    with pytest.raises(DataError, match="which folder"):
        Person(body, who)._painted(np.random.default_rng(0))


def test_people_without_a_usable_frame_give_no_skin(
    body: Any, shot: tuple[Footage, np.ndarray], tmp_path: Path
) -> None:
    told: list[str] = []
    small = replace(shot[0], landmarks=shot[0].landmarks * 0.1, identity="far", id="far-1")
    hidden = replace(shot[0], valid=False, identity="hidden", id="hidden-1")
    with pytest.raises(DataError, match="no usable frame"):
        make_skins([small, hidden], tmp_path, body, progress=told.append)
    assert [line.split(":")[0] for line in told] == ["far", "hidden"]
    with pytest.raises(DataError, match="no usable frame"):
        make_skins([], tmp_path, body)


def test_a_damaged_skin_is_told(made: Path, tmp_path: Path) -> None:
    (tmp_path / "someone.json").write_text(json.dumps({"name": "someone"}))
    (tmp_path / "someone.png").write_bytes((made / "someone.png").read_bytes())
    with pytest.raises(DataError, match="not a skin"):
        load_skin(tmp_path, "someone")
    with pytest.raises(DataError, match="--skin-from"):
        load_skin(tmp_path, "nobody")


def test_closed_lips_and_other_sides_are_chosen(shot: tuple[Footage, np.ndarray]) -> None:
    views = choose_views([shot[0]])
    assert len(views) == len(TURNS)
    straight = views[0].landmarks
    assert abs(straight[1, 0] - (straight[33, 0] + straight[263, 0]) / 2) < 6


@pytest.mark.parametrize("hertz", [95.0, 210.0])
def test_pitch_tells_voices_apart(hertz: float) -> None:
    time = np.arange(16000) / 16000
    voice = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 8))
    assert pitch(0.2 * np.asarray(voice, np.float32)) == pytest.approx(hertz, rel=0.03)
    assert pitch(np.zeros(16000, np.float32)) is None


def test_a_fit_that_is_far_off_is_refused(body: Any, shot: tuple[Footage, np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    torn = replace(shot[0], landmarks=shot[0].landmarks + rng.normal(0, 12, shot[0].landmarks.shape))
    with pytest.raises(FaceError, match="does not fit"):
        make_skin(Atlas(body), "torn", [torn])


def test_a_corpus_wears_real_skins_and_keeps_their_licence(
    head_folder: Path, espeak: None, shot: tuple[Footage, np.ndarray], made: Path, tmp_path: Path
) -> None:
    shutil.copytree(made, tmp_path / "corpus" / "skins")  # made before: only the rest is made
    options = SynthOptions(head_folder, size=64, seconds=0.12)
    result = synth_corpus(1, tmp_path / "corpus", options, skin_from=[shot[0]])
    folder = tmp_path / "corpus" / "synth_000000"
    record, who = json.loads((folder / "clip.json").read_text()), Identity.load(folder / "identity.json")
    assert (result.made, record["skin"], who.photo) == (1, "someone", "someone")
    assert "CC BY 4.0" in record["licence"]
    assert "CC BY 4.0" in json.loads((tmp_path / "corpus" / "SOURCES.json").read_text())["."]["licence"]
    assert synth_corpus(1, tmp_path / "corpus", options, skin_from=[shot[0]]).made == 0
    with pytest.raises(ConfigError, match="other options"):
        synth_corpus(1, tmp_path / "corpus", options, skin_from=[replace(shot[0], identity="other")])


def test_a_dataset_that_is_none_is_named(head_folder: Path, tmp_path: Path) -> None:
    arguments = ["synth", "1", "-o", str(tmp_path / "out"), "--head-model", str(head_folder)]
    result = CliRunner().invoke(app, [*arguments, "--skin-from", str(tmp_path / "nowhere")])
    assert result.exit_code != 0
    assert "nowhere" in result.stderr
    assert not (tmp_path / "out").exists()
