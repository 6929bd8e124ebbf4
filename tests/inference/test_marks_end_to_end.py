"""Both marks are found in what the shipped model makes of a presenter, whichever way it is made. Slow."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

from dithead.inference import segment_files
from dithead.inference.batch import generate_batch
from dithead.inference.pipeline import generate
from dithead.inference.recording import LiveRecording
from dithead.inference.streaming import LiveHead
from dithead.media.audio import read_audio
from dithead.provenance.verify import VerifyResult, verify

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / "examples"
VIDEO, SPEECH = EXAMPLES / "presenters" / "mia.mp4", EXAMPLES / "speech" / "english.flac"


def assert_marked(result: VerifyResult, job: str) -> None:
    assert result.verdict == "intact"
    assert "c2pa.watermarked.unbound" in result.credentials.steps[0].actions
    assert result.watermark is not None
    assert (result.watermark.found, result.watermark.job, result.watermark.model) == (True, job, "small")


def test_an_output_and_what_is_left_of_it_when_its_metadata_are_gone(tmp_path: Path) -> None:
    result = generate(VIDEO, SPEECH, tmp_path / "out.mp4", end=3.5, fit="cut")
    assert_marked(verify(result.output), "video")
    bare = tmp_path / "bare.mp4"
    with av.open(str(result.output)) as given, av.open(str(bare), "w") as new:
        stream = new.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    left = verify(bare)
    assert (left.verdict, left.credentials.state, left.is_synthetic) == ("altered", "none", True)


def test_a_row_of_a_list_that_was_interrupted_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = {"video": VIDEO, "audio": SPEECH, "output": tmp_path / "row.mkv", "end": 3.5, "fit": "cut"}
    write, written = segment_files.write_segment, []

    def interrupted(*given: object) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(1)
        write(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(segment_files, "write_segment", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(generate_batch([job]))
    monkeypatch.setattr(segment_files, "write_segment", write)
    (outcome,) = generate_batch([job])
    assert json.loads(outcome.to_json())["watermark"] == "public"
    assert_marked(verify(tmp_path / "row.mkv"), "video")


def test_a_live_recording(tmp_path: Path) -> None:
    recording = LiveRecording(LiveHead(VIDEO, device="cpu"), tmp_path / "live.mp4")
    for _ in recording.frames(np.array_split(read_audio(SPEECH), 20)):
        pass
    assert_marked(verify(tmp_path / "live.mp4"), "live")
