"""Network measures by stand-ins whose answer is known, and the Frechet distance by closed form."""

import warnings
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from dithead.errors import ConfigError, ModelError
from dithead.evaluate.external_networks import align_for_recognition
from dithead.evaluate.network_measures import NetworkMeasures, fid_over_clips, frechet_distance
from dithead.evaluate.score import score_folders
from dithead.face.alignment import EYE_DISTANCE, EYE_LINE
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter

RNG = np.random.default_rng(3)


class Distance(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).abs().mean(dim=(1, 2, 3))


class MeanColour(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().mean(dim=(2, 3))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    networks = {"lpips": Distance(), "inception": MeanColour(), "face": MeanColour()}
    return {name: scripted(network, folder / name) for name, network in networks.items()}


def crops(value, n=20):
    return np.full((n, 32, 32, 3), value, np.uint8)


def test_without_weights_all_is_missing_and_nothing_is_zero():
    experts = NetworkMeasures()
    assert {"lpips", "fid", "fid_mouth", "identity", "lse_c", "lse_d"} <= set(experts.missing())
    assert experts.compare_pictures(crops(0), crops(255)) == {}
    assert fid_over_clips([experts.fid_features(crops(0), crops(255))]) == {}


def test_given_weights_are_used_and_no_longer_missing(weights):
    experts = NetworkMeasures(weights)
    assert not {"lpips", "fid", "fid_mouth", "identity"} & set(experts.missing())
    scores = experts.compare_pictures(crops(255), crops(0))
    assert scores["lpips"] == pytest.approx(2)
    assert scores["identity"] == pytest.approx(-1)  # white against black in [-1, 1]
    assert experts.compare_pictures(crops(9), crops(9)) == {"lpips": 0, "identity": pytest.approx(1)}


def test_a_video_without_any_face_fails_in_every_measure_of_pictures(weights):
    experts = NetworkMeasures(weights)
    none = crops(0, n=0)
    scores = experts.compare_pictures(none, none)
    assert set(scores) == {"lpips", "identity"}
    assert np.isnan(list(scores.values())).all()
    assert experts.fid_features(none, none) == {}
    only_lpips = NetworkMeasures({"lpips": weights["lpips"]}).compare_pictures(none, none)
    assert set(only_lpips) == {"lpips"}, "what was not asked for is missing and does not fail"


def test_score_with_weights_goes_on_after_a_video_without_a_face(weights, tmp_path):
    speaker = Path(__file__).parents[2] / "examples" / "presenters" / "mia.mp4"
    grey = np.full((96, 160, 3), 90, np.uint8)
    frames = [frame.pixels for frame in islice(read_frames(speaker), 3)]
    for folder, pictures in (("truth", {"a": frames, "b": frames}), ("tool", {"a": [grey] * 3, "b": frames})):
        (tmp_path / folder).mkdir()
        for name, shown in pictures.items():
            like = replace(probe(speaker), width=shown[0].shape[1], height=shown[0].shape[0])
            with VideoWriter(tmp_path / folder / f"{name}.mp4", like) as writer:
                for picture in shown:
                    writer.write(picture)
    metrics = score_folders(tmp_path / "tool", tmp_path / "truth", tmp_path / "report", weights=weights)["metrics"]
    for name in ("lpips", "identity", "fid", "fid_mouth"):
        assert (metrics[name]["n"], metrics[name]["failed"]) == (1, 1), name


def test_fid_joins_all_clips(weights):
    experts = NetworkMeasures(weights)
    clips = [experts.fid_features(crops(a), crops(b)) for a, b in ((10, 30), (20, 40))]
    # Colour is the same on all three axes: means 15 and 35, equal covariances.
    assert fid_over_clips(clips)["fid"] == pytest.approx(3 * 20**2)
    assert fid_over_clips(clips)["fid_mouth"] == pytest.approx(3 * 20**2)


class StyleGansVgg(torch.nn.Module):
    """The published ``vgg16.pt`` takes pictures of 0 to 255 and these options; only with the last is it LPIPS."""

    def forward(self, img: torch.Tensor, resize_images: bool = True, return_lpips: bool = False) -> torch.Tensor:
        assert not resize_images
        x = img.mean(dim=(2, 3)) / 255
        return x if return_lpips else torch.zeros_like(x)


class StyleGansInception(torch.nn.Module):
    """The published ``inception-2015-12-05.pt``: class probabilities unless features are asked for."""

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        x = img.float().mean(dim=(2, 3))
        return x if return_features else torch.softmax(x, 1)


def scripted(network: torch.nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(network), str(path))
    return path


def test_stylegans_networks_are_called_with_the_options_they_need(tmp_path):
    files = {"lpips": StyleGansVgg(), "inception": StyleGansInception()}
    experts = NetworkMeasures({name: scripted(net, tmp_path / f"{name}.pt") for name, net in files.items()})
    assert experts.compare_pictures(crops(255), crops(0))["lpips"] == pytest.approx(3)  # one for each colour
    assert fid_over_clips([experts.fid_features(crops(10), crops(30))])["fid"] == pytest.approx(3 * 20**2)


def alexnet(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under torchvision's names, as its ``alexnet-owt-7be5be79.pth`` has them."""
    torch.manual_seed(seed)
    shapes = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}
    state = {"classifier.1.weight": torch.zeros(8, 8)}
    for i, shape in shapes.items():
        state[f"features.{i}.weight"] = torch.randn(shape) / (shape[1] * shape[2] * shape[3] / 2) ** 0.5
        state[f"features.{i}.bias"] = torch.randn(shape[0]) * 0.01
    return state


def test_lpips_with_alexnet_is_what_torchmetrics_parts_make_of_it(tmp_path):
    parts = pytest.importorskip("torchmetrics.functional.image.lpips")
    state = alexnet()
    torch.save(state, tmp_path / "alexnet.pth")
    save_file(state, tmp_path / "alexnet.safetensors")
    sharp = RNG.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    soft = np.stack([cv2.GaussianBlur(x, (0, 0), 1) for x in sharp])
    found = [
        NetworkMeasures({"lpips": tmp_path / f"alexnet.{end}"}).compare_pictures(soft, sharp)["lpips"]
        for end in ("pth", "safetensors")
    ]
    heads = torch.load(Path(parts.__file__).parent / "lpips_models" / "alex.pth", map_location="cpu", weights_only=True)
    a, b = (parts.ScalingLayer()(torch.from_numpy(x).permute(0, 3, 1, 2) / 127.5 - 1) for x in (soft, sharp))
    total = torch.zeros(3)
    for level, i in enumerate((0, 3, 6, 8, 10)):
        if i in (3, 6):
            a, b = (F.max_pool2d(x, 3, 2) for x in (a, b))
        stride, padding = (4, 2) if i == 0 else (1, 2 if i == 3 else 1)
        weight, bias = state[f"features.{i}.weight"], state[f"features.{i}.bias"]
        a, b = (F.relu(F.conv2d(x, weight, bias, stride, padding)) for x in (a, b))
        apart = (parts._normalize_tensor(a) - parts._normalize_tensor(b)) ** 2
        total += parts._spatial_average(F.conv2d(apart, heads[f"lin{level}.model.1.weight"])).flatten()
    assert found[0] == found[1] == pytest.approx(float(total.mean()), rel=1e-4)
    assert found[0] > 0
    assert NetworkMeasures({"lpips": tmp_path / "alexnet.pth"}).compare_pictures(sharp, sharp)["lpips"] == 0


def test_identity_by_opencvs_onnx_network(tmp_path):
    """A network in the form of SFace, 112 pixels in, whose embedding is the mean colour, red first."""
    path = tmp_path / "sface.onnx"
    path.write_bytes(onnx("GlobalAveragePool", "Flatten"))
    faces = RNG.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    reddish = np.minimum(faces + np.array([90, 0, 0]), 255).astype(np.uint8)
    experts = NetworkMeasures({"face": path})
    assert "identity" not in experts.missing()
    assert experts.compare_pictures(faces, faces)["identity"] == pytest.approx(1)
    a, b = (align_for_recognition(x).mean(axis=(1, 2)) for x in (faces, reddish))
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert experts.compare_pictures(faces, reddish)["identity"] == pytest.approx(float(cosine.mean()), abs=1e-4)


def onnx(*operators: str) -> bytes:
    """The bytes of an ONNX file: operators without weights, one after another, on pictures (1, 3, 112, 112)."""

    def field(number: int, content: bytes | str | int) -> bytes:
        if isinstance(content, int):
            return bytes([number << 3, content])
        content = content.encode() if isinstance(content, str) else content
        low, high = len(content) & 127, len(content) >> 7
        return bytes([number << 3 | 2, *([low | 128, high] if high else [low])]) + content

    def tensor(name: str, *sizes: int) -> bytes:
        shape = b"".join(field(1, field(1, size)) for size in sizes)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    nodes = b"".join(
        field(1, field(1, f"x{i}") + field(2, f"x{i + 1}") + field(3, f"n{i}") + field(4, operator))
        for i, operator in enumerate(operators)
    )
    graph = (
        nodes + field(2, "g") + field(11, tensor("x0", 1, 3, 112, 112)) + field(12, tensor(f"x{len(operators)}", 1, 3))
    )
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))


def test_eyes_are_where_recognition_networks_expect_them():
    crop = np.zeros((1, 200, 200, 3), np.uint8)
    eyes = [(round((0.5 + k * EYE_DISTANCE / 2) * 200), round(EYE_LINE * 200)) for k in (-1, 1)]
    for x, y in eyes:
        cv2.circle(crop[0], (x, y), 3, (255, 255, 255), -1)
    rows, columns = np.nonzero(align_for_recognition(crop)[0, ..., 0] > 128)
    assert rows.mean() == pytest.approx(51.6, abs=1)
    assert [columns[columns < 56].mean(), columns[columns > 56].mean()] == pytest.approx([30.4, 81.6], abs=1)


def test_frechet_distance_of_normals_is_its_closed_form():
    a = RNG.normal(size=(40_000, 3)) * [1, 2, 3]
    b = RNG.normal(size=(40_000, 3)) * [2, 2, 1] + [1, 0, 0]
    exact = 1 + (1 - 2) ** 2 + (2 - 2) ** 2 + (3 - 1) ** 2
    assert frechet_distance(a, b) == pytest.approx(exact, rel=0.03)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert np.isnan(frechet_distance(a[:1], b[:1])), "one picture has no spread"


def test_unknown_or_broken_weights_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no network called 'vgg'"):
        NetworkMeasures({"vgg": tmp_path})
    (tmp_path / "text.pt").write_text("no network")
    with pytest.raises(ModelError, match=r"text\.pt"):
        NetworkMeasures({"lpips": tmp_path / "text.pt"})
    with pytest.raises(ModelError, match=r"gone\.pt"):
        NetworkMeasures({"lpips": tmp_path / "gone.pt"})
    for file, name in (("text.onnx", "face"), ("text.pth", "lpips"), ("text.safetensors", "lpips")):
        (tmp_path / file).write_text("no network")
        with pytest.raises(ModelError, match=file):
            NetworkMeasures({name: tmp_path / file})
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="not AlexNet"):
        NetworkMeasures({"lpips": tmp_path / "other.pth"})
