"""A live run that is recorded becomes a signed video of what was shown, with its speech."""

from __future__ import annotations

import numpy as np
import pytest

from dithead.errors import OutputError
from dithead.inference.recording import LiveRecording
from dithead.inference.streaming import LiveHead
from dithead.media.audio import read_audio
from dithead.media.video import read_frames
from dithead.provenance.switched_off import SWITCHED_OFF
from dithead.provenance.verify import verify
from dithead.provenance.watermark import JOBS, Watermarker


@pytest.fixture
def head(footage, pictures, talker) -> LiveHead:
    return LiveHead(footage(pictures[:4]), model=talker, device="cpu")


def chunks(speech) -> list[np.ndarray]:
    return np.array_split(read_audio(speech), 6)


def test_a_recording_holds_the_frames_that_were_shown_and_their_speech(head, speech, tmp_path):
    recording = LiveRecording(head, tmp_path / "live.mp4")
    shown = list(recording.frames(chunks(speech)))
    assert recording.credentials.place == "embedded"
    result = verify(tmp_path / "live.mp4", watermark=False)
    assert result.verdict == "intact"
    (step,) = result.credentials.steps
    assert step.redrawn[0].start == 0
    assert step.actions[-1] == "c2pa.watermarked.unbound"
    assert (recording.watermark, recording.notes) == ("public", [])
    assert step.redrawn[-1].end == pytest.approx(len(shown) / 25)
    written = list(read_frames(tmp_path / "live.mp4"))
    assert len(written) == len(shown) == 15
    assert np.abs(written[-1].pixels.astype(int) - shown[-1].pixels).mean() < 2
    assert abs(len(read_audio(tmp_path / "live.mp4")) / 16000 - 0.6) < 0.05


def test_a_recording_never_replaces_the_video_of_its_person(footage, pictures, talker):
    source = footage(pictures[:2])
    with pytest.raises(OutputError, match="is also an input"):
        LiveRecording(LiveHead(source, model=talker, device="cpu"), source)


def test_a_recording_without_marks_says_so(footage, pictures, talker, speech, tmp_path):
    options = {"credentials": False, "watermark": False}
    head = LiveHead(footage(pictures[:2]), model=talker, device="cpu", **options)
    recording = LiveRecording(head, tmp_path / "live.mp4")
    next(iter(recording.frames(chunks(speech))))
    assert (recording.credentials.place, recording.watermark) == ("off", "off")
    assert recording.notes == list(SWITCHED_OFF)


def test_the_mark_of_a_recording_says_that_it_was_live(head, speech, tmp_path, monkeypatch):
    jobs = set()
    monkeypatch.setattr(Watermarker, "apply", lambda self, *_: jobs.add(self.payload.job))
    list(LiveRecording(head, tmp_path / "live.mp4").frames(chunks(speech)[:2]))
    assert jobs == {JOBS.index("live")}


def test_a_recording_that_is_stopped_holds_what_was_shown(head, speech, tmp_path):
    frames = LiveRecording(head, tmp_path / "live.mkv").frames(chunks(speech))
    for _ in range(3):
        next(frames)
    frames.close()
    assert len(list(read_frames(tmp_path / "live.mkv"))) == 3
    assert verify(tmp_path / "live.mkv", watermark=False).verdict == "intact"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_recording_that_an_error_ends_holds_what_was_shown(head, speech, tmp_path, error):
    def spoken():
        yield from chunks(speech)[:5]
        raise error("the microphone is gone")

    with pytest.raises(error):
        list(LiveRecording(head, tmp_path / "live.mkv").frames(spoken()))
    assert len(list(read_frames(tmp_path / "live.mkv"))) > 3
    assert verify(tmp_path / "live.mkv", watermark=False).verdict == "intact"


def test_an_error_before_the_first_frame_is_told_as_it_is(head, tmp_path):
    def silent():
        raise OSError("no microphone")
        yield

    with pytest.raises(OSError, match="no microphone"):
        list(LiveRecording(head, tmp_path / "live.mp4").frames(silent()))
    assert not (tmp_path / "live.mp4").exists()


def test_without_speech_there_is_nothing_to_write(head, tmp_path):
    with pytest.raises(OutputError, match="no speech came"):
        list(LiveRecording(head, tmp_path / "live.mp4").frames([]))
    assert not (tmp_path / "live.mp4").exists()
