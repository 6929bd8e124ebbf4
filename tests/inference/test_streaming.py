"""Live speech makes the pixels of the offline path, and each frame comes as soon as it may."""

from __future__ import annotations

import threading
import time
from itertools import islice

import numpy as np
import pytest
import torch

from dithead.checkpoint import build_model
from dithead.config import get_preset
from dithead.inference import streaming
from dithead.inference.compose.second_pass import PreparedBatch, drawn_batches, hear, joined_batches, split_batch
from dithead.inference.pipeline import generate
from dithead.inference.source.timeline import schedule
from dithead.inference.streaming import LiveHead
from dithead.inference.synthesise.audio_features import loudness_of
from dithead.inference.synthesise.heard_speech import HeardSpeech
from dithead.inference.synthesise.reference_set import ReferenceSet
from dithead.inference.synthesise.sampler import MouthSampler
from dithead.media.audio import read_audio
from dithead.media.planes import planes_of
from dithead.media.video import read_frames
from dithead.models.audio.context_encoder import ContextEncoderConfig
from dithead.models.talking_head import TalkingHead


@pytest.fixture
def with_lip_predictor():
    """A tiny model whose lip predictor uses more of the past than the speech is long."""
    torch.manual_seed(1)
    tiny = get_preset("tiny").model
    audio = ContextEncoderConfig(
        window=32, tokens=12, width=16, hidden=24, heads=2, layers=1, past=64,
        lip_predictor_hidden=40, lip_predictor_heads=2, lip_predictor_layers=1,
    )  # fmt: skip
    model = build_model(tiny.model_copy(update={"audio": audio, "opening_unit": 0.05}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model


@pytest.fixture
def both(footage, pictures, speech, tmp_path):
    """Make a clip of 15 frames live and offline, and return the planes of each."""

    def make(talker):
        source = footage(pictures[:6])
        options = {"model": talker, "seed": 3, "watermark": False}  # the marks name the kind of job, so they differ
        made = generate(source, speech, tmp_path / "out.mkv", fit="loop", lossless=True, batch=1, **options)
        wave = read_audio(speech)
        head = LiveHead(source, **options)
        live = list(head.frames(np.array_split(wave, 23), loudness=loudness_of(speech, talker.audio)))
        assert len(live) == made.frames == 15  # six frames, played two and a half times
        kept = list(read_frames(made.output))
        assert all(abs(frame.time - each.time) < 1e-3 for frame, each in zip(live, kept, strict=True))
        assert live[0].pixels.shape == pictures[0].shape
        return [frame.planes for frame in live], [planes_of(f.native, head.pix_fmt, f.encoding) for f in kept]

    return make


def test_live_and_offline_agree_by_the_bit(both, talker):
    for here, there in zip(*both(talker), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(here.arrays, there.arrays, strict=True))


def test_with_a_lip_predictor_live_and_offline_nearly_agree(both, with_lip_predictor):
    """Offline, the lips are predicted along the whole track, with more of the speech after each moment."""
    for here, there in zip(*both(with_lip_predictor), strict=True):
        apart = np.abs(here.arrays[0].astype(int) - there.arrays[0])
        assert apart.mean() < 1  # the network is random, so its lips differ more than a trained one's


def test_latency_is_bounded(footage, pictures, talker):
    """No speech comes before all frames are there that may be drawn of what came so far."""
    head, shown, given = LiveHead(footage(pictures[:6]), model=talker), threading.Semaphore(0), 60 * 0.02
    assert head.latency < 0.4

    def chunks():
        wanted = 0
        for k in range(60):
            yield np.zeros(320, np.float32)
            while wanted / 25 + head.latency + 0.02 <= (k + 1) * 0.02:
                assert shown.acquire(timeout=60), f"frame {wanted} needs more speech than {k + 1} pieces"
                wanted += 1

    frames = 0
    for _ in head.frames(chunks()):
        frames += 1
        shown.release()
    assert frames == round(given * 25)


def test_a_frame_says_how_late_it_is_and_those_too_late_are_left_out(footage, pictures, talker, monkeypatch):
    """Speech comes in real time, and drawing a frame takes 0.1 s by the clock: 2.5 times too long."""
    now = 100.0
    monkeypatch.setattr(streaming, "monotonic", lambda: now)
    head = LiveHead(footage(pictures), model=talker)
    draw, begun = MouthSampler.draw, now

    def slow(*args, **options):
        nonlocal now
        now += 0.1 * len(args[2])
        return draw(*args, **options)

    monkeypatch.setattr(MouthSampler, "draw", slow)

    def chunks():
        nonlocal now
        for k in range(50):
            now = max(now, begun + k * 0.04)
            yield np.zeros(640, np.float32)

    everything = [(f.index, f.late) for f in head.frames(chunks())]
    assert [index for index, _ in everything] == list(range(50))
    lateness = [late for _, late in everything]
    assert lateness[-1] > lateness[25] > lateness[10], "it grows where drawing is too slow"
    begun = now
    kept = [(f.index, f.late) for f in head.frames(chunks(), most_late=0.2)]
    assert 15 < len(kept) < 40
    assert max(late for _, late in kept) < 0.2 + 3 * 0.31, "its own drawing, and by the clock that of the next ones"
    assert [index for index, _ in kept] == sorted({index for index, _ in kept})


def test_of_what_is_heard_ahead_little_is_kept(footage, pictures, talker):
    head = LiveHead(footage(pictures[:6]), model=talker, seed=2)
    sampler = head.sampler(FileLike(talker))
    for k in range(200):
        moment = np.array([k / 25])
        sampler.see(head.analysis.tracklets[0], np.zeros((1, talker.size, talker.size, 3), np.uint8), moment)
        sampler.hear(head.analysis.tracklets[0], moment)
    assert len(sampler._seen) == len(sampler.speech.kept) == 32


def test_frames_that_wait_are_drawn_together_with_the_bits_of_single_ones(footage, pictures, talker, monkeypatch):
    head = LiveHead(footage(pictures[:6]), model=talker, seed=2)
    assert head.drawing.same_in_every_batch

    def frames(at_once: int) -> list[np.ndarray]:
        sampler = head.sampler(FileLike(talker))
        timeline = islice(schedule(head.clip, head.analysis.stamps, "loop", float("inf")), 6)
        parts = list(head._seen(timeline, sampler))
        for part in parts:
            hear(part, sampler)
        with monkeypatch.context() as nothing_is_made_twice:
            nothing_is_made_twice.delattr(MouthSampler, "_masked")
            nothing_is_made_twice.delattr(HeardSpeech, "_predict")
            joined = [whole for k in range(0, 6, at_once) for whole in joined_batches(parts[k : k + at_once])]
            assert [len(whole.frames) for whole in joined] == [at_once] * (6 // at_once)
            single = [one for drawn in drawn_batches(joined, sampler) for one in split_batch(drawn)]
        return [array for one in single for array in head.compose(one)[1].arrays]

    for one, other in zip(frames(1), frames(3), strict=True):
        assert np.array_equal(one, other)


def test_the_references_of_one_stream_serve_the_next(footage, pictures, with_lip_predictor, monkeypatch):
    head = LiveHead(footage(pictures[:6]), model=with_lip_predictor, seed=2)
    assert head.analysis.tracklets[0].references is not None
    monkeypatch.setattr(ReferenceSet, "interpolated", None)  # read when the head was made
    encode, encoded = TalkingHead.reference_latents, []
    monkeypatch.setattr(TalkingHead, "reference_latents", lambda *a: encoded.extend(a[1]) or encode(*a))
    first, again = ([frame.planes.arrays for frame in head.frames([np.zeros(16_000, np.float32)])] for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    (known,) = head._last_sampler._references._present.values()
    assert 0 < len(encoded) == len(known.latents), "each once for both streams"


def test_batches_of_different_shots_are_not_joined():
    parts = [PreparedBatch([k], [k], [], begins=k == 2, ends=False) for k in range(5)]
    assert [whole.frames for whole in joined_batches(parts)] == [[0, 1], [2, 3, 4]]


class FileLike:
    """Features of silence."""

    def __init__(self, talker):
        self.features = torch.zeros(1000, talker.audio.features_width)

    def around(self, times):
        return self.features, torch.from_numpy(times)

    def lips_at(self, times):
        return None


def test_an_error_of_the_speech_reaches_the_caller_and_closing_stops_the_threads(footage, pictures, talker):
    head = LiveHead(footage(pictures[:6]), model=talker)

    def broken():
        yield np.zeros(16000, np.float32)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(head.frames(broken()))
    frames = head.frames(np.zeros((1000, 640), np.float32))
    next(frames)
    frames.close()
    waiting = time.monotonic() + 10
    while any(t.name in ("dithead-hear", "dithead-draw") for t in threading.enumerate()):
        assert time.monotonic() < waiting
        time.sleep(0.01)
