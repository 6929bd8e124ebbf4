"""A small video, and keys and settings of each test's own."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.writer import VideoWriter
from dithead.provenance.manifest import Claim, RedrawnSpan
from dithead.provenance.settings import FOLDER_VARIABLE


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty configuration folder."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "configuration"))
    return tmp_path / "configuration"


@pytest.fixture
def video(tmp_path: Path) -> Callable[[str], Path]:
    """Write twelve frames of noise under a name."""

    def write(name: str) -> Path:
        noise = np.random.default_rng(0)
        with VideoWriter(tmp_path / name, VideoInfo(64, 48, Fraction(25)), EncoderOptions(crf=20)) as writer:
            for _ in range(12):
                writer.write(noise.integers(0, 255, (48, 64, 3), np.uint8))
        return tmp_path / name

    return write


@pytest.fixture
def claim() -> Claim:
    """A claim about a face redrawn in two stretches."""
    spans = (RedrawnSpan(1, 0.0, 0.2, (10, 20, 30, 20)), RedrawnSpan(1, 5.0, 6.0, (12, 20, 30, 20)))
    details = {"model": {"name": "small", "version": "0.6"}, "seed": 0}
    return Claim("compositeWithTrainedAlgorithmicMedia", "mouths were redrawn", (), spans, details)
