"""``generate`` with models that have a pretrained audio encoder, and with models whose mask is of another kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dithead.checkpoint import build_model, load_model, save_model
from dithead.config import get_preset
from dithead.face.alignment import transform_points
from dithead.face.landmarks import FaceLandmarker
from dithead.face.masks import box_polygon, frame_polygon, polygon_mask
from dithead.inference.analyse.first_pass import AnalysisSettings, analyse_video
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.serialise import load_analysis, save_analysis
from dithead.inference.pipeline import generate
from dithead.inference.synthesise import sampler as mouths
from dithead.media.audio import write_audio
from dithead.media.video import read_frames
from dithead.models.audio.hf_speech import SpeechConfig, SpeechEncoder

SIZE = 64


def random_model(**changes):
    """The tiny preset with settings changed, random everywhere."""
    torch.manual_seed(0)
    model = build_model(get_preset("tiny").model.model_copy(update=changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model


def pixels(path):
    return np.stack([f.pixels for f in read_frames(path)]).astype(int)


@pytest.fixture
def pretrained_audio_model(tmp_path):
    """A model folder whose encoder is a Wav2Vec2; the folder that it came from is gone."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4,
    )  # fmt: skip
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path / "w2v")
    encoder = SpeechEncoder.load(SpeechConfig(str(tmp_path / "w2v"), window=8, width=16))
    model = random_model(audio=replace(encoder.config, source="gone"))
    model.audio.backbone.load_state_dict(encoder.backbone.state_dict())
    return save_model(tmp_path / "model", model, dtype=torch.float32)


def test_a_pretrained_encoder_drives_the_mouth(pretrained_audio_model, footage, pictures, speech, tmp_path):
    source = footage(pictures[:8])
    one = generate(source, speech, tmp_path / "one.mkv", fit="silence", model=pretrained_audio_model, lossless=True)
    again = generate(
        source, speech, tmp_path / "two.mkv", fit="silence", model=load_model(pretrained_audio_model), lossless=True
    )
    write_audio(tmp_path / "other.wav", np.random.default_rng(0).normal(0, 0.2, 9600).astype(np.float32), 16000)
    other = generate(
        source,
        tmp_path / "other.wav",
        tmp_path / "three.mkv",
        fit="silence",
        model=pretrained_audio_model,
        lossless=True,
    )
    first, second, third = (pixels(made.output) for made in (one, again, other))
    assert one.frames == 8
    assert np.array_equal(first, second)
    assert np.abs(first - third).max() > 2  # another speech, other mouths


def test_an_interrupted_job_of_such_a_model_ends_the_same(
    pretrained_audio_model, footage, pictures, speech, tmp_path, monkeypatch
):
    from dithead.inference import output_segments

    monkeypatch.setattr(output_segments, "SEGMENT", 4)
    source, output = footage(pictures[:8]), tmp_path / "out.mp4"
    options = {"fit": "silence", "model": pretrained_audio_model, "batch": 2, "credentials": False}
    generate(source, speech, tmp_path / "whole.mp4", **options)
    draw, calls = mouths.MouthSampler.draw, []

    def stopping(*given):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return draw(*given)

    monkeypatch.setattr(mouths.MouthSampler, "draw", stopping)
    with pytest.raises(KeyboardInterrupt):
        generate(source, speech, output, **options)
    generate(source, speech, output, **options)
    assert output.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def masks_shown(monkeypatch):
    """A list that fills with the masks (B, 1, S, S) given to the model."""
    seen, conditions = [], mouths.frame_conditions

    def noted(crops, mask):
        masked, hard = conditions(crops, mask)
        seen.extend(hard[:, 0].numpy())
        return masked, hard

    monkeypatch.setattr(mouths, "frame_conditions", noted)
    return seen


def test_a_box_model_sees_the_box(footage, pictures, speech, tmp_path, monkeypatch):
    seen = masks_shown(monkeypatch)
    generate(
        footage(pictures[:4]),
        speech,
        tmp_path / "out.mkv",
        fit="silence",
        model=random_model(mask="box"),
        occlusion="off",
    )
    box = polygon_mask(box_polygon(SIZE), SIZE) > 0.5
    assert len(seen) == 4
    assert all(np.array_equal(mask > 0.5, box) for mask in seen)


@pytest.mark.parametrize("reference", ["static", "previous"])
def test_a_polygon_model_sees_each_frames_own_polygon(reference, footage, pictures, speech, tmp_path, monkeypatch):
    source, seen = footage(pictures), masks_shown(monkeypatch)
    model = random_model(mask="polygon")
    made = generate(
        source, speech, tmp_path / "out.mkv", fit="silence", model=model, reference=reference, lossless=True
    )
    tracklet = analyse_video(read_frames(source), AnalysisSettings(SIZE, "polygon")).tracklets[0]
    with FaceLandmarker() as finder:
        faces = [finder.track(f.quick_pixels) for f in read_frames(source)]
    assert len(seen) == made.frames == 12
    for k, (mask, landmarks) in enumerate(zip(seen, faces, strict=True)):
        own = polygon_mask(frame_polygon(transform_points(landmarks, tracklet.transforms[k]), SIZE), SIZE) > 0.5
        assert (own != (mask > 0.5)).mean() < 0.01
        assert np.array_equal(mask > 0.5, polygon_mask(tracklet.mask_polygon(k), SIZE) > 0.5)
    assert any(not np.array_equal(seen[0], mask) for mask in seen)
    drawn, before = pixels(made.output), pixels(source)
    assert (drawn != before).any(axis=(1, 2, 3)).all()


def test_a_following_mask_survives_the_disk_and_does_not_depend_on_the_batch(footage, pictures, speech, tmp_path):
    source = footage(pictures[:6])
    found = analyse_video(read_frames(source), AnalysisSettings(SIZE, "polygon"))
    save_analysis(tmp_path / "analysis.npz", found)
    back = load_analysis(tmp_path / "analysis.npz", ImageStore())
    assert np.array_equal(back.tracklets[0].frame_polygons, found.tracklets[0].frame_polygons)
    model = random_model(mask="polygon")
    one = generate(source, speech, tmp_path / "one.mkv", fit="silence", model=model, lossless=True, batch=1)
    six = generate(source, speech, tmp_path / "six.mkv", fit="silence", model=model, lossless=True, batch=6)
    assert np.array_equal(pixels(one.output), pixels(six.output))
