"""The watermark is found in a marked presenter after encoding, with its payload, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest

from dithead.face.alignment import crop_transform
from dithead.face.landmarks import FaceLandmarker
from dithead.media.encoder import EncoderOptions
from dithead.media.planes import planes_of
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter
from dithead.provenance.detect_watermark import WatermarkResult, collect_evidence, detect_in, silent
from dithead.provenance.watermark import Payload, Watermarker
from dithead.provenance.watermark_evidence import FaceEvidence

PRESENTER = Path(__file__).parents[2] / "examples" / "presenters" / "mia.mp4"
PAYLOAD = Payload(model=1234, job=1)
KEY = b"a test's key"


def marked_and_encoded(path: Path, crf: float) -> list[FaceEvidence]:
    """Mark the whole lower face of the presenter and encode once."""
    info, marker, allowed = probe(PRESENTER), Watermarker(PAYLOAD, KEY), np.zeros((160, 160), np.float32)
    allowed[80:150, 30:130] = 1
    with VideoWriter(path, info, EncoderOptions(crf)) as writer, FaceLandmarker() as landmarker:
        for frame in read_frames(PRESENTER):
            planes = planes_of(frame.native, writer.pix_fmt, frame.encoding)
            landmarks = landmarker.track(frame.quick_pixels)
            assert landmarks is not None
            marker.apply(planes, crop_transform(landmarks, 160), allowed, frame.time)
            writer.write(planes)
    return collect_evidence(path, silent)


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> list[FaceEvidence]:
    return marked_and_encoded(tmp_path_factory.mktemp("marked") / "marked.mp4", crf=18)


def test_an_encoded_mark_is_found_with_its_payload(marked: list[FaceEvidence]) -> None:
    found = detect_in(marked, KEY)
    assert found.present
    assert found.payload == PAYLOAD
    assert found.promised
    ((start, stop),) = found.faces[0].seconds
    assert start <= 1
    assert stop >= 4


def test_another_key_finds_nothing(marked: list[FaceEvidence]) -> None:
    assert_nothing(detect_in(marked, b"another key"))


def test_nothing_is_found_in_an_unmarked_video() -> None:
    assert_nothing(detect_in(collect_evidence(PRESENTER, silent), KEY))


def assert_nothing(found: WatermarkResult) -> None:
    assert not found.present
    assert found.payload is None
    assert found.p_value > 1e-3
    assert not any(face.seconds for face in found.faces)
