"""One model, many rows: good ones are made, bad ones reported."""

from __future__ import annotations

import json

import pytest

from dithead.errors import ConfigError
from dithead.generate.batch import generate_batch, read_jobs
from dithead.media.video import probe


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_bad_row_does_not_stop_the_rest(footage, pictures, speech, talker, tmp_path, suffix):
    footage(pictures[:3])
    rows = [
        {"video": "source.mkv", "audio": "speech.wav", "output": "one.mp4"},
        {"video": "nowhere.mkv", "audio": "speech.wav", "output": "two.mp4"},
        {"video": "source.mkv", "audio": "speech.wav", "output": "three.mp4", "seed": 3, "end": 0.07},
        {"video": "source.mkv", "audio": "speech.wav", "output": "four.mp4", "seed": "many"},
        {"video": "source.mkv", "audio": "speech.wav"},
    ]
    jobs = tmp_path / f"jobs{suffix}"
    if suffix == ".csv":
        names = ["video", "audio", "output", "seed", "end"]
        lines = [",".join(names), *(",".join(str(row.get(n, "")) for n in names) for row in rows)]
    else:
        lines = [json.dumps(row) for row in rows]
    jobs.write_text("\n".join(lines) + "\n")
    outcomes = list(generate_batch(read_jobs(jobs), model=talker))
    assert [o.row for o in outcomes] == [1, 2, 3, 4, 5]
    assert [o.result.frames if o.result else 0 for o in outcomes] == [3, 0, 2, 0, 0]
    assert "no such file" in outcomes[1].error
    assert "seed must be of type int" in outcomes[3].error
    assert "lacks output" in outcomes[4].error
    assert outcomes[2].result.seed == 3
    assert probe(tmp_path / "three.mp4").frames == 2
    assert json.loads(outcomes[0].to_json())["row"] == 1
    assert json.loads(outcomes[1].to_json())["error"] == outcomes[1].error


def test_an_unknown_column_is_named(talker):
    job = {"video": "a", "audio": "b", "output": "c", "colour": "red"}
    assert "unknown column 'colour'" in next(generate_batch([job], model=talker)).error


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [("a.txt", "x", r"\.csv or \.jsonl"), ("a.jsonl", "{}\n[1]", "line 2"), ("a.jsonl", "{", "line 1"),
     ("a.csv", "video,audio,output\n", "no jobs")],
)  # fmt: skip
def test_a_file_that_is_no_list_of_jobs(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_jobs(tmp_path / name)


def test_a_missing_file_of_jobs(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.csv"):
        read_jobs(tmp_path / "no.csv")
