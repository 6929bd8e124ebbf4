"""The pipeline object makes what ``generate`` makes, of files and of arrays."""

from __future__ import annotations

import gc
import json

import numpy as np
import pytest
import torch
from PIL import Image

import dithead
from dithead.errors import ConfigError, ModelError
from dithead.inference.dithead_pipeline import _audio_file, _frames
from dithead.inference.output_credentials import model_record
from dithead.inference.pipeline import generate
from dithead.media.audio import read_audio
from dithead.media.video import read_frames


@pytest.fixture
def pipe(talker, tmp_path):
    """A pipeline from a saved model, as users have it."""
    folder = dithead.DitheadPipeline(talker).save_pretrained(tmp_path / "model")
    return dithead.DitheadPipeline.from_pretrained(folder)


def test_a_file_is_what_generate_makes_with_the_same_model(pipe, footage, pictures, speech, tmp_path):
    source = footage(pictures[:6])
    made = pipe.to("cpu")(source, speech, tmp_path / "a.mp4", seed=3)
    plain = generate(source, speech, tmp_path / "b.mp4", seed=3, model=tmp_path / "model", device="cpu")
    assert made.path == tmp_path / "a.mp4"
    assert np.array_equal(made.frames, [frame.pixels for frame in read_frames(plain.output)])
    assert made.result.watermark == plain.watermark == "public"
    assert made.result.credentials.record().keys() == plain.credentials.record().keys()
    files = {"version": "1", "files_sha256": json.loads((tmp_path / "model" / "hashes.json").read_text("utf-8"))}
    assert model_record(pipe.model, "hash") == {"name": "tiny", "parameters_sha256": "hash", **files}
    assert not [note for note in made.result.notes if "--no-credentials" in note or "--no-watermark" in note]


def test_arrays_go_in_and_come_out(pipe, pictures, speech):
    frames = np.stack(pictures[:6])
    wave = read_audio(speech)
    made = pipe(frames, wave, fps=12.5, fit="cut", seed=1)
    assert made.fps == 12.5
    out = made.frames
    assert out.shape == frames.shape
    assert out.dtype == np.uint8
    # what is far from the mouth comes back as it went in, but for the rounding of one colour conversion
    assert np.abs(out[:, :40].astype(int) - frames[:, :40]).max() <= 3
    assert np.abs(out[:, 128:].astype(int) - frames[:, 128:]).max() > 10
    path = made.path
    assert path.is_file()
    del made
    gc.collect()
    assert not path.parent.exists()


def test_tensors_and_images_are_the_same_frames(pictures):
    frames = np.stack(pictures[:3])
    for same in (
        torch.from_numpy(frames),
        torch.from_numpy(frames).float() / 255,
        [Image.fromarray(f) for f in frames],
    ):
        assert np.array_equal(_frames(same), frames)
    assert np.array_equal(_frames(Image.fromarray(frames[0]).convert("RGBA")), frames[0])


def test_sound_of_several_channels_is_averaged(tmp_path):
    wave = np.stack([np.full(1600, 0.5, np.float32), np.zeros(1600, np.float32)])
    for same in (wave, wave[None], torch.from_numpy(wave)):
        assert np.allclose(read_audio(_audio_file(same, tmp_path, 16000)), 0.25)


@pytest.mark.parametrize(
    ("video", "audio", "options", "message"),
    [
        (np.zeros((2, 8, 8, 4), np.uint8), np.zeros(9, np.float32), {}, "shape"),
        (np.full((2, 8, 8, 3), 200.0), np.zeros(9, np.float32), {}, "8-bit"),
        (np.zeros((2, 8, 8, 3), np.int64), np.zeros(9, np.float32), {}, "int64"),
        ([], np.zeros(9, np.float32), {}, "at least one"),
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros(9, np.int16), {}, "audio"),
        (np.zeros((2, 8, 8, 3), np.uint8), np.full(9, np.nan, np.float32), {}, "no numbers"),
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros(9, np.float32), {"fps": 0}, "fps"),
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros(9, np.float32), {"model": "small"}, "from_pretrained"),
        ("face.mp4", "speech.wav", {"colour": 3}, "colour"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line(talker, tmp_path, monkeypatch, video, audio, options, message):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ConfigError, match=message) as caught:
        dithead.DitheadPipeline(talker)(video, audio, **options)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_devices_and_names_that_there_are_not(talker):
    with pytest.raises(ConfigError, match="must be auto, cpu, cuda or mps"):
        dithead.DitheadPipeline(talker).to("tpu")
    with pytest.raises(ModelError, match="no model folder"):
        dithead.DitheadPipeline.from_pretrained("./nowhere")
    assert dithead.DitheadPipeline(talker).to(torch.device("cpu")).device.type == "cpu"


def test_live_speech_with_the_loaded_model(talker, footage, pictures):
    head = dithead.DitheadPipeline(talker).live(footage(pictures[:6]))
    assert head.talker is talker
    assert head.options.watermark
    assert len(list(head.frames([np.zeros(3200, np.float32)]))) == 5
