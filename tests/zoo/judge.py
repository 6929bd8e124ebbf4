"""Runs the main job on one odd file and judges the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dithead.errors import DitheadError
from dithead.inference.pipeline import generate
from dithead.media.audio import write_audio
from dithead.media.video import probe, read_frames
from zoo import defects, films, pictures, reports, sounds
from zoo.material import Case, Film, corner_errors, frames, tone

CASES: list[Case] = [*films.CASES, *pictures.CASES, *sounds.CASES, *defects.CASES, *reports.CASES]
FAST = CASES[::3]
"""What CI runs."""


@dataclass(frozen=True)
class Verdict:
    """What came of a file; ``wrong`` is empty where it is as it should be."""

    name: str
    outcome: str
    wrong: str = ""


def judge(case: Case, talker: Any, folder: Path) -> Verdict:
    """Make the file, run ``generate`` on it, and compare the result with what it must be.

    Args:
        case: The file.
        talker: The model.
        folder: An empty folder.
    """
    made, output = case.make(folder), folder / "out.mkv"
    speech, face = folder / "speech.wav", folder / "face.mkv"
    if case.role == "video":
        write_audio(speech, tone(0.5, 16000)[0], 16000)
        inputs = made, speech
    else:
        Film("ffv1").write(face, [*frames()] * 2)
        inputs = face, made
    fit = "silence" if case.role == "video" else "freeze"
    try:
        result = generate(*inputs, output, model=talker, fit=fit, device="cpu", batch=4, crf=6)
    except DitheadError as error:
        line = str(error)
        one_line = len(line.splitlines()) == 1 and not output.exists()
        good = case.says and case.says in line and one_line
        return Verdict(
            case.name, "refused: " + line.split(":", 1)[-1].strip()[:90], "" if good else f"says: {line[:200]}"
        )
    if case.says:
        return Verdict(case.name, f"{result.frames} frames", f"accepted, but '{case.says}' was expected")
    problems = _problems_of_sound(case, output) if case.role == "audio" else _problems_of_picture(case, output, result)
    return Verdict(
        case.name, f"{result.frames} frames" + "".join(f"; {n}" for n in result.notes)[:110], "; ".join(problems)
    )


def _problems_of_sound(case: Case, output: Path) -> list[str]:
    frames_wanted = max(8, round(case.seconds * 25))
    count = sum(1 for _ in read_frames(output))
    return [] if abs(count - frames_wanted) <= 2 else [f"{count} frames for {case.seconds} s of sound"]


def _problems_of_picture(case: Case, output: Path, result: Any) -> list[str]:
    shown = list(read_frames(output))
    problems = []
    if case.frames is not None and len(shown) != case.frames:
        problems.append(f"{len(shown)} frames instead of {case.frames}")
    times = tuple(k / 25 for k in range(len(shown))) if case.times is None else case.times
    if times and len(times) == len(shown):
        late = float(np.abs(np.array([f.time for f in shown]) - times).max())
        problems += [f"time stamps off by {late:.3f} s"] if late > 0.012 else []
    info = probe(output)
    if (info.width, info.height) != case.size:
        problems.append(f"{info.width}x{info.height} instead of {case.size}")
    elif case.corners:
        worst = {name: e for f in shown for name, e in corner_errors(f.pixels).items() if e > case.tolerance}
        problems += [f"{name} off by {e:.0f} levels" for name, e in worst.items()]
    if case.note and not any(case.note in note for note in result.notes):
        problems.append(f"no note about '{case.note}'")
    return problems
