"""Experts by stand-ins whose answer is known, and the Frechet distance by closed form."""

import warnings

import numpy as np
import pytest
import torch

from dithead.errors import ConfigError, ModelError
from dithead.evaluate.experts import Experts, fid_of, frechet_distance

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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for name, network in networks.items():
            torch.jit.save(torch.jit.script(network), str(folder / name))
    return {name: folder / name for name in networks}


def crops(value, n=20):
    return np.full((n, 32, 32, 3), value, np.uint8)


def test_without_weights_all_is_missing_and_nothing_is_zero():
    experts = Experts()
    assert {"lpips", "fid", "fid_mouth", "identity", "lse_c", "lse_d"} <= set(experts.missing())
    assert experts.measure(crops(0), crops(255)) == {}
    assert fid_of([experts.features(crops(0), crops(255))]) == {}


def test_given_weights_are_used_and_no_longer_missing(weights):
    experts = Experts(weights)
    assert not {"lpips", "fid", "fid_mouth", "identity"} & set(experts.missing())
    scores = experts.measure(crops(255), crops(0))
    assert scores["lpips"] == pytest.approx(2)
    assert scores["identity"] == pytest.approx(-1)  # white against black in [-1, 1]
    assert experts.measure(crops(9), crops(9)) == {"lpips": 0, "identity": pytest.approx(1)}


def test_fid_joins_all_clips(weights):
    experts = Experts(weights)
    clips = [experts.features(crops(a), crops(b)) for a, b in ((10, 30), (20, 40))]
    # Colour is the same on all three axes: means 15 and 35, equal covariances.
    assert fid_of(clips)["fid"] == pytest.approx(3 * 20**2)
    assert fid_of(clips)["fid_mouth"] == pytest.approx(3 * 20**2)


def test_frechet_distance_of_normals_is_its_closed_form():
    a = RNG.normal(size=(40_000, 3)) * [1, 2, 3]
    b = RNG.normal(size=(40_000, 3)) * [2, 2, 1] + [1, 0, 0]
    exact = 1 + (1 - 2) ** 2 + (2 - 2) ** 2 + (3 - 1) ** 2
    assert frechet_distance(a, b) == pytest.approx(exact, rel=0.03)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_unknown_or_broken_weights_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no expert called 'vgg'"):
        Experts({"vgg": tmp_path})
    (tmp_path / "text.pt").write_text("no network")
    with pytest.raises(ModelError, match=r"text\.pt"):
        Experts({"lpips": tmp_path / "text.pt"})
    with pytest.raises(ModelError, match=r"gone\.pt"):
        Experts({"lpips": tmp_path / "gone.pt"})
