"""Training survives stops, kills, full disks, changed data; and several processes train as one does."""

from __future__ import annotations

import errno
import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from dithead.checkpoint import load_model
from dithead.config import get_preset
from dithead.errors import ConfigError, DataError, ModelError, OutputError
from dithead.train.loop.batches import TrainingClock, prefetch
from dithead.train.loop.loggers import Loggers
from dithead.train.loop.precision import autocast
from dithead.train.loop.processes import ProcessGroup
from dithead.train.loop.run_folder import RunFolder, read_checkpoint
from dithead.train.stages.audio_encoder import train_audio
from dithead.train.stages.autoencoder import train_autoencoder
from dithead.train.stages.options import AudioOptions, AutoencoderOptions

TOY = Path(__file__).with_name("toy.py")


def toy(
    folder: Path, steps: int, *how: str, processes: int = 1, fsdp: bool = False
) -> subprocess.CompletedProcess[str]:
    launch = [] if processes == 1 else ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *launch, str(TOY), str(folder), str(steps), *how]
    return subprocess.run(command, capture_output=True, text=True, env=environment(fsdp))


def run_here(folder: Path, steps: int) -> None:
    """Train in this process, which spares the imports of another one; for runs that nothing disturbs."""
    with torch.random.fork_rng():
        runpy.run_path(str(TOY))["train"](folder, steps)


def environment(fsdp: bool) -> dict[str, str]:
    """One thread a process; FSDP as ``accelerate launch --use_fsdp`` asks for it."""
    return {**os.environ, "OMP_NUM_THREADS": "1"} | ({"ACCELERATE_USE_FSDP": "true"} if fsdp else {})


def state(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = read_checkpoint(folder / "checkpoint.pt")["toy"]
    return {**checkpoint["module"], **{f"average.{k}": v for k, v in checkpoint["average"].items()}}


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 steps in one process in one go."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run_here(folder, 20)
    return folder


def test_the_page_at_the_end_shows_the_curve(whole: Path) -> None:
    assert "<path d=" in (whole / "report.html").read_text()


def assert_same(one: Path, other: Path) -> None:
    wanted, found = state(one), state(other)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_stop_and_resume_gives_the_same_bits_and_numbers(whole: Path, tmp_path: Path) -> None:
    run_here(tmp_path / "run", 12)
    run_here(tmp_path / "run", 20)
    assert_same(whole, tmp_path / "run")
    assert losses(tmp_path / "run") == losses(whole)


def test_killed_while_saving_leaves_the_last_good_checkpoint(whole: Path, tmp_path: Path) -> None:
    assert toy(tmp_path / "run", 20, "die").returncode == -signal.SIGKILL
    assert read_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == 5
    run_here(tmp_path / "run", 20)
    assert_same(whole, tmp_path / "run")
    assert losses(tmp_path / "run") == losses(whole), "numbers of steps done twice are listed once"


def test_a_full_disk_is_reported_and_loses_nothing(whole: Path, tmp_path: Path) -> None:
    done = toy(tmp_path / "run", 20, "full")
    assert "OutputError" in done.stderr
    assert "step 10 cannot be written" in done.stderr
    assert not (tmp_path / "run" / "checkpoint.part").exists()
    run_here(tmp_path / "run", 20)
    assert_same(whole, tmp_path / "run")


def test_a_disk_that_is_full_when_the_run_goes_on_leaves_the_run_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"stage": "toy", "steps": 20}
    RunFolder(tmp_path / "run", config)
    files = {path: path.read_bytes() for path in (tmp_path / "run").glob("*.json")}

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    RunFolder(tmp_path / "run", config)
    with pytest.raises(OutputError, match="No space left"):
        RunFolder(tmp_path / "other", config)
    assert {path: path.read_bytes() for path in (tmp_path / "run").glob("*.json")} == files
    assert not list((tmp_path / "other").glob("*.json"))


def test_no_room_for_metrics_is_reported_and_a_line_cut_off_is_dropped(whole: Path, tmp_path: Path) -> None:
    done = toy(tmp_path / "run", 20, "cramped")
    assert "OutputError" in done.stderr
    assert "run: File too large; the last checkpoint is whole" in done.stderr
    assert not (tmp_path / "run" / "metrics.jsonl").read_text().endswith("\n")
    run_here(tmp_path / "run", 20)
    assert_same(whole, tmp_path / "run")
    assert losses(tmp_path / "run") == losses(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_ends_the_run_after_the_step_saved(whole: Path, tmp_path: Path, number: int) -> None:
    command = [sys.executable, str(TOY), str(tmp_path / "run"), "20", "slow"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while process.stdout.readline() != "6\n":
        pass
    process.send_signal(number)
    process.communicate(timeout=60)
    assert read_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] >= 7
    run_here(tmp_path / "run", 20)
    assert_same(whole, tmp_path / "run")


@pytest.mark.slow
def test_two_processes_train_as_one_and_one_goes_on_from_two(whole: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    done = toy(tmp_path / "run", 10, processes=2)
    assert done.returncode == 0, done.stderr
    assert read_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == 10
    assert losses(tmp_path / "run") == pytest.approx(losses(whole)[:10], rel=1e-9)
    run_here(tmp_path / "run", 20)
    assert losses(tmp_path / "run") == pytest.approx(losses(whole), rel=1e-9)
    for name, tensor in state(whole).items():
        torch.testing.assert_close(state(tmp_path / "run")[name], tensor, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_two_machines_train_as_one_process(whole: Path, tmp_path: Path) -> None:
    """Each is started by itself, as on a cluster; all they share is the first one's address, and the folder."""
    pytest.importorskip("accelerate")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    meeting = ["--master-addr=127.0.0.1", f"--master-port={port}", str(TOY), str(tmp_path / "run"), "20"]
    machines = [
        subprocess.Popen([*launch, f"--node-rank={i}", *meeting], env=environment(False), stderr=subprocess.PIPE)
        for i in range(2)
    ]
    errors = [machine.communicate(timeout=240)[1] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], errors
    assert json.loads((tmp_path / "run" / "cost.json").read_text())["processes"] == 2
    assert losses(tmp_path / "run") == pytest.approx(losses(whole), rel=1e-9)


@pytest.mark.slow
def test_two_split_processes_train_as_one_and_runs_change_hands(whole: Path, tmp_path: Path) -> None:
    """FSDP: each process holds a part of weights, average and moments; one goes on from two, and two from one."""
    pytest.importorskip("accelerate")
    done = toy(tmp_path / "run", 10, processes=2, fsdp=True)
    assert done.returncode == 0, done.stderr
    assert all(part in done.stderr for part in ("holds 56 of 129", "holds 73 of 129")), done.stderr
    assert losses(tmp_path / "run") == pytest.approx(losses(whole)[:10], rel=1e-9)
    assert toy(tmp_path / "run", 15).returncode == 0
    assert toy(tmp_path / "run", 20, processes=2, fsdp=True).returncode == 0
    assert losses(tmp_path / "run") == pytest.approx(losses(whole), rel=1e-9)
    for name, tensor in state(whole).items():
        torch.testing.assert_close(state(tmp_path / "run")[name], tensor, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_two_processes_train_stage_one_as_one_does(dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    curves = []
    for processes in (1, 2):
        run = tmp_path / str(processes)
        launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        options = ["--data", str(dataset), "--preset", "tiny", "--steps", "21", "--device", "cpu", "-o", str(run)]
        begin = [sys.executable, *(launch if processes > 1 else []), "-m", "dithead.cli"]
        command = [*begin, "train", "autoencoder", *options]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        curves.append([line[key] for line in lines for key in ("pixel", "detail", "held_out_psnr") if key in line])
    assert curves[1] == pytest.approx(curves[0], rel=0.02)


@pytest.mark.slow
def test_accelerate_launches_a_split_stage_two_that_trains_as_one_process(dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    tiny = get_preset("tiny")
    autoencoder = train_autoencoder(
        [str(dataset)], tiny, tmp_path / "autoencoder", AutoencoderOptions(steps=3, device="cpu")
    )
    audio = train_audio([str(dataset)], tiny, tmp_path / "audio", AudioOptions(steps=3, device="cpu"))
    launch = ["accelerate.commands.launch", "--use_fsdp", "--fsdp_version=2", "--num_processes=2", "--num_machines=1",
              "--mixed_precision=no", "--dynamo_backend=no", "-m"]  # fmt: skip
    runs = []
    for how in ([], launch):
        runs.append(tmp_path / f"dit{len(how)}")
        options = ["--data", str(dataset), "--preset", "tiny", "--steps", "21", "--device", "cpu", "-o", str(runs[-1]),
                   "--autoencoder", str(autoencoder), "--audio", str(audio)]  # fmt: skip
        command = [sys.executable, "-m", *how, "dithead.cli", "train", "dit", *options]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(fsdp=False))
        assert done.returncode == 0, done.stderr
    assert json.loads((runs[1] / "cost.json").read_text())["processes"] == 2
    assert losses(runs[1]) == pytest.approx(losses(runs[0]), rel=0.01)
    one, two = (load_model(run / "model").dit.state_dict() for run in runs)
    assert all(torch.allclose(one[name], two[name], atol=0.01) for name in one)


def test_rows_are_shared_out_evenly() -> None:
    second = ProcessGroup()
    second.rank, second.size = 1, 2
    assert [*ProcessGroup().rows(4)] == [0, 1, 2, 3]
    assert [*second.rows(4)] == [2, 3]
    with pytest.raises(ConfigError, match="batch 5 cannot be shared by 2"):
        second.rows(5)


def test_a_logger_that_does_not_start_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "wandb.py").write_text("raise SystemError('a build for another protobuf')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("WANDB_PROJECT", "dithead")
    RunFolder(tmp_path / "run", {"stage": "toy"}).log(step=1, loss=0.5)
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text())["loss"] == 0.5
    assert "wandb is installed but does not start (a build for another protobuf)" in caplog.text


def test_wandb_gets_metrics_and_images_where_a_project_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[object] = []
    session = SimpleNamespace(log=lambda *a, **k: received.append((a, k)), finish=lambda: received.append("finish"))
    fake = SimpleNamespace(init=lambda **k: received.append(k) or session, Image=lambda path: f"picture {path}",
                           __spec__=object())  # fmt: skip
    monkeypatch.setitem(sys.modules, "wandb", fake)
    Loggers(tmp_path).log_metrics({"step": 3, "loss": 0.5})
    assert received == [], "numbers leave the machine only when a project is named"
    monkeypatch.setenv("WANDB_PROJECT", "dithead")
    loggers = Loggers(tmp_path)
    loggers.log_metrics({"step": 3, "loss": 0.5})
    loggers.log_image(_picture(tmp_path / "0000003.png"), 3)
    loggers.close()
    assert received[0]["dir"] == tmp_path  # type: ignore[index]
    assert received[1] == (({"loss": 0.5},), {"step": 3})
    assert received[2] == (({"samples": f"picture {tmp_path / '0000003.png'}"},), {"step": 3})
    assert received[3] == "finish"


def _picture(path: Path) -> Path:
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    return path


def test_other_settings_are_named(tmp_path: Path) -> None:
    RunFolder(tmp_path, {"stage": "dit", "model": {"width": 256, "depth": 8}})
    with pytest.raises(ConfigError, match=r"model\.width 256 there, 32 now"):
        RunFolder(tmp_path, {"stage": "dit", "model": {"width": 32, "depth": 8}})


def test_a_changed_dataset_is_named(dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(dataset, copy)
    config = {"stage": "toy", "data": [{"path": str(copy), "weight": 1.0}]}
    RunFolder(tmp_path / "run", config)
    RunFolder(tmp_path / "run", config)
    lines = (copy / "manifest.jsonl").read_text().splitlines()
    (copy / "manifest.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DataError, match=r"data has changed since .* \(4 clips then, 3 now\)"):
        RunFolder(tmp_path / "run", config)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, {"stage": "toy"})
    run.checkpoint.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(ModelError, match=r"checkpoint\.pt is no checkpoint"):
        run.load()


def test_prefetch_gives_every_batch_in_order_and_knows_its_speed() -> None:
    clock = TrainingClock()
    steps = [int(batch["x"]) for batch in prefetch(lambda step: {"x": torch.tensor(step)}, 3, 9, clock=clock)]
    assert steps == [3, 4, 5, 6, 7, 8]
    assert clock.batches == 6
    assert clock.speed(2)["loader_rows_per_second"] > 0


@pytest.mark.parametrize("fast", [True, False])
def test_bfloat16_is_for_processors_that_multiply_in_it(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dithead.device._has_bfloat16_instructions", lambda: fast)
    with autocast(torch.device("cpu")):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype is (torch.bfloat16 if fast else torch.float32)
