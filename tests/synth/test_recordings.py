"""Recordings are spoken unchanged, and the files beside them tell how the mouth moves."""

import json
from pathlib import Path

import numpy as np
import pytest

from dithead.errors import ConfigError, DataError, MediaError
from dithead.media.audio import write_audio
from dithead.media.video import probe
from dithead.synth.corpus.options import SynthOptions
from dithead.synth.corpus.people import ClipTask, missing_clips, name_of, plan_take, synth_corpus
from dithead.synth.corpus.recipe import CorpusRecipe
from dithead.synth.corpus.recordings import find_recordings, licence_of_folder, read_recording
from dithead.synth.corpus.script import recorded_script
from dithead.synth.face.sound_to_mouth import mouth_from_sound
from dithead.synth.face.units import UNITS
from dithead.synth.face.visemes import SpeakingStyle, mouth_curves
from dithead.synth.person.spoken_lips import lip_gap, lips_of_controls
from dithead.synth.voice.espeak import EspeakVoice, speak
from dithead.synth.voice.phoneme_alignment import resample_to_16k
from dithead.synth.voice.utterance import Utterance

TEXT = "Maybe people film those five views from above."
CLOSURE = -1


def opening(curves: np.ndarray) -> np.ndarray:
    return lip_gap(lips_of_controls(curves, SpeakingStyle().press))


@pytest.fixture(scope="module")
def spoken(espeak: None) -> Utterance:
    return speak(TEXT, EspeakVoice("en", "f3", 150, 60))


@pytest.fixture
def folder(tmp_path: Path, spoken: Utterance) -> Path:
    for name in ("sound", "text", "times"):
        write_audio(tmp_path / f"{name}.flac", resample_to_16k(spoken), 16000)
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "times.json").write_text(json.dumps([[p.ipa, p.start, p.end] for p in spoken.phonemes]))
    return tmp_path


@pytest.mark.parametrize(("name", "least"), [("times", 0.98), ("text", 0.8), ("sound", 0.5)])
def test_the_mouth_follows_times_text_or_sound(folder: Path, spoken: Utterance, name: str, least: float) -> None:
    recording = read_recording(folder / f"{name}.flac")
    duration = len(recording.utterance.wave) / 16000
    truth = opening(mouth_curves(spoken.phonemes, duration, SpeakingStyle()))
    found = opening(recording.curves(0.0, duration, SpeakingStyle()))
    assert np.corrcoef(found, truth)[0, 1] > least


def test_lips_of_an_aligned_text_close_on_labials(folder: Path) -> None:
    curves = read_recording(folder / "text.flac").curves(0.0, 2.0, SpeakingStyle())
    closed = curves[:, CLOSURE] > 0.99
    assert closed.any()
    assert opening(curves[closed]).max() < 0.006


def test_silence_leaves_the_mouth_at_rest() -> None:
    assert mouth_from_sound(np.zeros(16000, np.float32)).max() == 0
    noise = np.random.default_rng(0).normal(size=16000).astype(np.float32) * 1e-5
    assert opening(mouth_from_sound(noise)).max() < 0.06


def test_a_piece_has_the_samples_of_the_recording(folder: Path) -> None:
    recording = read_recording(folder / "sound.flac")
    recorded = recording.utterance.wave
    whole = recorded_script(recording, np.random.default_rng(1), 0, 25)
    np.testing.assert_array_equal(whole.wave[: len(recorded)], recorded[: len(whole.wave)])
    piece = recorded_script(recording, np.random.default_rng(1), 20, 25).wave
    assert len(piece) == 12800
    places = np.flatnonzero(np.isclose(recorded, piece[6000]))
    assert any(np.array_equal(recorded[i - 6000 : i + 6800], piece) for i in places if i >= 6000)
    longer = recorded_script(recording, np.random.default_rng(1), 250, 25)
    assert not longer.wave[-16000:].any(), "silence beyond its end"
    assert longer.mouth.units[-25:, UNITS.index("jawOpen")].max() < 0.1


def test_recorded_blendshapes_move_the_mouth_alone(folder: Path) -> None:
    names = np.array(["mouth_stretch_c", "mouth_lipCornerPull_l", "jawLeft", "tongue_u"])
    weights = np.tile(np.linspace(0, 1, 61)[:, None], (1, 4)).astype(np.float32)
    np.savez(folder / "sound.npz", weights=weights, names=names, fps=30.0)
    script = recorded_script(read_recording(folder / "sound.flac"), np.random.default_rng(1), 25, 25)
    moved = dict(zip(UNITS, script.mouth.units.T, strict=True))
    assert {name for name, curve in moved.items() if curve.any()} == {"jawOpen", "jawLeft", "mouthSmileLeft"}
    assert (np.diff(moved["jawOpen"]) >= 0).all()
    assert not script.mouth.closure.any()
    np.savez(folder / "sound.npz", weights=weights, names=np.array(["a", "b", "c", "d"]), fps=30.0)
    with pytest.raises(DataError, match=r"sound\.npz: none of its 4 names"):
        read_recording(folder / "sound.flac")


def test_recordings_are_found_in_order_and_their_licence_is_read(folder: Path) -> None:
    assert [path.stem for path in find_recordings(folder)] == ["sound", "text", "times"]
    assert licence_of_folder(folder) == "unknown"
    (folder / "SOURCES.json").write_text('{".": {"licence": "CC BY 4.0"}}')
    assert licence_of_folder(folder) == "CC BY 4.0"


def test_a_video_without_sound_is_named(tmp_path: Path, silent_video: Path) -> None:
    with pytest.raises(MediaError, match="no audio track"):
        read_recording(silent_video)


def test_wrong_requests_fail_before_anything_is_written(tmp_path: Path, head_folder: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        synth_corpus(1, tmp_path / "out", SynthOptions(head_folder, speech=tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no recording"):
        synth_corpus(1, tmp_path / "out", SynthOptions(head_folder, speech=tmp_path / "empty"))
    write_audio(tmp_path / "empty" / "a.wav", np.zeros(800, np.float32), 16000)
    with pytest.raises(ConfigError, match="--without voices"):
        synth_corpus(1, tmp_path / "o", SynthOptions(head_folder, speech=tmp_path / "empty", without=("voices",)))
    assert not (tmp_path / "out").exists()


def test_a_corpus_speaks_the_recordings(folder: Path, head_folder: Path, tmp_path: Path, silent_video: Path) -> None:
    out, silent_copy = tmp_path.with_name(f"{tmp_path.name}-corpus"), folder / "z.mp4"
    options = SynthOptions(head_folder, speech=folder, seconds=0.4, size=96)
    result = synth_corpus(None, out, options)
    assert (result.clips, result.made) == (3, 3)
    record = json.loads((out / name_of(1) / "clip.json").read_text())
    assert (record["recording"], record["text"]) == ("text.flac", TEXT)
    assert "sound: unknown" in record["licence"]
    assert probe(out / name_of(1) / "clip.mp4").has_audio
    silent_copy.write_bytes(silent_video.read_bytes())
    with pytest.raises(DataError, match=r"1 of 1 clips .* synth_000003: .*no audio track"):
        synth_corpus(4, out, options)


@pytest.fixture(scope="module")
def silent_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fractions import Fraction

    from dithead.media.info import VideoInfo
    from dithead.media.writer import VideoWriter

    path = tmp_path_factory.mktemp("silent") / "mute.mp4"
    with VideoWriter(path, VideoInfo(64, 64, Fraction(25))) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    return path


@pytest.mark.usefixtures("espeak")
def test_people_have_the_sex_of_the_recording_they_speak(body, tmp_path: Path) -> None:
    for variant in ("m1", "f4"):
        write_audio(tmp_path / f"{variant}.flac", resample_to_16k(speak(TEXT, EspeakVoice("en", variant))), 16000)
    recipe = CorpusRecipe(SynthOptions(Path("head"), seed=2, seconds=0.4, speech=tmp_path))
    for index in range(3):
        people = [
            plan_take(ClipTask(index, tmp_path / f"{variant}.flac"), recipe, body, tmp_path).person.identity
            for variant in ("m1", "f4")
        ]
        assert people[0].male > 0.5 > people[1].male


def test_a_recording_that_was_added_is_spoken_and_the_others_stay_where_they_are(tmp_path: Path) -> None:
    speech, corpus = tmp_path / "speech", tmp_path / "corpus"
    speech.mkdir()

    def make(count: int) -> dict[int, str]:
        """Make the missing clips, as far as their records go; return what each one speaks."""
        made = {task.index: str(task.recording.name) for task in missing_clips(count, corpus, speech) if task.recording}
        for i, name in made.items():
            (corpus / name_of(i)).mkdir(parents=True)
            (corpus / name_of(i) / "clip.json").write_text(json.dumps({"recording": name}))
        return made

    for name in "bcd":
        (speech / f"{name}.wav").touch()
    assert make(3) == {0: "b.wav", 1: "c.wav", 2: "d.wav"}
    (speech / "a.wav").touch()
    assert make(4) == {3: "a.wav"}
    assert make(6) == {4: "a.wav", 5: "b.wav"}


def test_an_interrupted_corpus_speaks_the_recordings_in_turn(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.wav").touch()
    (tmp_path / "corpus" / name_of(3)).mkdir(parents=True)
    (tmp_path / "corpus" / name_of(3) / "clip.json").write_text('{"recording": "a.wav"}')
    tasks = missing_clips(5, tmp_path / "corpus", tmp_path)
    assert [(task.index, task.recording.name[0]) for task in tasks if task.recording] == [
        (0, "a"),
        (1, "b"),
        (2, "c"),
        (4, "b"),
    ]
