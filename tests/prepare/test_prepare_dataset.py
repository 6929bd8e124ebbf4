"""From raw videos to a dataset: complete, with a reason for every rejection, resumable, the same every time."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dithead.errors import ConfigError, DataError, OutputError
from dithead.face.mesh_indices import LIP_INDICES
from dithead.prepare import prepare_dataset as pipeline
from dithead.prepare.dataset import Dataset
from dithead.prepare.prepare_dataset import prepare_dataset

SIZE = 64
ANN, BOB = "people-ann-hello_there", "people-bob-talk"


def prepare(raw: Path, output: Path, **options):
    chosen = {"size": SIZE, "workers": 1, "progress": False, "licence": "CC0", "val_identities": ["bob"]}
    return prepare_dataset(raw, output, **chosen | options)


def digest(folder: Path, *patterns: str) -> dict[str, str]:
    files = [p for pattern in patterns for p in sorted(folder.glob(pattern))]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def whole(folder: Path) -> dict[str, str]:
    return digest(folder, "clips/*/*", "manifest.jsonl", "config.json")


@pytest.fixture(scope="module")
def made(raw, tmp_path_factory):
    output = tmp_path_factory.mktemp("out") / "dataset"
    return output, prepare(raw, output)


def entry(folder: Path, start: str) -> dict:
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    (found,) = [e for e in map(json.loads, lines) if e["id"].startswith(start)]
    return found


def test_every_file_is_in_the_manifest_with_its_reason(made):
    output, result = made
    assert result.files == 7
    assert result.clips == 2
    assert result.seconds == pytest.approx(2.4)
    for start, reason in {
        "silent": "no audio track",
        "empty_room": "no face",
        "blink": "too short: a face for 0.40 s",
        "far_away": "face too small: eyes",
        "text": "unreadable: not a media file",
    }.items():
        line = entry(output, start)
        assert line["status"] == "rejected"
        assert line["reason"].startswith(reason)
        assert not (output / "clips" / line["id"]).exists()
    assert sum(result.rejected.values()) == 5
    assert {p.name.rsplit("-", 1)[0] for p in (output / "clips").iterdir()} == {ANN, BOB.rsplit("-", 1)[0]}


def test_a_clip_has_its_identity_and_licence(made):
    output, _ = made
    line = entry(output, ANN)
    assert (line["identity"], line["split"], line["licence"]) == ("ann", "train", "CC0")
    assert (line["frames"], line["fps"], line["file"]) == (30, 25, "people/ann/hello there.mp4")
    data = Dataset(output)
    assert [c.identity for c in data.clips("train")] == ["ann"]
    assert [c.identity for c in data.clips("val")] == ["bob"]
    assert len(data.clips()) == 2


def test_a_clip_holds_frames_sound_and_track_of_one_length(made, presenter):
    clip = Dataset(made[0]).clips("train")[0]
    frames, track = clip.frames(), clip.track()
    assert frames.shape == (30, SIZE, SIZE, 3)
    assert frames.dtype == np.uint8
    assert clip.audio().shape == (30 * 640,)
    assert track.landmarks.shape == (30, 478, 2)
    assert track.transforms.shape == (30, 2, 3)
    assert track.valid.all()
    lips = track.landmarks[:, list(LIP_INDICES)]
    assert ((lips > 0.2 * SIZE) & (lips < 0.9 * SIZE)).all()
    assert clip.meta()["source_size"] == [256, 256]


def test_the_crop_is_the_aligned_source(made, raw, presenter):
    from dithead.face.alignment import warp_crop

    clip = Dataset(made[0]).clips("train")[0]
    for i in (0, 15, 29):
        expected = warp_crop(presenter[i], clip.track().transforms[i], SIZE).astype(float)
        error = clip.frames()[i] - expected
        assert np.abs(error).mean() < 4  # two encodes lie between


def test_the_same_command_again_does_nothing(made, raw):
    output, _ = made
    before = {p: p.stat().st_mtime_ns for p in output.glob("clips/*/*")}
    result = prepare(raw, output)
    assert result.files_done_before == result.files
    assert {p: p.stat().st_mtime_ns for p in output.glob("clips/*/*")} == before


def test_a_lost_clip_is_made_again_with_the_same_bytes(made, raw):
    output, _ = made
    before = whole(output)
    shutil.rmtree(output / "clips" / entry(output, ANN)["id"])
    (output / "manifest.jsonl").unlink()
    result = prepare(raw, output)
    assert result.files_done_before == result.files - 1
    assert whole(output) == before


def test_two_workers_make_the_same_bytes(made, raw, tmp_path):
    prepare(raw, tmp_path / "other", workers=2)
    assert whole(tmp_path / "other") == whole(made[0])


@pytest.mark.slow
def test_a_ray_cluster_makes_the_same_bytes(made, raw, tmp_path):
    pytest.importorskip("ray")
    prepare(raw, tmp_path / "other", workers=2, engine="ray")
    assert whole(tmp_path / "other") == whole(made[0])


def test_a_file_that_kills_its_worker_is_rejected_and_tried_again(made, raw, tmp_path, monkeypatch):
    def dies_over_bob(function, items, **_):
        for index, item in enumerate(items):
            yield index, DataError(f"{item.path}: died") if "bob" in item.slug else function(item)

    monkeypatch.setattr(pipeline, "map_tasks", dies_over_bob)
    prepare(raw, tmp_path / "dataset")
    assert entry(tmp_path / "dataset", BOB)["reason"].startswith("crashed: ")
    monkeypatch.undo()
    assert prepare(raw, tmp_path / "dataset").files_done_before == 6
    assert whole(tmp_path / "dataset") == whole(made[0])


def test_an_interrupted_run_is_resumed(made, raw, tmp_path, monkeypatch):
    calls = []
    real = pipeline.prepare_video

    def stops_at_the_fourth(*args):
        calls.append(args)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(pipeline, "prepare_video", stops_at_the_fourth)
    output = tmp_path / "dataset"
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, output)
    assert len((output / "manifest.jsonl").read_text().splitlines()) == 3
    assert prepare(raw, output).files_done_before == 3
    assert whole(output) == whole(made[0])


def test_another_split_needs_no_new_work(made, raw):
    output, _ = made
    assert prepare(raw, output, val_identities=["ann"]).files_done_before == 7
    assert [c.identity for c in Dataset(output).clips("val")] == ["ann"]
    prepare(raw, output)
    assert [c.identity for c in Dataset(output).clips("val")] == ["bob"]


def test_other_settings_need_another_folder(made, raw, tmp_path):
    with pytest.raises(ConfigError, match="size 64 there, 96 now"):
        prepare(raw, made[0], size=96)
    with pytest.raises(ConfigError, match="size"):
        prepare(raw, tmp_path / "new", size=7)
    with pytest.raises(ConfigError, match="workers"):
        prepare(raw, tmp_path / "new", workers=0)


def test_a_folder_of_something_else_is_not_touched(raw, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(OutputError, match="no dataset"):
        prepare(raw, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]
    with pytest.raises(OutputError, match=r"precious\.txt"):
        prepare(raw, tmp_path / "precious.txt")


def test_long_videos_and_cuts_are_split(tmp_path, presenter, write_video):
    bright = 255 - (255 - presenter) // 3
    write_video(tmp_path / "raw" / "cut.mp4", np.concatenate([presenter, bright[:26], presenter]))
    prepare(tmp_path / "raw", tmp_path / "out", max_seconds=1, min_seconds=0.4, val_identities=())
    clips = Dataset(tmp_path / "out").clips()
    assert [c.length for c in clips] == [15, 15, 13, 13, 15, 15]
    assert [c.meta()["start_seconds"] for c in clips] == [0.0, 0.6, 1.2, 1.72, 2.24, 2.84]
    np.testing.assert_array_equal(clips[0].track().polygon.shape, clips[1].track().polygon.shape)


def test_frame_rate_is_resampled_and_a_late_sound_corrected(tmp_path, presenter, write_video):
    write_video(tmp_path / "raw" / "fast.mp4", np.repeat(presenter, 2, axis=0), fps=50)
    table = tmp_path / "sources.json"
    options = {"sources": table, "val_identities": ()}
    table.write_text('{"": {"audio_offset": 0.0}}')
    prepare(tmp_path / "raw", tmp_path / "plain", **options)
    table.write_text('{"": {"audio_offset": 0.1}}')
    prepare(tmp_path / "raw", tmp_path / "moved", **options)
    plain, moved = (Dataset(tmp_path / name).clips()[0] for name in ("plain", "moved"))
    assert plain.length == moved.length == 30
    np.testing.assert_array_equal(moved.audio()[:-1600], plain.audio()[1600:])
    assert not moved.audio()[-500:].any()  # AAC may have padded the rest


def test_a_damaged_dataset_is_named(made, tmp_path):
    with pytest.raises(DataError, match="not a dataset"):
        Dataset(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(made[0], copy)
    clip = Dataset(copy).clips()[0]
    (clip.folder / "track.npz").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"track\.npz"):
        clip.track()
    (copy / "manifest.jsonl").write_text("{")
    with pytest.raises(DataError, match="manifest"):
        Dataset(copy)
    (copy / "config.json").write_text('{"size": "big"}')
    with pytest.raises(DataError, match=r"config\.json"):
        Dataset(copy)
