"""What a job needs of its model is made ready once, beside the first pass, and no longer than it is wanted."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError

import pytest
import torch

import dithead.inference.background_model as background
from dithead.checkpoint import save_model
from dithead.inference.background_model import BackgroundModel
from dithead.inference.model_preparation import ModelPreparation
from dithead.inference.prepared_job import PreparedJob
from dithead.inference.resume import WorkFolder, model_key
from dithead.inference.synthesise.audio_features import FileFeatures
from dithead.inference.synthesise.sampler import MouthSampler
from dithead.media.audio_track import EncodedTrack
from dithead.options import GenerateJob
from dithead.progress import silent


@pytest.fixture
def preparation(talker, footage, pictures, speech, tmp_path):
    folder = save_model(tmp_path / "model", talker)
    job = GenerateJob(footage(pictures), speech, tmp_path / "out.mp4", model=folder)
    with (
        WorkFolder(tmp_path / "out.mp4", {}) as work,
        ModelPreparation(PreparedJob(job, silent), BackgroundModel(folder), work) as preparation,
    ):
        yield preparation


def test_a_model_is_loaded_once_and_made_ready(preparation, talker, monkeypatch):
    loaded = []

    def load(*_):
        loaded.append(1)
        time.sleep(0.2)
        return talker

    monkeypatch.setattr(background, "_load", load)
    monkeypatch.setattr(torch.jit, "trace", None)  # what is drawn in batches is not recorded
    preparation.check()
    ready = preparation.ready()
    assert len(loaded) == 1
    assert ready.talker is talker
    assert ready.key == model_key(talker)
    assert ready is preparation.ready()
    assert ready.sampler.size == talker.size
    assert preparation.work.features(0).stat().st_size > 0


def test_speech_that_is_not_wanted_is_not_read_on(talker, speech, tmp_path):
    unwanted = threading.Event()
    unwanted.set()
    with pytest.raises(CancelledError):
        FileFeatures(talker.audio, speech, tmp_path / "speech.mel", unwanted)


def test_the_speech_of_seen_frames_is_heard_until_the_first_pass_ends(preparation, talker, monkeypatch):
    heard = []
    enough = threading.Event()

    def hear(self, times):
        heard.append(times.tolist())
        if len(heard) == 2:
            enough.set()

    monkeypatch.setattr(MouthSampler, "hear_ahead", hear)
    for k in range(20):
        preparation.saw(k / 25)
    preparation.check()
    assert enough.wait(60)
    preparation.ready()
    assert heard == [[k / 25 for k in range(10)], [k / 25 for k in range(10, 20)]]


def test_the_sound_that_is_certainly_needed_is_encoded_while_frames_are_waited_for(preparation, monkeypatch):
    encoded, enough = [], threading.Event()
    monkeypatch.setattr(EncodedTrack, "encode_until", lambda _, seconds: encoded.append(seconds) or enough.set())
    monkeypatch.setattr(MouthSampler, "hear_ahead", lambda *_: None)
    for time_of_frame in (0.0, 0.04, preparation.prepared.sound.seconds + 0.01):
        preparation.saw(time_of_frame)
    preparation.check()
    assert enough.wait(60)
    preparation.ready()
    assert set(encoded) == {0.04}, "what is shown after the end of the speech depends on other things"
