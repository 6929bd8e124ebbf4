"""A person who is ready to speak live: a tiny untrained model, and twelve small frames of a rendered presenter."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import pytest
import torch

from dithead.checkpoint import build_model
from dithead.config import get_preset
from dithead.inference.live_conversation import PreparedHead
from dithead.inference.streaming import LiveHead
from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.video import read_frames
from dithead.media.writer import VideoWriter

PRESENTER = Path(__file__).parents[2] / "examples" / "presenters" / "mia.mp4"


@pytest.fixture(scope="session")
def person(tmp_path_factory: pytest.TempPathFactory) -> PreparedHead:
    video = tmp_path_factory.mktemp("person") / "mia.mp4"
    with VideoWriter(video, VideoInfo(256, 256, Fraction(25)), EncoderOptions(crf=10)) as writer:
        for frame in islice(read_frames(PRESENTER), 12):
            writer.write(cv2.resize(frame.pixels, (256, 256), interpolation=cv2.INTER_AREA))
    torch.manual_seed(0)
    return PreparedHead(LiveHead(video, model=build_model(get_preset("tiny").model)))
