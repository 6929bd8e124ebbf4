"""A tiny dataset in the form ``prepare`` writes: coloured noise for faces, tones for speech, known landmarks."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dithead.media.audio import write_audio
from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.writer import VideoWriter
from dithead.prepare.settings import PrepareConfig
from dithead.train.stages.audio_encoder import train_audio
from dithead.train.stages.autoencoder import train_autoencoder
from dithead.train.stages.denoiser import train_dit
from dithead.train.stages.options import AudioOptions, AutoencoderOptions, DenoiserOptions
from train.tiny_preset import tiny

SIZE, FRAMES = 64, 12


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "config.json").write_text(json.dumps(PrepareConfig(size=SIZE).stored_values()))
    entries = [_write_clip(folder, index) for index in range(4)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return folder


@pytest.fixture(scope="session")
def stage_two(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train all stages of the tiny preset for a few steps; return the run folder of the denoiser's."""
    runs = tmp_path_factory.mktemp("runs")
    autoencoder = train_autoencoder([str(dataset)], tiny(), runs / "ae", AutoencoderOptions(device="cpu"))
    audio = train_audio([str(dataset)], tiny(), runs / "audio", AudioOptions(steps=2, device="cpu"))
    train_dit([str(dataset)], tiny(), runs / "dit", autoencoder, audio, DenoiserOptions(device="cpu"))
    return runs / "dit"


def _write_clip(folder: Path, index: int) -> dict[str, object]:
    clip = folder / "clips" / f"clip{index}"
    clip.mkdir(parents=True)
    rng = np.random.default_rng(index)
    like = VideoInfo(
        SIZE, SIZE, Fraction(25), pix_fmt="yuv444p", color_range=1, color_space=1, color_primaries=1, color_trc=1
    )
    with VideoWriter(clip / "crop.mp4", like, EncoderOptions(crf=10)) as writer:
        for frame in range(FRAMES):
            picture = np.full((SIZE, SIZE, 3), (60 * index + 20, 128, 90), np.uint8)
            picture[40 : 42 + frame % 6, 22:42] = 10  # a mouth that opens and closes
            writer.write(picture)
    write_audio(clip / "audio.flac", (0.1 * rng.standard_normal(FRAMES * 640)).astype(np.float32), 16000)
    np.savez(clip / "track.npz", landmarks=_landmarks(), transforms=np.tile(np.eye(2, 3), (FRAMES, 1, 1)),
             valid=np.ones(FRAMES, bool), polygon=np.float32([[10, 28], [54, 28], [48, 62], [16, 62]]))  # fmt: skip
    return {
        "id": f"clip{index}", "identity": f"person{index}", "split": "val" if index == 3 else "train",
        "source": "made by the test", "licence": "CC0-1.0", "frames": FRAMES, "fps": 25, "status": "ok", "reason": "",
    }  # fmt: skip


def _landmarks() -> np.ndarray:
    rng = np.random.default_rng(0)
    landmarks = np.tile(rng.uniform(24, 40, (478, 2)), (FRAMES, 1, 1)).astype(np.float32)
    landmarks[:, :, 1] += np.linspace(0, 6, FRAMES)[:, None]  # the lips' outline changes from frame to frame
    landmarks[:, ::2, 1] += np.sin(np.arange(FRAMES))[:, None]
    return landmarks
