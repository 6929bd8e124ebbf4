"""``run_bench``: measure generation on this machine, case by case, each run in a process of its own."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dithead.bench.clips import presenter_videos, write_clip
from dithead.bench.options import BenchCase, BenchOptions
from dithead.bench.report import write_reports
from dithead.errors import DitheadError, OutputError

_VARIABLES = (
    "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "ATEN_CPU_CAPABILITY", "CUDA_VISIBLE_DEVICES",
    "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip
"""Environment variables that change the speed and are therefore reported."""

Report = dict[str, Any]


def run_bench(output: Path, options: BenchOptions, say: Callable[[str], None]) -> Report:
    """Measure the chosen cases and write ``bench.json`` and ``bench.html`` with its plots.

    Args:
        output: Folder for the report. The source videos are kept in it and used again.
        options: What to measure.
        say: Receives a line about each run.

    Returns:
        The report, as ``bench.json`` holds it.

    Raises:
        ConfigError: There are no videos of presenters.
        DitheadError: A run failed.
        OutputError: The folder cannot be written.
    """
    try:
        (output / "clips").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{output}: cannot be written ({error.strerror}); choose another place") from None
    clips = {case.name: _clip(output / "clips", case, options, say) for case in options.chosen()}
    report: Report = {"machine": describe_machine(), "options": _plain(options), "cases": {}}
    with busy_processes(options.busy):
        _warm_up(options, clips, say)
        for case in options.chosen():
            runs = [_run(case, clips[case.name], options) for _ in range(options.repeat)]
            report["cases"][case.name] = summary(case, runs)
            say(_line(case.name, report["cases"][case.name]))
            write_reports(output, report)
    return report


def describe_machine() -> dict[str, Any]:
    """Return what the speed depends on: processor, cores, load, versions, environment."""
    import torch

    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def summary(case: BenchCase, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the medians of a case's runs, and the stages and timeline of the run in the middle."""
    runs = sorted(runs, key=lambda run: run["core_seconds"])
    middle = runs[(len(runs) - 1) // 2]
    frames = middle["frames"]
    result = {
        "size": [case.width, case.height],
        "faces": case.faces,
        "frames": frames,
        "runs": len(runs),
        "frames_per_second": frames / statistics.median(run["seconds"] for run in runs),
        "core_ms_per_frame": 1e3 * statistics.median(run["core_seconds"] for run in runs) / frames,
        "cores_busy": middle["core_seconds"] / middle["seconds"],
        "first_frame_seconds": statistics.median(run["first_frame_seconds"] for run in runs),
        "peak_memory_mb": max((run["peak_memory_mb"] or 0.0) for run in runs) or None,
        "stages": {name: _per_frame(values, frames) for name, values in middle["stages"].items()},
        "timeline": middle["timeline"],
    }
    live = {name: middle[name] for name in middle if name.startswith("live_")}
    return result | live | ({"bytes": middle["bytes"]} if "bytes" in middle else {})


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep ``count`` other processes computing while the block runs."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _spin() -> None:
    while True:
        sum(range(100_000))


def _clip(folder: Path, case: BenchCase, options: BenchOptions, say: Callable[[str], None]) -> Path:
    """The source video of a case, written unless an earlier call has left it."""
    seconds = options.seconds * case.times
    presenters = presenter_videos(options.presenters, case.faces)
    path = folder / f"{presenters[0].stem}-{case.width}x{case.height}-{case.faces}-{seconds:g}s.mp4"
    if not path.exists():
        say(f"making the source video {path}")
        write_clip(path, case, presenters, seconds)
    return path


def _warm_up(options: BenchOptions, clips: Mapping[str, Path], say: Callable[[str], None]) -> None:
    """One run that is not counted, over the first second: it compiles Python files and fills the file cache."""
    case = options.chosen()[0]
    say("warming up")
    _run(case, clips[case.name], options, end=min(1.0, options.seconds))


def _run(case: BenchCase, clip: Path, options: BenchOptions, **more: Any) -> dict[str, Any]:
    chosen = {"model": options.model, "device": options.device, "fit": "silence"} | more
    if case.faces > 1:
        chosen["face"] = "all"
    with TemporaryDirectory() as folder:
        place = Path(folder)
        spec: dict[str, Any] = {
            "video": str(clip),
            "audio": str(clip),
            "output": str(place / "out.mp4"),
            "options": chosen,
        }
        spec |= {"live": case.live, "started": time.time()}
        (place / "spec.json").write_text(json.dumps(spec), "utf-8")
        command = [sys.executable, "-m", "dithead.bench.measured_run", str(place / "spec.json"), str(place / "result")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
        if done.returncode:
            raise DitheadError(f"case {case.name} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        result: dict[str, Any] = json.loads((place / "result").read_text("utf-8"))
    return result


def _per_frame(values: Mapping[str, float], frames: int) -> dict[str, float]:
    return {
        "calls": values["calls"],
        "ms_per_frame": 1e3 * values["seconds"] / frames,
        "core_ms_per_frame": 1e3 * values["core_seconds"] / frames,
    }


def _line(name: str, case: Mapping[str, Any]) -> str:
    return (
        f"{name}: {case['frames_per_second']:.1f} frames a second, {case['core_ms_per_frame']:.0f} core-ms a frame, "
        f"first frame after {case['first_frame_seconds']:.1f} s"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8", "replace").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _plain(options: BenchOptions) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
