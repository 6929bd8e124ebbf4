"""The watermark is found in a marked presenter after encoding, with its payload, and nowhere else."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from dithead.face.alignment import crop_transform
from dithead.face.landmarks import FaceLandmarker
from dithead.media.colour import ColourEncoding
from dithead.media.encoder import EncoderOptions
from dithead.media.planes import Planes, planes_of, planes_of_rgb
from dithead.media.tone_mapping import HLG, PQ, tone_mapping
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter
from dithead.provenance.detect_watermark import WatermarkResult, collect_evidence, detect_in, silent
from dithead.provenance.settings import FOLDER_VARIABLE
from dithead.provenance.verify import exit_code, verify
from dithead.provenance.verify_text import sentences
from dithead.provenance.watermark import Payload, Watermarker
from dithead.provenance.watermark_evidence import FaceEvidence
from dithead.provenance.watermark_pattern import band, set_weights

PRESENTER = Path(__file__).parents[2] / "examples" / "presenters" / "mia.mp4"
PAYLOAD = Payload(model=1234, job=1)
KEY = b"the secret key of a test"


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
def marked_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("marked") / "marked.mp4"


@pytest.fixture(scope="module")
def marked(marked_file: Path) -> list[FaceEvidence]:
    return marked_and_encoded(marked_file, crf=18)


def test_an_encoded_mark_is_found_with_its_payload(marked: list[FaceEvidence]) -> None:
    found = detect_in(marked, [KEY])
    assert found.present
    assert found.payload == PAYLOAD
    assert found.promised
    ((start, stop),) = found.faces[0].seconds
    assert start <= 1
    assert stop >= 4


def test_of_several_keys_the_right_one_is_named_and_the_bound_allows_for_all(marked: list[FaceEvidence]) -> None:
    alone, among = detect_in(marked, [KEY]), detect_in(marked, [b"another key", KEY, b"a third key"])
    assert (among.present, among.key, among.payload) == (True, KEY, PAYLOAD)
    assert among.p_value == pytest.approx(3 * alone.p_value)


def test_verify_tells_a_mark_whose_credentials_are_gone(
    marked: list[FaceEvidence], marked_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark was made with an installation's own key, which trust.toml names."""
    (tmp_path / "own.key").write_bytes(KEY)
    (tmp_path / "trust.toml").write_text('watermark_keys = ["own.key"]\n')
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    result = verify(marked_file)
    assert (result.verdict, result.is_synthetic, exit_code([result.verdict])) == ("altered", True, 3)
    assert result.watermark is not None
    assert (result.watermark.key, result.watermark.job, result.watermark.model) == ("own", "portrait", "number 1234")
    ((x, y),) = [face.place for face in result.watermark.faces]
    assert 200 < x < 312  # the face is in the middle of the 512 columns
    assert 150 < y < 400
    told = "\n".join(sentences(result))
    assert "no longer signed" in told
    assert "dithead redrew a mouth in it (in a picture that was made to speak, model number 1234)" in told
    assert "a secret key that this machine has" in told
    assert re.search(r"% of the watermark could be read; of 10\^\d+ files without one, fewer than one", told)
    assert len(json.loads(json.dumps(result.record()))["watermark"]["faces"]) == 1


def test_another_key_finds_nothing(marked: list[FaceEvidence]) -> None:
    assert_nothing(detect_in(marked, [b"another key"]))


def test_nothing_is_found_in_an_unmarked_video() -> None:
    assert_nothing(detect_in(collect_evidence(PRESENTER, silent), [KEY]))


def test_the_search_of_the_mirror_image_says_what_it_is() -> None:
    stages: dict[str, None] = {}
    collect_evidence(PRESENTER, lambda what, *_: stages.update({what: None}), mirrored=True)
    assert list(stages) == ["finding faces in the mirror image", "reading the mark in the mirror image"]


def assert_nothing(found: WatermarkResult) -> None:
    assert not found.present
    assert found.payload is None
    assert found.p_value > 1e-3
    assert not any(face.seconds for face in found.faces)


@pytest.mark.parametrize("depth", [8, 10])
def test_nothing_changes_outside_and_little_inside(depth: int) -> None:
    noise = np.random.default_rng(0).normal(0, 6, (300, 300))
    luma = np.clip(np.rint((100 + noise) * 2 ** (depth - 8)), 0, 2**depth - 1)
    luma = luma.astype(np.uint8 if depth == 8 else np.uint16)
    chroma = np.full((150, 150), 2 ** (depth - 1), luma.dtype)
    planes = Planes([luma.copy(), chroma, chroma], "yuv420p" if depth == 8 else "yuv420p10le", ColourEncoding(1, False))
    allowed = np.zeros((160, 160), np.float32)
    allowed[90:140, 40:100] = 1
    turn = np.array([[0.6, 0.1, -10], [-0.1, 0.6, 10]])
    Watermarker(PAYLOAD, KEY).apply(planes, turn, allowed, 0.3)
    change = (planes.arrays[0].astype(float) - luma) / 2 ** (depth - 8)
    inside = cv2.warpAffine(allowed, turn, (300, 300), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP) > 0
    assert not change[~inside].any()
    assert 43 < 10 * np.log10(255**2 / np.mean(change[inside] ** 2)) < 47


@pytest.mark.parametrize("transfer", [PQ, HLG], ids=["pq", "hlg"])
def test_the_mark_of_an_hdr_picture_is_as_strong_as_that_of_the_same_picture_in_standard_range(transfer: int) -> None:
    """As both are seen; in an HDR picture's own values its texture and its mark are smaller or larger than that."""
    picture, allowed = next(read_frames(PRESENTER)).pixels, np.zeros((160, 160), np.float32)
    allowed[80:150, 30:130] = 1
    with FaceLandmarker() as landmarker:
        transform = crop_transform(landmarker.detect(picture)[0], 160)
    changes = []
    for encoding in (
        ColourEncoding(1, full_range=False),
        ColourEncoding(9, full_range=False, tones=tone_mapping(transfer, 9)),
    ):
        planes = planes_of_rgb(picture, "yuv444p10le", encoding)
        before = planes.rgb(0, 0, 512, 512).astype(np.float32)
        Watermarker(PAYLOAD, KEY).apply(planes, transform, allowed, 0.3)
        changes.append((planes.rgb(0, 0, 512, 512) - before)[..., 1].ravel())
    plain, deep = changes
    where = np.abs(plain) > 0
    assert np.corrcoef(plain[where], deep[where])[0, 1] > 0.85
    assert 0.8 < deep.std() / plain.std() < 1.25


def test_smooth_skin_stays_as_it_is() -> None:
    shading = np.add.outer(np.arange(300), np.arange(300)) / 6 + 60
    luma = np.rint(shading).astype(np.uint8)
    planes = Planes([luma.copy(), luma[::2, ::2], luma[::2, ::2]], "yuv420p", ColourEncoding(1, False))
    Watermarker(PAYLOAD, KEY).apply(planes, np.eye(2, 3), np.ones((160, 160), np.float32), 0.3)
    assert np.array_equal(planes.arrays[0], luma)


def test_each_set_fades_into_the_next() -> None:
    seconds = np.linspace(0, 20, 1001)
    weights = set_weights(seconds)
    assert np.allclose((weights**2).sum(axis=1), 1)
    assert np.abs(np.diff(weights, axis=0)).max() < 0.13  # at 50 frames a second
    assert np.allclose(weights[: 1001 - 400], weights[400:])  # the cycle


def test_a_short_or_small_face_is_no_promise() -> None:
    sums = np.zeros((20, len(band()[0])), np.float32)
    for last, width, words in ((2.0, 200.0, "3 seconds"), (5.0, 120.0, "180 pixels")):
        found = detect_in([FaceEvidence(0.0, last, width, sums, np.ones(sums.shape[1]), 0)])
        assert not found.present
        assert not found.promised
        assert words in found.caveat
    assert "no face" in detect_in([]).caveat
