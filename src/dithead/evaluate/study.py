"""Makes a blinded study in which people compare pairs of videos, and counts their answers.

``make_study`` writes a folder with a page that works without a server and the videos under neutral names. The key,
which says who made which video, is written next to the folder, not into it. ``study_results`` joins the answers that
people send back with the key.
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
from dithead.evaluate.evaluation_clips import list_videos
from dithead.evaluate.report import write_json
from dithead.limits import read_json

QUESTION = "In which video do the lips fit the speech better?"
BROWSER_SUFFIXES = frozenset({".m4v", ".mov", ".mp4", ".ogv", ".webm"})  # containers that browsers play
CHOICES = ("left", "right", "same")
Z95 = 1.96  # standard deviations of a normal distribution that hold 95 % of it


def make_study(
    folders: Mapping[str, Path | str], output: Path | str, *, question: str = QUESTION, seed: int = 0
) -> Path:
    """Write a study of every pair of folders on the clips that all of them have.

    Args:
        folders: Name of a tool -> its folder of videos.
        output: Folder to write and to send to people. The key is written next to it as NAME.key.json: keep it.
        question: What people are asked about every pair.
        seed: Of the order and the sides of videos.

    Returns:
        The page.

    Raises:
        DataError: There are fewer than two folders, no common clip, or videos that browsers do not play.
        OutputError: ``output`` exists.
    """
    output = Path(output)
    videos = {name: list_videos(folder) for name, folder in folders.items()}
    clips = sorted(set.intersection(*(set(v) for v in videos.values()))) if len(videos) > 1 else []
    if not clips:
        raise DataError("a study needs two folders or more with a clip name in common")
    for path in (videos[name][clip] for name in videos for clip in clips):
        if path.suffix.lower() not in BROWSER_SUFFIXES:
            raise DataError(f"{path}: browsers do not play {path.suffix}; give MP4 or WebM")
    if output.exists():
        raise OutputError(f"{output}: is there already; choose a new folder")
    rng, names = np.random.default_rng(seed), _neutral_names(videos, clips, seed)
    (output / "videos").mkdir(parents=True)
    for (name, clip), neutral in names.items():
        shutil.copyfile(videos[name][clip], output / neutral)
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
    """Return where the key of a study is: next to its folder."""
    return output.with_name(f"{output.name}.key.json")


def study_results(output: Path | str, answers: Iterable[Path | str]) -> dict[str, Any]:
    """Count the answers to a study.

    Args:
        output: The study's folder, next to which its key is.
        answers: Files that people sent back.

    Returns:
        ``pairs``, the win rate of the first of every two tools; ``overall``, the win rate of each tool over all its
        pairs; ``broken``, the number of answers to pairs that could not be played, which do not count; ``people``, the
        number of participants; and ``notes``, which name files that a participant saved twice and that count once. A
        tie counts half for either side; intervals are Wilson's at 95 %.

    Raises:
        DataError: A file answers another study, is not a file of answers, or has other answers of a participant.
    """
    key, broken = _read_key(key_path(Path(output))), 0
    people, notes = _participants(key, answers)
    wins: dict[tuple[str, str], list[float]] = {}
    for content in people:
        for answer in content["answers"]:
            if answer.get("broken"):
                broken += 1
                continue
            trial = key["trials"][answer["trial"]]
            first, second = sorted((trial["left"], trial["right"]))
            chosen = trial.get(answer["choice"])
            wins.setdefault((first, second), []).append(0.5 if chosen is None else float(chosen == first))
    pairs = [{"first": a, "second": b, **win_rate(w)} for (a, b), w in sorted(wins.items())]
    names = sorted({name for pair in wins for name in pair})
    overall = {name: win_rate(_wins_of(name, wins)) for name in names}
    counted = {"broken": broken, "people": len(people), "notes": notes}
    return {"study": key["study"], "pairs": pairs, "overall": overall, **counted}


def win_rate(wins: list[float]) -> dict[str, Any]:
    """Return the mean of ``wins`` (1, 0.5 or 0 each) with Wilson's 95 % interval."""
    n = len(wins)
    if n == 0:
        return {"rate": None, "ci": None, "n": 0}
    p, z2 = sum(wins) / n, Z95**2
    centre, half = (p + z2 / (2 * n)), Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n**2))
    low, high = ((centre + s * half) / (1 + z2 / n) for s in (-1, 1))
    return {"rate": p, "ci": [max(0.0, low), min(1.0, high)], "n": n}


def _wins_of(name: str, wins: Mapping[tuple[str, str], list[float]]) -> list[float]:
    """The answers to all pairs of a tool, from its side."""
    return [
        w if name == first else 1 - w for (first, second), ws in wins.items() if name in (first, second) for w in ws
    ]


def _neutral_names(videos: Mapping[str, Mapping[str, Path]], clips: list[str], seed: int) -> dict[tuple[str, str], str]:
    """(name, clip) -> relative path that reveals neither, by its name or by its number."""
    entries = [(name, clip) for name in videos for clip in clips]
    order = np.random.default_rng([seed, 1]).permutation(len(entries))
    return {
        entry: f"videos/{number:04d}{videos[entry[0]][entry[1]].suffix.lower()}"
        for entry, number in zip(entries, order.tolist(), strict=True)
    }


def _page(study: dict[str, Any]) -> str:
    """The page with the study in it; ``<`` is escaped, so that no text can end the script."""
    template = files("dithead.evaluate").joinpath("study.html").read_text("utf-8")
    return template.replace("/*STUDY*/", json.dumps(study).replace("<", "\\u003c"))


def _read_key(path: Path) -> dict[str, Any]:
    content = read_json(path, str(path), DataError)
    if not isinstance(content, dict) or "study" not in content or not isinstance(content.get("trials"), dict):
        raise DataError(f"{path}: is not the key of a study; put the one back that was written with its folder")
    return content


def _read_answers(file: Path, key: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a file of answers to the study of ``key``. Raises DataError where it is none."""
    content = read_json(file, str(file), DataError)
    answers = content.get("answers") if isinstance(content, dict) else None
    if not isinstance(answers, list) or not all(isinstance(answer, dict) for answer in answers):
        raise DataError(f"{file}: is no file of answers; give those that the study's page saved")
    if content.get("study") != key["study"]:
        raise DataError(f"{file}: answers another study; leave it out")
    for answer in answers:
        trial, choice = answer.get("trial"), answer.get("choice")
        if not isinstance(trial, str) or trial not in key["trials"] or choice not in CHOICES:
            raise DataError(f"{file}: damaged (trial {trial!r}); ask for it again")
    return dict(content)


def _participants(key: Mapping[str, Any], files: Iterable[Path | str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The answers of every participant once, with a note for each file that repeats another."""
    found: dict[str, dict[str, Any]] = {}
    notes = []
    for file in map(str, files):
        content = _read_answers(Path(file), key)
        earlier = next((name for name, other in found.items() if _same_person(content, other)), None)
        if earlier is None:
            found[file] = content
        elif found[earlier]["answers"] != content["answers"]:
            raise DataError(f"{file}: has other answers of the participant of {earlier}; leave one of them out")
        else:
            notes.append(f"{file} repeats the answers of {earlier}; they count once")
    return list(found.values()), notes


def _same_person(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two files are of one participant; without a name, as of earlier pages, those with equal answers are.

    The answers hold times in milliseconds, so that those of two people are not equal by chance.
    """
    if "participant" in one and "participant" in other:
        return bool(one["participant"] == other["participant"])
    return bool(one["answers"] == other["answers"])
