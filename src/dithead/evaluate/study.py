"""A blinded study in pairs: people say which of two videos of one clip they prefer, not knowing who made which.

``make_study`` writes a folder with a page that works without a server, the videos under names that say nothing, and
beside it, not inside it, the key. ``study_results`` joins the answers that people send back with the key.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterable, Mapping
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from dithead.errors import DataError, OutputError
from dithead.evaluate.report import write_json
from dithead.evaluate.test_clips import videos_in

QUESTION = "In which video do the lips fit the speech better?"
PLAYED = frozenset({".m4v", ".mov", ".mp4", ".ogv", ".webm"})  # by browsers
_CHOICES = ("left", "right", "same")
_Z = 1.96  # 95 %


def make_study(
    folders: Mapping[str, Path | str], output: Path | str, *, question: str = QUESTION, seed: int = 0
) -> Path:
    """Write the study of every pair of ``folders`` (name -> folder of videos) on the clips all have.

    Returns the page. The key lies beside the folder, as NAME.key.json: send the folder, keep the key.
    Raises DataError for fewer than two folders, no common clip or videos that browsers do not play, OutputError when
    ``output`` is there already.
    """
    output = Path(output)
    videos = {name: videos_in(folder) for name, folder in folders.items()}
    clips = sorted(set.intersection(*(set(v) for v in videos.values()))) if len(videos) > 1 else []
    if not clips:
        raise DataError("a study needs two folders or more with a clip name in common")
    for path in (videos[name][clip] for name in videos for clip in clips):
        if path.suffix.lower() not in PLAYED:
            raise DataError(f"{path}: browsers do not play {path.suffix}; give MP4 or WebM")
    if output.exists():
        raise OutputError(f"{output}: is there already; choose a new folder")
    rng, names = np.random.default_rng(seed), _hidden_names(videos, clips, seed)
    (output / "videos").mkdir(parents=True)
    for (name, clip), hidden in names.items():
        shutil.copyfile(videos[name][clip], output / hidden)
    trials: list[dict[str, str]] = []
    key: dict[str, dict[str, str]] = {}
    for first, second in combinations(videos, 2):
        for clip in clips:
            left, right = (first, second) if rng.random() < 0.5 else (second, first)
            trial = f"t{len(trials):04d}"
            trials.append({"id": trial, "left": names[left, clip], "right": names[right, clip]})
            key[trial] = {"clip": clip, "left": left, "right": right}
    study = hashlib.sha256(json.dumps([seed, key], sort_keys=True).encode()).hexdigest()[:12]
    page = output / "index.html"
    page.write_text(_page({"id": study, "question": question, "trials": trials}), "utf-8")
    write_json(key_path(output), {"study": study, "question": question, "trials": key})
    return page


def key_path(output: Path) -> Path:
    """Where the key of a study lies: beside its folder."""
    return output.with_name(f"{output.name}.key.json")


def study_results(output: Path | str, answers: Iterable[Path | str]) -> dict[str, Any]:
    """Win rates from answer files: ``pairs`` and, over all its pairs, each name's own.

    A tie counts half to either side; intervals are Wilson's at 95 %. An answer to a pair that could not be played is
    left out, and counted as ``broken``. Raises DataError for a file of another study or one that is no answer file.
    """
    key, broken = _read(key_path(Path(output))), 0
    wins: dict[tuple[str, str], list[float]] = {}
    for file in answers:
        content = _read(Path(file))
        if content.get("study") != key["study"]:
            raise DataError(f"{file}: answers another study; leave it out")
        for answer in content["answers"]:
            trial = key["trials"].get(answer.get("trial"))
            if trial is None or answer.get("choice") not in _CHOICES:
                raise DataError(f"{file}: damaged (trial {answer.get('trial')!r}); ask for it again")
            if answer.get("broken"):
                broken += 1
                continue
            first, second = sorted((trial["left"], trial["right"]))
            chosen = trial.get(answer["choice"])
            wins.setdefault((first, second), []).append(0.5 if chosen is None else float(chosen == first))
    pairs = [{"first": a, "second": b, **win_rate(w)} for (a, b), w in sorted(wins.items())]
    names = sorted({name for pair in wins for name in pair})
    overall = {name: win_rate(_of(name, wins)) for name in names}
    return {"study": key["study"], "pairs": pairs, "overall": overall, "broken": broken}


def win_rate(wins: list[float]) -> dict[str, Any]:
    """Share of ``wins`` (1, 0.5 or 0 each) with Wilson's 95 % interval."""
    n = len(wins)
    if n == 0:
        return {"rate": None, "ci": None, "n": 0}
    p, z2 = sum(wins) / n, _Z**2
    centre, half = (p + z2 / (2 * n)), _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n**2))
    low, high = ((centre + s * half) / (1 + z2 / n) for s in (-1, 1))
    return {"rate": p, "ci": [max(0.0, low), min(1.0, high)], "n": n}


def _of(name: str, wins: Mapping[tuple[str, str], list[float]]) -> list[float]:
    return [
        w if name == first else 1 - w for (first, second), ws in wins.items() if name in (first, second) for w in ws
    ]


def _hidden_names(videos: Mapping[str, Mapping[str, Path]], clips: list[str], seed: int) -> dict[tuple[str, str], str]:
    """(name, clip) -> relative path that tells neither; the order of the files says nothing either."""
    entries = [(name, clip) for name in videos for clip in clips]
    order = np.random.default_rng([seed, 1]).permutation(len(entries))
    return {
        entry: f"videos/{number:04d}{videos[entry[0]][entry[1]].suffix.lower()}"
        for entry, number in zip(entries, order.tolist(), strict=True)
    }


def _page(study: dict[str, Any]) -> str:
    template = files("dithead.evaluate").joinpath("study.html").read_text("utf-8")
    return template.replace("/*STUDY*/", json.dumps(study).replace("<", "\\u003c"))


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as JSON ({error})") from None
    return content
