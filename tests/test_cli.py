"""The command line: quick help, one line per error, one exit code per kind of end, options passed on as given."""

import importlib
import inspect
import json
import re
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dithead import __version__
from dithead.cli import app
from dithead.errors import ConfigError, DataError, DitheadError, MissingExtraError
from dithead.evaluate.options import EvaluateOptions
from dithead.inference.batch import JobOutcome
from dithead.inference.result import FrameSpan, GenerateResult
from dithead.prepare.prepare_dataset import PrepareResult
from dithead.progress import style
from dithead.provenance.switched_off import SWITCHED_OFF
from dithead.synth.corpus.options import SynthOptions, VoicesOptions
from dithead.synth.corpus.people import CorpusResult

HELP_SECONDS = 1.0  # importing torch alone takes longer
COMMANDS = (
    "generate", "prepare", "train", "synth", "evaluate", "score", "compare", "study", "bench", "presets", "doctor",
)  # fmt: skip


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


class Recorder:
    """Stands in for a public function: keeps what it was called with."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.arguments: tuple[Any, ...] = ()
        self.options: dict[str, Any] = {}

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.arguments, self.options = arguments, options
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def stand_in(monkeypatch: pytest.MonkeyPatch, target: str, answer: Any = None) -> Recorder:
    recorder = Recorder(answer)
    module, _, name = target.rpartition(".")
    monkeypatch.setattr(importlib.import_module(module), name, recorder)
    return recorder


RESULT = GenerateResult(
    output=Path("o.mp4"), frames=75, fps=25.0, seconds=3.0, frames_per_second=25.0, faces_missed=2, model="small",
    seed=0, passed_through=[FrameSpan(0, 1, "no face")],
)  # fmt: skip


@pytest.mark.parametrize("command", [[], ["generate"]])
def test_help_is_quick(command: list[str]) -> None:
    """Processor time of the best of three: what the wall clock shows when the machine has nothing else to do."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "dithead.cli", *command, "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < HELP_SECONDS, times


def test_help_names_every_command() -> None:
    text = run("--help").output
    assert all(command in text for command in COMMANDS)


def test_help_cuts_no_name_and_no_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal of usual width, where rich and click cut long options and descriptions of commands."""
    monkeypatch.setenv("COLUMNS", "80")
    for command in ([], ["generate"], ["train"], ["train", "dit"], ["keys"]):
        text = run(*command, "--help").output
        assert "…" not in text
        assert not re.search(r"\w\.\.\.", text), text
        assert not re.search(r"\b(str|int|float|bool|path)\b", text.split("Options:")[1], re.I), "no name of a type"


STAGES = ("autoencoder", "audio", "dit")
STAGE_FILES = {"autoencoder": "autoencoder", "audio": "audio_encoder", "dit": "denoiser"}


@pytest.mark.parametrize("command", [*([c] for c in COMMANDS), *(["train", stage] for stage in STAGES)])
def test_every_command_has_help(command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_version() -> None:
    assert run("--version").output == f"dithead {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nosuch"], "No such command 'nosuch'"), (["generate"], "needs --video, --audio (or --speaker) and --output"),
        (["faces", "v.mp4", "-o", "f.png", "--quiet", "--log-json"], "--quiet and --log-json exclude each other"),
        (["generate", "--nosuch"], "No such option: --nosuch"), (["generate", "--seed", "x"], "'--seed'"),
        (["faces"], "Missing argument"), (["generate", "--video", "v", "-o", "o.mp4"], "needs --video, --audio"),
        (["generate", "--video", "v", "--audio", "a", "-o", "o.mp4", "--workers", "2"], "--workers is for --jobs"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("dithead: ")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("error", [DataError("a.mp4: broken"), MissingExtraError("synth"), DitheadError("two\nlines")])
def test_a_named_error_is_one_line_on_stderr(error: DitheadError, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "dithead.inference.pipeline.generate", error)
    result = run("generate", "--video", "v", "--audio", "a", "-o", "o.mp4")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f"dithead: {' '.join(str(error).splitlines())}\n"


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "dithead.inference.pipeline.generate", ZeroDivisionError())
    assert isinstance(run("generate", "--video", "v", "--audio", "a", "-o", "o").exception, ZeroDivisionError)


def test_a_library_that_cannot_be_imported_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "dithead.inference.pipeline.generate", ImportError("libGL.so.1: not found", name="cv2"))
    result = run("generate", "--video", "v", "--audio", "a", "-o", "o.mp4")
    assert result.exit_code == 2
    assert (
        result.stderr
        == "dithead: cv2 cannot be loaded (libGL.so.1: not found); `dithead doctor` says how to repair it\n"
    )


def test_an_interrupt_is_one_line_and_130_and_says_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt = KeyboardInterrupt()
    stand_in(monkeypatch, "dithead.inference.pipeline.generate", interrupt)
    result = run("generate", "--video", "v", "--audio", "a", "-o", "o.mp4")
    assert result.exit_code == 130
    assert result.stderr == "dithead: interrupted; the same command resumes or starts again\n"
    interrupt.add_note("o.mp4: the analysis of the video and 50 drawn frames are kept")
    again = run("generate", "--video", "v", "--audio", "a", "-o", "o.mp4").stderr
    assert (
        "interrupted; o.mp4: the analysis of the video and 50 drawn frames are kept; the same command goes on" in again
    )
    assert again.count("\n") == 1


def test_quiet_leaves_notes_out_and_json_makes_objects_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "dithead.inference.pipeline.generate", replace(RESULT, notes=["a note"]))
    arguments = ("generate", "--video", "v", "--audio", "a", "-o", "o.mp4")
    assert run(*arguments).stderr.endswith("dithead: note: a note\n")
    assert run(*arguments, "--quiet").stderr == ""
    assert run(*arguments, "--quiet").stdout == "o.mp4  75 frames at 25 fps in 3.0 s\n"
    events = [json.loads(line) for line in run(*arguments, "--log-json").stderr.splitlines()]
    assert [event["text"] for event in events] == ["a note"]
    stand_in(monkeypatch, "dithead.inference.pipeline.generate", DataError("broken"))
    assert run(*arguments, "--quiet").stderr == "dithead: broken\n"
    (event,) = [json.loads(line) for line in run(*arguments, "--log-json").stderr.splitlines()]
    assert (event["event"], event["text"]) == ("error", "broken")


def test_notes_of_rows_are_said_and_the_same_words_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dithead.inference.batch import JobOutcome

    done = [replace(RESULT, notes=["no sound", *more]) for more in ([], ["a cut"], [])]
    outcomes = [*(JobOutcome(row, result) for row, result in enumerate(done, 1)), JobOutcome(4, None, "no such file")]
    stand_in(monkeypatch, "dithead.inference.batch.generate_batch", outcomes)
    (tmp_path / "jobs.csv").write_text("video,audio,output\n" + "v,a,o.mp4\n" * 4)
    said = run("generate", "--jobs", str(tmp_path / "jobs.csv")).stderr.splitlines()
    assert said == [
        f"dithead: {tmp_path / 'jobs.csv'}: 4 rows", "dithead: row 1: no sound", "dithead: row 2: a cut",
        "dithead: row 4: no such file", "dithead: note: no sound (so in 3 rows)",
        f"dithead: {tmp_path / 'jobs.csv'}: 1 of 4 rows failed (row 4); the others are done",
    ]  # fmt: skip
    (tmp_path / "jobs.csv").write_text("video,audio,output\nv,a,o.mp4\n")
    stand_in(monkeypatch, "dithead.inference.batch.generate_batch", [JobOutcome(1, None, "no such file")])
    assert run("generate", "--jobs", str(tmp_path / "jobs.csv")).stderr.endswith("1 of 1 row failed (row 1)\n")


def test_a_mark_that_was_switched_off_is_told_even_where_nothing_else_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = replace(RESULT, notes=["a note", *SWITCHED_OFF])
    stand_in(monkeypatch, "dithead.inference.pipeline.generate", made)
    arguments = ("generate", "--video", "v", "--audio", "a", "-o", "o.mp4", "--no-credentials", "--no-watermark")
    told = [f"dithead: note: {note}" for note in SWITCHED_OFF]
    assert run(*arguments, "--quiet").stderr.splitlines() == told
    assert json.loads(run(*arguments, "--json", "--quiet").stdout)["notes"] == ["a note", *SWITCHED_OFF]
    rows = [JobOutcome(1, made), JobOutcome(2, made), JobOutcome(3, RESULT)]
    stand_in(monkeypatch, "dithead.inference.batch.generate_batch", rows)
    stand_in(monkeypatch, "dithead.inference.batch.read_jobs", [{}, {}, {}])
    told = run("generate", "--jobs", str(tmp_path / "jobs.csv"), "--quiet").stderr.splitlines()
    assert told == [f"dithead: row 1: {note}" for note in SWITCHED_OFF], "once for all rows"


LONG = ("generate", "faces", "prepare", "shard", "synth", "voices", "evaluate", "score", "bench", "train dit", "verify")


@pytest.mark.parametrize("command", LONG)
def test_every_command_that_may_take_long_can_be_quiet_or_report_to_machines(command: str) -> None:
    text = run(*command.split(), "--help").output
    assert "--quiet" in text
    assert "--log-json" in text


def test_help_describes_the_columns_of_a_job_list() -> None:
    text = " ".join(run("generate", "--help").output.split())
    assert re.search("Its columns are video, audio, output and any of: .*steps, seed, .*sheet", text)
    assert "comma, semicolon or tab" in text


def test_generate_passes_on_only_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    called = stand_in(monkeypatch, "dithead.inference.pipeline.generate", RESULT)
    assert run("generate", "--video", "v", "--audio", "a", "-o", "o.mp4", "--seed", "0").exit_code == 0
    assert called.arguments == (Path("v"), Path("a"), Path("o.mp4"))
    assert called.options.keys() == {"seed", "progress"}
    assert called.options["seed"] == 0


def test_every_setting_of_generate_is_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    from dithead.inference.pipeline import generate

    settings = set(inspect.signature(generate).parameters) - {"video", "audio", "output", "progress"}
    text = run("generate", "--help").output
    options = {
        "speakers": "speaker",
        **{name: name.replace("_", "-") for name in settings - {"speakers"}},
    }  # one --speaker for each
    assert [name for name, option in options.items() if f"--{option}" not in text] == []


def test_generate_prints_one_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "dithead.inference.pipeline.generate", RESULT)
    result = run("generate", "--video", "v", "--audio", "a", "-o", "o.mp4", "--json")
    assert result.stdout.count("\n") == 1
    printed = json.loads(result.stdout)
    keys = {"output", "frames", "fps", "seconds", "frames_per_second", "faces_missed", "model", "seed"}
    assert keys <= printed.keys()
    assert (printed["output"], printed["frames"], printed["faces_missed"]) == ("o.mp4", 75, 2)


def test_generate_says_what_passed_through(monkeypatch: pytest.MonkeyPatch) -> None:
    note = "2 of 75 source frames pass through unchanged: 0 to 1 (no face)"
    stand_in(monkeypatch, "dithead.inference.pipeline.generate", replace(RESULT, notes=[note]))
    result = run("generate", "--video", "v", "--audio", "a", "-o", "o.mp4")
    assert result.stdout == "o.mp4  75 frames at 25 fps in 3.0 s\n"
    assert result.stderr == f"dithead: note: {note}\n", "once, in one line"


def test_prepare(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = PrepareResult(Path("d"), 3, 0, 2, 9.0, 1, {"no face": 1}, 4)
    called = stand_in(monkeypatch, "dithead.prepare.prepare_dataset.prepare_dataset", answer)
    result = run("prepare", "raw", "-o", "d", "--val-identity", "s1", "--val-identity", "s2")
    assert called.arguments == (Path("raw"), Path("d"))
    assert called.options == {"val_identities": ["s1", "s2"]}
    assert "2 clips of 1 people" in result.stdout
    assert "1 no face; sound moved in 4" in result.stdout
    assert json.loads(run("prepare", "raw", "-o", "d", "--json").stdout)["rejected"] == {"no face": 1}


def test_synth(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = CorpusResult(Path("c"), 5, 2)
    called = stand_in(monkeypatch, "dithead.synth.corpus.people.synth_corpus", answer)
    result = run("synth", "5", "-o", "c", "--head-model", "head", "--language", "de")
    assert called.arguments == (5, Path("c"), SynthOptions(Path("head"), language="de"))
    assert called.options.keys() == {"progress"}
    assert result.stdout == "c  5 clips, 2 of them new\n"


def test_synth_takes_recordings_and_leaves_features_out(monkeypatch: pytest.MonkeyPatch) -> None:
    called = stand_in(monkeypatch, "dithead.synth.corpus.people.synth_corpus", CorpusResult(Path("c"), 2, 2))
    without = ["--without", "skin", "--without", "light"]
    more = ["--speech", "recordings", "--labels", "--rest", "--engine", "ray"]
    assert run("synth", "-o", "c", "--head-model", "head", *without, *more).exit_code == 0
    options = SynthOptions(Path("head"), speech=Path("recordings"), without=("skin", "light"), labels=True, rest=True,
                           engine="ray")  # fmt: skip
    assert called.arguments == (None, Path("c"), options)
    assert called.options.keys() == {"progress"}


def test_synth_hard(monkeypatch: pytest.MonkeyPatch) -> None:
    called = stand_in(monkeypatch, "dithead.synth.corpus.hard_cases.synth_hard_cases", [Path("c/two"), Path("c/cut")])
    result = run("synth", "--hard", "-o", "c", "--head-model", "head", "--seed", "3")
    assert called.arguments == (Path("c"),)
    assert called.options.pop("progress")
    assert called.options == {"head_model": Path("head"), "seed": 3}
    assert result.stdout == "c  two, cut\n"


@pytest.mark.parametrize("stage", STAGES)
def test_train(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dithead.config import get_preset
    from dithead.train.stages import options

    made = {"autoencoder": options.AutoencoderOptions, "audio": options.AudioOptions, "dit": options.DenoiserOptions}
    called = stand_in(monkeypatch, f"dithead.train.stages.{STAGE_FILES[stage]}.train_{stage}", Path("run"))
    extra = ["--autoencoder", "ae", "--audio", "encoder"] if stage == "dit" else []
    arguments = ["--data", "a:0.7", "--data", "b", "--preset", "tiny", "-o", "run", "--steps", "5", *extra]
    result = run("train", stage, *arguments)
    assert result.exit_code == 0, result.output
    stage_one = (Path("ae"), Path("encoder")) if extra else ()
    assert called.arguments == (["a:0.7", "b"], get_preset("tiny"), Path("run"), *stage_one, made[stage](steps=5))
    assert called.options == {}


def test_train_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    from dithead.train.stages.options import SyncOptions

    called = stand_in(monkeypatch, "dithead.train.stages.sync_expert.train_sync", Path("run/sync.safetensors"))
    result = run("train", "sync", "--data", "a", "-o", "run", "--expert", "loss", "--init", "old")
    assert result.exit_code == 0, result.output
    assert called.arguments == (["a"], Path("run"), SyncOptions(expert="loss", init=Path("old")))


def test_the_options_of_training_are_those_of_their_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option, its default and its help text are written once, in ``train.stages.options``."""
    from dataclasses import fields

    from dithead.train.stages import options

    monkeypatch.setenv("COLUMNS", "200")
    for stage, made in {"audio": options.AudioOptions, "sync": options.SyncOptions}.items():
        text = " ".join(run("train", stage, "--help").stdout.replace("│", " ").split())
        for field in fields(made):
            assert f"--{field.name.replace('_', '-')} " in text
            assert field.metadata["help"] in text


def test_voices(monkeypatch: pytest.MonkeyPatch) -> None:
    called = stand_in(monkeypatch, "dithead.synth.corpus.voices.voice_corpus", [Path("v/a"), Path("v/b")])
    result = run("voices", "2", "-o", "v", "--seconds", "4")
    assert called.arguments == (2, Path("v"), VoicesOptions(seconds=4.0))
    assert called.options.pop("progress")
    assert result.stdout == "v  2 clips\n"


def test_a_setting_of_the_preset_can_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    called = stand_in(monkeypatch, "dithead.train.stages.autoencoder.train_autoencoder", Path("run"))
    begin = ["train", "autoencoder", "--data", "d", "--preset", "tiny", "-o", "run", "--set"]
    assert run(*begin, "autoencoder.batch=2", "--set", "model.objective=v").exit_code == 0
    preset = called.arguments[1]
    assert (preset.autoencoder.batch, preset.model.objective) == (2, "v")
    for wrong, expected in {
        "batch=2": "there are model",
        "dit.nosuch=1": "give an existing setting",
        "dit.batch=many": "dit.batch",
        "model.size=65": "size 65 must be",
    }.items():
        result = run(*begin, wrong)
        assert result.exit_code == 2
        assert expected in result.stderr


def test_an_unknown_preset_lists_those_there_are() -> None:
    result = run("train", "autoencoder", "--data", "d", "--preset", "huge", "-o", "run")
    assert result.exit_code == 2
    assert "unknown preset 'huge'; choose one of: tiny, small, base" in result.stderr


@pytest.fixture
def report(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "report.json").write_text('{"schema": "dithead.report/1"}\n')
    common: dict[str, Any] = {"clips": [], "metrics": {}}
    return {"rows": {}, "headline": "ours", "clips": {}, "metrics": {}, "missing": {}, "notes": [], "common": common}


def test_evaluate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: dict[str, Any]) -> None:
    called = stand_in(monkeypatch, "dithead.evaluate.protocols.evaluate_model", report)
    result = run("evaluate", "--data", "test", "-o", tmp_path, "--steps", "1", "--steps", "4", "--json")
    assert called.arguments == ("small", Path("test"), tmp_path, EvaluateOptions(steps=[1, 4]))
    assert called.options.keys() == {"say", "progress"}
    assert json.loads(result.stdout) == {"schema": "dithead.report/1"}


def test_score(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: dict[str, Any]) -> None:
    called = stand_in(monkeypatch, "dithead.evaluate.score.score_folders", report)
    result = run("score", "--generated", "made", "--truth", "true", "-o", tmp_path, "--json")
    assert called.arguments == (Path("made"), Path("true"), tmp_path)
    assert called.options.keys() == {"say", "progress"}
    assert json.loads(result.stdout) == {"schema": "dithead.report/1"}
    tools = ("--generated", "one=a", "--generated", "two=b/c.mp4")
    assert run("score", *tools, "--truth", "true", "-o", tmp_path).exit_code == 0
    assert called.arguments == ({"one": Path("a"), "two": Path("b/c.mp4")}, Path("true"), tmp_path)


def test_tools_without_names_and_files_without_an_option_are_told_what_is_missing(tmp_path: Path) -> None:
    said = run("score", "--generated", "one", "--generated", "b=two", "--truth", "true", "-o", tmp_path).stderr
    assert said == "dithead: one: give each of several tools a name, as in --generated NAME=one\n"
    said = run("generate", "face.mp4", "speech.wav").stderr
    what = "an option must stand before each of them"
    assert said == f"dithead: face.mp4 speech.wav: {what} (see dithead generate --help)\n"
    said = run("generate", "face.mp4").stderr
    assert said == "dithead: face.mp4: an option must stand before it (see dithead generate --help)\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ("study", "-o", "s", "--folder", "a=x", "--answers", "1.json"),
            "--answers and --folder exclude each other: make the study first, then count its answers",
        ),
        (("train", "table", "one", "--people", "--seeds"), "--people and --seeds exclude each other; give one of them"),
    ],
)
def test_an_option_that_another_makes_useless_is_refused(command: tuple[str, ...], said: str) -> None:
    result = run(*command)
    assert (result.exit_code, result.stderr) == (2, f"dithead: {said}\n")


def test_report_joins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: dict[str, Any]) -> None:
    called = stand_in(monkeypatch, "dithead.evaluate.join_reports.join_reports", report)
    assert run("report", "one", "two", "-o", tmp_path).exit_code == 0
    assert called.arguments == ([Path("one"), Path("two")], tmp_path)


def test_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    called = stand_in(monkeypatch, "dithead.evaluate.compare.compare_reports", [{"metrics": {}}])
    assert json.loads(run("compare", "one", "two", "--json").stdout) == [{"metrics": {}}]
    assert called.arguments == (Path("one"), Path("two"))
    assert run("compare", "one", "--json").exit_code == 0
    assert called.arguments == (Path("one"), None)


def test_study_makes_a_page_or_counts_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    made = stand_in(monkeypatch, "dithead.evaluate.study.make_study", Path("s/index.html"))
    assert run("study", "--folder", f"a={Path.cwd()}", "--folder", "b=.", "-o", "s").stdout == "s/index.html\n"
    assert list(made.arguments[0]) == ["a", "b"]
    counted = stand_in(monkeypatch, "dithead.evaluate.study.study_results", {"answers": 2})
    assert json.loads(run("study", "--answers", "1.json", "-o", "s").stdout) == {"answers": 2}
    assert counted.arguments == (Path("s"), [Path("1.json")])


def test_presets_are_listed() -> None:
    listed = run("presets").stdout
    assert "proves in minutes that everything works together" in listed
    assert "flow in 1 step; autoencoder 4.2 + denoiser 7.2 + audio encoder 11.3 M" in listed
    assert [line.split()[0] for line in listed.splitlines()] == ["tiny", "small", "base", "paper", "hd"]
    printed = json.loads(run("presets", "--json").stdout)
    assert printed["tiny"]["model"]["size"] == 64
    assert printed["paper"]["sizes"]["parameters"]["autoencoder"] == pytest.approx(83.7, abs=0.1), "Stable Diffusion's"
    assert printed["paper"]["sizes"]["parameters"]["audio"] > 94
    assert printed["base"]["sizes"]["gflops"] > printed["small"]["sizes"]["gflops"]


def test_doctor_prints_a_table_and_json(monkeypatch: pytest.MonkeyPatch) -> None:
    from dithead import doctor

    findings = [doctor.Finding("thing", "broken", "is [out]", "pip install 'dithead[extra]'")]
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    table = run("doctor")
    assert table.exit_code == 1
    assert "[out]" in table.stdout
    assert "dithead[extra]" in table.stdout
    printed = json.loads(run("doctor", "--json").stdout)
    assert printed == {"healthy": False, "findings": [vars(findings[0])]}


@pytest.mark.parametrize(
    ("arguments", "label"),
    [(["--label", "--seed", "1"], "en"), (["--label"], "en"), (["--label", "zh"], "zh"), (["--label=-x"], "-x")],
)
def test_a_label_may_stand_without_its_text(arguments, label, monkeypatch, tmp_path):
    from dithead.inference import pipeline

    given: dict[str, object] = {}

    def stop(*_: object, **options: object) -> None:
        given.update(options)
        raise ConfigError("enough")

    monkeypatch.setattr(pipeline, "generate", stop)
    files = ["--video", "v.mp4", "--audio", "a.wav", "-o", str(tmp_path / "o.mp4")]
    CliRunner().invoke(app, ["generate", *files, *arguments])
    assert given["label"] == label


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dithead gen", "generate"),
        ("dithead generate --fi", "--fit"),
        ("dithead generate --fit ", "bounce loop freeze silence cut"),
        ("dithead generate --fit l", "loop"),
        ("dithead train a", "autoencoder audio"),
    ],
)
def test_shells_complete_commands_options_and_choices(
    line: str, offered: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_DITHEAD_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    with pytest.raises(SystemExit):
        app(prog_name="dithead")
    assert capsys.readouterr().out.split() == offered.split()


def test_the_completion_script_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("_DITHEAD_COMPLETE", "source_zsh")
    with pytest.raises(SystemExit):
        app(prog_name="dithead")
    assert "compdef _dithead_completion dithead" in capsys.readouterr().out


def test_a_quiet_command_leaves_the_next_one_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "dithead.inference.pipeline.generate", DataError("broken"))
    for option in ("--quiet", "--log-json"):
        run("generate", "--video", "v", "--audio", "a", "-o", "o.mp4", option)
        assert style.get() == "auto"
