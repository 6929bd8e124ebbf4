"""One model, many rows: good ones are made, bad ones reported."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dithead.checkpoint import save_model
from dithead.errors import ConfigError
from dithead.inference.batch import generate_batch, read_jobs
from dithead.inference.job_list import job_of, read_speakers
from dithead.inference.job_record import JobRecord
from dithead.inference.result import GenerateResult
from dithead.media.audio import write_audio
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
    outcomes = list(generate_batch(read_jobs(jobs), model=talker, fit="silence"))
    assert [o.row for o in outcomes] == [1, 2, 3, 4, 5]
    assert [o.result.frames if o.result else 0 for o in outcomes] == [3, 0, 2, 0, 0]
    assert "no such file" in outcomes[1].error
    assert "seed must be a whole number, not 'many'" in outcomes[3].error
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
    [("a.txt", "x", r"\.csv, \.tsv, \.jsonl"), ("a.jsonl", "{}\n[1]", "line 2"), ("a.jsonl", "{", "line 1"),
     ("a.csv", "video,audio,output\n", "no jobs")],
)  # fmt: skip
def test_a_file_that_is_no_list_of_jobs(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_jobs(tmp_path / name)


def test_a_missing_file_of_jobs(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.csv"):
        read_jobs(tmp_path / "no.csv")


def test_two_rows_with_one_output(footage, pictures, speech, talker, tmp_path):
    footage(pictures[:2])
    job = {"video": tmp_path / "source.mkv", "audio": speech, "output": tmp_path / "one.mp4"}
    first, second = generate_batch([job, job], model=talker, fit="silence")
    assert first.result.frames == 2
    assert "is the output of row 1 already" in second.error


def test_shared_options_hold_for_rows_that_do_not_set_them(footage, pictures, speech, talker, tmp_path):
    footage(pictures[:3])
    job = {"video": tmp_path / "source.mkv", "audio": speech}
    jobs = [job | {"output": tmp_path / "a.mp4"}, job | {"output": tmp_path / "b.mp4", "seed": "9", "lossless": "no"}]
    made = [o.result for o in generate_batch(jobs, model=talker, seed=4, end=0.05, lossless=True, fit="silence")]
    assert [(r.seed, r.frames) for r in made] == [(4, 2), (9, 2)]


def test_cells_with_quotes_commas_and_line_breaks(tmp_path):
    (tmp_path / "jobs.csv").write_text('video,audio,output\n"a, ""b"".mp4","c\nd.wav",e.mp4\n')
    (row,) = read_jobs(tmp_path / "jobs.csv")
    assert row["video"] == str(tmp_path / 'a, "b".mp4')
    assert row["audio"] == str(tmp_path / "c\nd.wav")


def test_speakers_of_a_row_and_of_a_file(footage, pictures, speech, talker, tmp_path):
    footage(pictures[:2])
    (tmp_path / "map.json").write_text('{"1": "speech.wav"}')
    assert read_speakers(tmp_path / "map.json") == {1: speech}
    (tmp_path / "jobs.csv").write_text(
        "video,audio,output,speakers\nsource.mkv,speech.wav,o.mp4,map.json\nsource.mkv,speech.wav,p.mp4,none.json\n"
    )
    good, bad = generate_batch(read_jobs(tmp_path / "jobs.csv"), model=talker, fit="silence")
    assert good.result.frames == 2
    assert "none.json: no such file" in bad.error


@pytest.mark.parametrize("text", ["[]", "{", "{}", '{"one": "a.wav"}', '{"0": "a.wav"}', '{"1": 2}'])
def test_impossible_speaker_files(tmp_path, text):
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(ConfigError, match=r"map\.json"):
        read_speakers(tmp_path / "map.json")


def test_a_loaded_model_does_not_travel(talker):
    with pytest.raises(ConfigError, match="give its name"):
        next(generate_batch([{}], model=talker, workers=2))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_two_workers_make_what_one_makes(footage, pictures, speech, talker, tmp_path, engine):
    if engine == "ray":
        pytest.importorskip("ray")
    footage(pictures[:3])
    model = save_model(tmp_path / "model", talker) or tmp_path / "model"

    def jobs(prefix: str) -> list[dict[str, object]]:
        job = {"video": tmp_path / "source.mkv", "audio": speech, "credentials": False}
        good = [job | {"output": tmp_path / f"{prefix}{k}.mp4", "seed": k} for k in range(3)]
        return [*good, job | {"video": tmp_path / "nowhere.mp4", "output": tmp_path / f"{prefix}x.mp4"}]

    alone = {o.row: o for o in generate_batch(jobs("a"), model=model)}
    spread = {o.row: o for o in generate_batch(jobs("b"), model=model, engine=engine, workers=2)}
    assert sorted(spread) == [1, 2, 3, 4]
    assert "no such file" in spread[4].error
    assert alone[4].error == spread[4].error
    for k in range(3):
        assert spread[k + 1].result.frames == 15
        assert (tmp_path / f"a{k}.mp4").read_bytes() == (tmp_path / f"b{k}.mp4").read_bytes()


@pytest.mark.parametrize(("suffix", "mark"), [(".csv", ","), (".csv", ";"), (".csv", "\t"), (".tsv", "\t")])
def test_commas_semicolons_and_tabs_separate_columns(tmp_path, suffix, mark):
    sound = "a, b; c.wav" if mark == "\t" else "a.wav"
    rows = [["Video", " audio", "output", "background-gain"], ["v.mp4", sound, "o.mp4", "-9"]]
    (tmp_path / f"jobs{suffix}").write_text("\ufeff" + "\n".join(mark.join(row) for row in rows) + "\n", "utf-8")
    (row,) = read_jobs(tmp_path / f"jobs{suffix}")
    assert row["video"] == str(tmp_path / "v.mp4")
    assert row["audio"] == str(tmp_path / sound)
    assert job_of(row).background_gain == -9


def test_a_table_without_a_header_says_which_columns_it_needs(tmp_path):
    (tmp_path / "jobs.csv").write_text("face.mp4,speech.wav,out.mp4\n")
    with pytest.raises(ConfigError, match="first line must name the columns video, audio, output, not face.mp4"):
        read_jobs(tmp_path / "jobs.csv")


def test_finished_rows_are_skipped_until_something_changes(footage, pictures, speech, talker, tmp_path):
    source = footage(pictures[:3])
    jobs = [{"video": source, "audio": speech, "output": tmp_path / "new" / f"{k}.mp4", "seed": k} for k in range(3)]
    options = {"model": talker, "fit": "silence", "record": tmp_path / ".jobs.done.jsonl"}

    def drawn(**more):
        outcomes = list(generate_batch(jobs, **options | more))
        assert sorted(o.row for o in outcomes) == [1, 2, 3]
        assert not [o.error for o in outcomes if o.error]
        return [o.row for o in outcomes if o.earlier is None]

    assert drawn() == [1, 2, 3], "missing folders of outputs are made"
    assert drawn() == []
    assert drawn(again=True) == [1, 2, 3]
    jobs[1]["crf"] = 30
    assert drawn() == [2], "other options"
    (tmp_path / "new" / "2.mp4").unlink()
    assert drawn() == [3], "its output is gone"
    write_audio(speech, np.zeros(8000, np.float32), 16000)
    assert drawn() == [1, 2, 3], "another recording"
    assert drawn(fit="cut") == [1, 2, 3]
    with (tmp_path / ".jobs.done.jsonl").open("a") as file:
        file.write('{"key": "cut off by a cra')
    outcomes = list(generate_batch(jobs, **options | {"fit": "cut"}))
    assert json.loads(outcomes[0].to_json())["skipped"] is True


@pytest.mark.parametrize("rest", [b'{"key": "cut off by a cra', '{"key": "na\u00efve'.encode()[:-1]])
def test_what_is_finished_after_a_line_that_was_cut_off_is_remembered(tmp_path, rest):
    record, output = tmp_path / ".jobs.done.jsonl", tmp_path / "a.mp4"
    output.write_bytes(b"video")
    result = GenerateResult(output, 3, 25, 1.0, 3.0, 0, "small", 0, notes=["one\u2028line"])
    JobRecord(record).add("first", result)
    with record.open("ab") as file:
        file.write(rest)
    JobRecord(record).add("second", result)
    JobRecord(record).add("third", result)
    read = JobRecord(record)
    assert [read.find(key) is not None for key in ("first", "second", "third", "fourth")] == [True] * 3 + [False]


def test_a_row_whose_folder_cannot_be_made_fails_alone(footage, pictures, speech, talker, tmp_path):
    source = footage(pictures[:3])
    (tmp_path / "file").write_text("x")
    jobs = [{"video": source, "audio": speech, "output": tmp_path / name} for name in ("file/a.mp4", "ok/b.mp4")]
    bad, good = generate_batch(jobs, model=talker, fit="silence")
    assert "the folder cannot be made" in bad.error
    assert good.result.frames == 3


def test_a_row_of_speakers_needs_no_audio():
    row = {"video": "v.mp4", "output": "o.mp4", "speakers": {"1": "a.wav"}}
    assert job_of(row).audio is None
    with pytest.raises(ConfigError, match="the job lacks audio"):
        job_of({"video": "v.mp4", "output": "o.mp4"})


def test_a_consent_is_a_file_beside_the_list_or_a_sentence(tmp_path):
    (tmp_path / "mia.txt").write_text("Mia agreed.")
    (tmp_path / "jobs.csv").write_text("video,audio,output,consent\nv,a,o.mp4,mia.txt\nv,a,p.mp4,Ben agreed.\n")
    first, second = read_jobs(tmp_path / "jobs.csv")
    assert first["consent"] == str(tmp_path / "mia.txt")
    assert second["consent"] == "Ben agreed."
