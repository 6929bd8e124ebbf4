"""The original SyncNet: its architecture with random weights, and its cepstra against closed forms."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dithead.critics.syncnet import SyncNet, load_syncnet, mfcc
from dithead.errors import ModelError

# Of the published syncnet_v2.model, counted in its public code: shapes that tell the architecture.
KEYS = {
    "netcnnaud.0.weight": (64, 1, 3, 3),
    "netcnnaud.4.weight": (192, 64, 3, 3),
    "netcnnaud.8.weight": (384, 192, 3, 3),
    "netcnnaud.11.weight": (256, 384, 3, 3),
    "netcnnaud.14.weight": (256, 256, 3, 3),
    "netcnnaud.18.weight": (512, 256, 5, 4),
    "netcnnaud.19.running_mean": (512,),
    "netfcaud.0.weight": (512, 512),
    "netfcaud.3.weight": (1024, 512),
    "netfclip.3.bias": (1024,),
    "netcnnlip.0.weight": (96, 3, 5, 7, 7),
    "netcnnlip.4.weight": (256, 96, 1, 5, 5),
    "netcnnlip.8.weight": (256, 256, 1, 3, 3),
    "netcnnlip.11.weight": (256, 256, 1, 3, 3),
    "netcnnlip.14.weight": (256, 256, 1, 3, 3),
    "netcnnlip.18.weight": (512, 256, 1, 6, 6),
    "netcnnlip.19.running_var": (512,),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("syncnet") / "syncnet_v2.safetensors"
    save_file(SyncNet().state_dict(), path)
    return path


def test_keys_and_shapes_equal_the_originals() -> None:
    stored = {name: tuple(tensor.shape) for name, tensor in SyncNet().state_dict().items()}
    assert {name: stored[name] for name in KEYS} == KEYS


def test_saved_weights_load_and_embed(weights: Path) -> None:
    net = load_syncnet(weights)
    faces = np.random.default_rng(0).integers(0, 255, (7, 224, 224, 3), np.uint8)
    of_faces, of_sound = net.embed(faces, np.random.default_rng(1).normal(0, 0.1, 7 * 640).astype(np.float32))
    assert of_faces.shape == of_sound.shape == (2, 1024)
    assert torch.isfinite(of_faces).all()
    assert not torch.equal(of_faces[0], of_faces[1])


def test_other_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    save_file({"netcnnaud.0.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("nothing")
    for name in ("other", "text"):
        with pytest.raises(ModelError, match="not SyncNet's weights") as raised:
            load_syncnet(tmp_path / f"{name}.safetensors")
        assert "\n" not in str(raised.value)


def test_cepstra_of_silence_and_of_a_tone() -> None:
    silent = mfcc(np.zeros(16000, np.float32))
    assert silent.shape == (99, 13)
    tiny = np.log(np.finfo(float).eps)
    assert np.allclose(silent[:, 0], tiny)  # energy
    assert np.allclose(silent[:, 1:], 0, atol=1e-6)  # flat bands have no shape
    wave = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)).astype(np.float32)
    quiet, loud = mfcc(wave / 4), mfcc(wave)
    # Four times the amplitude adds log 16 to every band and to the energy, and leaves the shape alone.
    assert np.allclose((loud - quiet)[5:-5, 0], np.log(16), atol=0.01)
    assert np.allclose((loud - quiet)[5:-5, 1:4], 0, atol=0.6)
