"""Skins made from pictures of rendered people, whose skin is known, come back."""

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
from dithead.synth.corpus.ground_truth import FrameAnnotator
from dithead.synth.corpus.options import SynthOptions
from dithead.synth.corpus.people import synth_corpus
from dithead.synth.corpus.take import aim_camera
from dithead.synth.face.motion import rotation_matrix
from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.head.identity import Identity, macro_key_weights, sample_identity
from dithead.synth.head.landmark_vertices import landmark_points
from dithead.synth.person.person import Person, frame_uniforms
from dithead.synth.person.textures_and_light import skin_picture
from dithead.synth.scene.setting import Light, sample_setting
from dithead.synth.skin import paint
from dithead.synth.skin.atlas import SkinAtlas
from dithead.synth.skin.head_fit import MEAN_PERSON, FaceSpace, fit_head
from dithead.synth.skin.make_skin import make_skin, voice_pitch
from dithead.synth.skin.real_skins import make_skins, wear_skin
from dithead.synth.skin.skin_record import load_skin
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


def plain_person(seed: int, names: frozenset[str], skin: str) -> Identity:
    """A person without beard, glasses, make-up or hair in the face."""
    identity = sample_identity(seed, names)
    return replace(identity, hair=None, stubble=0.0, glasses=0, blush=0.0, lip_strength=0.3, gloss=0.3, skin=skin,
                   tone=(0.42, 0.24, 0.155), freckles=0.8, moles=15)  # fmt: skip


def take_pictures(body: Any, identity: Identity) -> tuple[Footage, np.ndarray]:
    """Pictures of a person from three sides, and the painted reflectance (A, A, 3)."""
    from dithead.synth.scene.renderer import Renderer

    person, setting = Person(body, identity), sample_setting(4, tone=paint.luminance(identity.tone))
    setting = replace(setting, light=SOFT, height=2.6, shift=(0.0, 0.0), azimuth=0.0, elevation=0.0)
    pictures, landmarks = [], []
    with Renderer(SIZE, SIZE, supersample=1.0) as renderer:
        person.upload_to(renderer, setting, np.random.default_rng(1))
        annotator = FrameAnnotator(person, SIZE, SIZE)
        for yaw in TURNS:
            person.pose({})
            turn, still = rotation_matrix(yaw, 0.0, 0.0), np.zeros(3, np.float32)
            camera = aim_camera(person, setting, np.zeros(2, np.float32))
            pixels = renderer.draw(camera, frame_uniforms(person, setting, turn, still))
            seen = annotator.annotate(pixels, turn, still, camera.view_projection(1.0), None)
            pictures.append(pixels)
            landmarks.append(np.vstack([seen.landmarks, np.zeros((10, 2), np.float32)]))
    painted = paint.paint_skin(identity, body.head.folder, np.random.default_rng(1))[..., :3].astype(np.float32) / 255
    return Footage(np.stack(pictures), np.stack(landmarks)), painted**2


@pytest.fixture(scope="module")
def pictures_and_truth(body: Any) -> Iterator[tuple[Footage, np.ndarray]]:
    try:
        yield take_pictures(body, plain_person(21, body.head.key_names, "old_lightskinned_male_diffuse"))
    except DitheadError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def skins(body: Any, pictures_and_truth: tuple[Footage, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    make_skins([pictures_and_truth[0]], folder, body)
    return folder / "skins"


def test_a_fit_finds_pose_and_shape(body: Any) -> None:
    space = FaceSpace(body.head)
    wide = (space.mean + space.shapes[3] * 0.5 + space.shapes[30] * 0.6).astype(np.float32)
    solid = landmark_points(body.head, wide).astype(np.float64)
    flat = []
    for yaw in TURNS:
        turned = solid @ rotation_matrix(yaw, 0.1, 0.05).T
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


def test_coinciding_landmarks_are_refused(body: Any) -> None:
    with pytest.raises(FaceError, match="degenerate"):
        fit_head(FaceSpace(body.head), np.full((1, 478, 2), 7.0))


def test_the_macro_weights_of_the_mean_person_sum_to_one() -> None:
    assert sum(w for n, w in macro_key_weights(*MEAN_PERSON).items() if "universal" not in n) == pytest.approx(1)


def test_texels_and_their_mirror_images_lie_at_mirrored_places(body: Any) -> None:
    atlas = SkinAtlas(body)
    x, y = atlas.mirror
    twin = cv2.remap(atlas.picture(atlas.place), x, y, cv2.INTER_NEAREST)[atlas.covered]
    front = (atlas.place[:, 2] > 0.9) & (twin[:, 2] > 0.5)
    assert front.sum() > 20_000
    np.testing.assert_allclose(np.median(np.abs(twin[front] * (-1, 1, 1) - atlas.place[front]), axis=0), 0, atol=0.02)
    np.testing.assert_allclose(atlas.weights.sum(axis=1), 1, atol=1e-4)


def test_the_skin_of_a_rendered_person_is_recovered(
    body: Any, pictures_and_truth: tuple[Footage, np.ndarray], skins: Path
) -> None:
    """Tone, large patches and fine marks, and they lie where they were painted: not where their mirror images are."""
    picture, record = load_skin(skins, "someone")
    atlas, skin, truth = SkinAtlas(body), (picture[..., :3].astype(np.float32) / 255) ** 2, pictures_and_truth[1]
    where = plain_skin(atlas)
    assert np.abs(np.log(np.array(record.tone) / (0.42, 0.24, 0.155))).max() < 0.4
    assert smooth_difference(skin, truth, where) < 0.14
    mirrored = cv2.remap(truth, *atlas.mirror, cv2.INTER_LINEAR)
    alike, by_chance = fine_correlation(skin, truth, where), fine_correlation(skin, mirrored, where)
    assert alike > 0.5
    assert by_chance < alike - 0.2


def plain_skin(atlas: SkinAtlas) -> np.ndarray:
    """(A, A) True on the cheeks, nose, chin and forehead: skin that pictures show and nothing grows on."""
    x, y, z = np.abs(atlas.place[:, 0]), atlas.place[:, 1], atlas.place[:, 2]
    inside = (z > 0.95) & (y > 6.4) & (y < 7.75) & (x < 0.6) & (atlas.lips < 0.05) & (atlas.photo_trust > 0.9)
    return atlas.picture((inside & ~((np.abs(y - 7.4) < 0.16) & (x < 0.62))).astype(np.float32)) > 0.5


def smooth_difference(first: np.ndarray, second: np.ndarray, where: np.ndarray) -> float:
    """Mean difference of two skins' smoothed log reflectance, each relative to its own mean."""
    off = np.log(cv2.GaussianBlur(first, (0, 0), 3) + 0.004) - np.log(cv2.GaussianBlur(second, (0, 0), 3) + 0.004)
    off = off[where]
    return float(np.abs(off - off.mean(axis=0)).mean())


def fine_correlation(first: np.ndarray, second: np.ndarray, where: np.ndarray) -> float:
    """Correlation of two skins' fine marks."""
    logs = [np.log(cv2.GaussianBlur(skin, (0, 0), 2) + 0.004).mean(axis=2) for skin in (first, second)]
    fine = [(x - cv2.GaussianBlur(x, (0, 0), 20))[where] for x in logs]
    return float(np.corrcoef(*fine)[0, 1])


@pytest.mark.slow
def test_skins_are_reproducible_and_made_once(
    body: Any, pictures_and_truth: tuple[Footage, np.ndarray], skins: Path, tmp_path: Path
) -> None:
    make_skins([pictures_and_truth[0]], tmp_path, body)
    again = tmp_path / "skins"
    for name in ("someone.png", "someone.json"):
        assert (again / name).read_bytes() == (skins / name).read_bytes()
    (again / "someone.png").write_bytes(b"kept")
    assert make_skins([pictures_and_truth[0]], tmp_path, body) == ("someone",)
    assert (again / "someone.png").read_bytes() == b"kept"


@pytest.mark.slow
def test_makehumans_layout_gives_the_same_skin(
    official: Path, pictures_and_truth: tuple[Footage, np.ndarray], skins: Path, tmp_path: Path
) -> None:
    make_skins([pictures_and_truth[0]], tmp_path, Body(load_head(official)))
    assert (tmp_path / "skins" / "someone.png").read_bytes() == (skins / "someone.png").read_bytes()


def test_a_person_in_a_real_skin_is_not_painted(body: Any, skins: Path, tmp_path: Path) -> None:
    record = load_skin(skins, "someone")[1]
    identity = wear_skin(sample_identity(5, body.head.key_names), record)
    assert (identity.photo, identity.tone, identity.stubble, identity.freckles) == ("someone", record.tone, 0.0, 0.0)
    identity.save(tmp_path / "identity.json")
    assert Identity.load(tmp_path / "identity.json") == identity
    person = Person(body, identity, skins)
    assert "eyebrows" not in {part.name for part in person.parts}, "a photographed skin has its own brows"
    with pytest.raises(DataError, match="which folder"):
        skin_picture(identity, body.head.folder, np.random.default_rng(0), None)


def test_people_without_a_usable_frame_give_no_skin(
    body: Any, pictures_and_truth: tuple[Footage, np.ndarray], tmp_path: Path
) -> None:
    lines: list[str] = []
    small = replace(pictures_and_truth[0], landmarks=pictures_and_truth[0].landmarks * 0.1, identity="far", id="far-1")
    hidden = replace(pictures_and_truth[0], valid=False, identity="hidden", id="hidden-1")
    with pytest.raises(DataError, match="no usable frame"):
        make_skins([small, hidden], tmp_path, body, progress=lines.append)
    assert [line.split(":")[0] for line in lines] == ["far", "hidden"]
    with pytest.raises(DataError, match="no usable frame"):
        make_skins([], tmp_path, body)


def test_a_damaged_or_missing_skin_is_reported(skins: Path, tmp_path: Path) -> None:
    (tmp_path / "someone.json").write_text(json.dumps({"name": "someone"}))
    (tmp_path / "someone.png").write_bytes((skins / "someone.png").read_bytes())
    with pytest.raises(DataError, match="not a skin"):
        load_skin(tmp_path, "someone")
    with pytest.raises(DataError, match="--skin-from"):
        load_skin(tmp_path, "nobody")


def test_views_from_all_sides_are_chosen_straight_one_first(pictures_and_truth: tuple[Footage, np.ndarray]) -> None:
    views = choose_views([pictures_and_truth[0]])
    assert len(views) == len(TURNS)
    straight = views[0].landmarks
    assert abs(straight[1, 0] - (straight[33, 0] + straight[263, 0]) / 2) < 6


@pytest.mark.parametrize("hertz", [95.0, 210.0])
def test_voice_pitch_is_the_fundamental_frequency(hertz: float) -> None:
    time = np.arange(16000) / 16000
    voice = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 8))
    assert voice_pitch(0.2 * np.asarray(voice, np.float32)) == pytest.approx(hertz, rel=0.03)
    assert voice_pitch(np.zeros(16000, np.float32)) is None


def test_a_fit_far_from_the_landmarks_is_refused(body: Any, pictures_and_truth: tuple[Footage, np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    torn = replace(
        pictures_and_truth[0],
        landmarks=pictures_and_truth[0].landmarks + rng.normal(0, 12, pictures_and_truth[0].landmarks.shape),
    )
    with pytest.raises(FaceError, match="does not fit"):
        make_skin(SkinAtlas(body), "torn", [torn])


def test_a_corpus_wears_real_skins_and_keeps_their_licence(
    head_folder: Path, espeak: None, pictures_and_truth: tuple[Footage, np.ndarray], skins: Path, tmp_path: Path
) -> None:
    shutil.copytree(skins, tmp_path / "corpus" / "skins")  # so that only the clip is made
    options = SynthOptions(head_folder, size=64, seconds=0.12)
    result = synth_corpus(1, tmp_path / "corpus", options, skin_from=[pictures_and_truth[0]])
    folder = tmp_path / "corpus" / "synth_000000"
    record, identity = json.loads((folder / "clip.json").read_text()), Identity.load(folder / "identity.json")
    assert (result.made, record["skin"], identity.photo) == (1, "someone", "someone")
    assert "CC BY 4.0" in record["licence"]
    assert "CC BY 4.0" in json.loads((tmp_path / "corpus" / "SOURCES.json").read_text())["."]["licence"]
    assert synth_corpus(1, tmp_path / "corpus", options, skin_from=[pictures_and_truth[0]]).made == 0
    with pytest.raises(ConfigError, match="other options"):
        synth_corpus(1, tmp_path / "corpus", options, skin_from=[replace(pictures_and_truth[0], identity="other")])


def test_a_dataset_that_does_not_exist_is_named(head_folder: Path, tmp_path: Path) -> None:
    arguments = ["synth", "1", "-o", str(tmp_path / "out"), "--head-model", str(head_folder)]
    result = CliRunner().invoke(app, [*arguments, "--skin-from", str(tmp_path / "nowhere")])
    assert result.exit_code != 0
    assert "nowhere" in result.stderr
    assert not (tmp_path / "out").exists()
