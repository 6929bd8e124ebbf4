"""One measured run in a process of its own, so that starting, loading and memory count as for a user.

python -m dithead.bench.measured_run SPEC.json RESULT.json
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.inference.early_start import start_early
from dithead.process_settings import tune_process
from dithead.stages import StageRecorder, recording, stage

if TYPE_CHECKING:
    from dithead.bench.thread_sampler import ThreadSampler


def main(spec_file: str, result_file: str) -> None:
    """Run what SPEC describes and write what was measured."""
    spec = json.loads(Path(spec_file).read_text("utf-8"))
    from dithead.bench.thread_sampler import ThreadSampler

    origin = time.perf_counter() - (time.time() - spec["started"])
    with recording() as recorder, ThreadSampler() as threads:
        measured = _measured(spec)
        seconds, cpu = time.perf_counter() - origin, time.process_time() + _ended_processes()
    cpu -= threads.own_cpu()
    own = {span.thread for span in recorder.spans}
    native = threads.cpu_by_name(without=own)
    result = measured | {
        "seconds": seconds,
        "core_seconds": cpu,
        "peak_memory_mb": peak_memory(),
        "first_frame_seconds": _first(recorder, origin),
        "stages": _stages(recorder, native, cpu),
        "timeline": timeline(recorder, threads, origin, seconds),
    }
    Path(result_file).write_text(json.dumps(result), "utf-8")


def peak_memory() -> float | None:
    """Return the most memory that the process had at once, in MB; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _ended_processes() -> float:
    """Seconds of processor time of the processes that this one has started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _measured(spec: dict[str, Any]) -> dict[str, Any]:
    if not spec["live"]:
        return _generate(spec)
    with stage("imports"):
        from dithead.bench.live_run import measure_live
    return measure_live(spec)


def _generate(spec: dict[str, Any]) -> dict[str, Any]:
    tune_process()  # as the command does
    with stage("imports"):
        import_module("dithead.cli")  # a user starts with it
        start_early()  # as the command does
        from dithead.inference.pipeline import generate
    output = Path(spec["output"])
    result = generate(spec["video"], spec["audio"], output, **spec["options"])
    return {"frames": result.frames, "bytes": output.stat().st_size}


def _first(recorder: StageRecorder, origin: float) -> float | None:
    written = recorder.moments.get("first frame written")
    return None if written is None else written - origin


def _stages(recorder: StageRecorder, native: dict[str, float], total: float) -> dict[str, dict[str, float]]:
    """Calls, seconds and processor seconds by stage; then threads of libraries, and all that no stage names."""
    found: dict[str, dict[str, float]] = {}
    for span in recorder.spans:
        each = found.setdefault(span.stage, {"calls": 0, "seconds": 0.0, "core_seconds": 0.0})
        each["calls"] += 1
        each["seconds"] += span.own_seconds
        each["core_seconds"] += span.own_cpu
    for name, cpu in native.items():
        label = f"threads {_kind(name)}"
        found.setdefault(label, {"calls": 0, "seconds": 0.0, "core_seconds": 0.0})["core_seconds"] += cpu
    rest = total - sum(each["core_seconds"] for each in found.values())
    return found | {"(unnamed)": {"calls": 0, "seconds": 0.0, "core_seconds": rest}}


def _kind(name: str) -> str:
    """A thread's name without its number: FFmpeg calls the first of its decoders ``av:h264:df0``."""
    return name.rstrip("0123456789") or name


def timeline(
    recorder: StageRecorder, threads: ThreadSampler, origin: float, seconds: float, bins: int = 600
) -> dict[str, Any]:
    """Return what every thread and every core did in equal parts of the time.

    Args:
        recorder: The stages.
        threads: The samples of the threads.
        origin: ``time.perf_counter`` when the process was started.
        seconds: How long it ran.
        bins: How many parts.

    Returns:
        ``seconds``, and under ``threads`` and ``cores`` a list of stage names for each, None where it did nothing.
    """
    width = seconds / bins
    lanes: dict[int, list[dict[str, float]]] = {}
    for span in recorder.spans:
        lane = lanes.setdefault(span.thread, [{} for _ in range(bins)])
        first, last = (min(bins - 1, max(0, int((t - origin) / width))) for t in (span.begin, span.end))
        share = span.own_seconds / (last - first + 1)
        for k in range(first, last + 1):
            lane[k][span.stage] = lane[k].get(span.stage, 0.0) + share
    chosen = {thread: [max(b, key=b.__getitem__) if b else None for b in lane] for thread, lane in lanes.items()}
    cores = _core_lanes(chosen, threads, origin, width, bins)
    return {"seconds": seconds, "threads": {str(k): lane for k, lane in chosen.items()}, "cores": cores}


def _core_lanes(
    lanes: dict[int, list[str | None]], threads: ThreadSampler, origin: float, width: float, bins: int
) -> dict[str, list[str | None]]:
    most: dict[int, list[tuple[float, str | None]]] = {}
    for thread, samples in threads.samples.items():
        for before, after in pairwise(samples):
            used = after.cpu - before.cpu
            if used <= 0:
                continue
            core = most.setdefault(after.core, [(0.0, None)] * bins)
            first, last = (min(bins - 1, max(0, int((s.time - origin) / width))) for s in (before, after))
            for k in range(first, last + 1):
                what = lanes[thread][k] if thread in lanes else _kind(threads.names[thread])
                if used > core[k][0]:
                    core[k] = (used, what)
    return {str(core): [what for _, what in lane] for core, lane in sorted(most.items())}


if __name__ == "__main__":
    main(*sys.argv[1:])
