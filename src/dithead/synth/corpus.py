"""A corpus of synthetic people: one folder a person, each clip with the truth beside it.

Clip ``i`` of seed ``s`` depends on (s, i) alone, so any number of workers makes the same corpus, and running the
same command again makes only what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from dithead.errors import ConfigError, OutputError
from dithead.media.info import VideoInfo
from dithead.media.writer import VideoWriter
from dithead.synth.assets import load_head
from dithead.synth.body import Body
from dithead.synth.clip import LANGUAGES, Script, loudness, perform, sample_voice, write_script
from dithead.synth.identity import Identity, sample_identity
from dithead.synth.motion import Motion, sample_motion
from dithead.synth.person import Person
from dithead.synth.render import Stage
from dithead.synth.scene import Setting, sample_setting
from dithead.synth.skin import luminance
from dithead.synth.sound import RATE
from dithead.synth.truth import Moment, stack

LICENCE = "CC0-1.0"
SOURCE = "dithead synth (MakeHuman CC0 head, espeak-ng voice)"


@dataclass(frozen=True)
class Options:
    """What `synth_corpus` makes; recorded in the corpus's config.json."""

    head_model: str
    seed: int = 0
    size: int = 288
    seconds: float = 3.0
    fps: int = 25
    identity: str | None = None
    language: str | None = None
    labels: bool = False

    @property
    def frames(self) -> int:
        return round(self.seconds * self.fps)


@dataclass(frozen=True)
class CorpusResult:
    """How many clips the folder now holds and how many this call made."""

    output: Path
    clips: int
    made: int


def synth_corpus(
    count: int,
    output: str | Path,
    *,
    head_model: str | Path,
    seed: int = 0,
    size: int = 288,
    seconds: float = 3.0,
    fps: int = 25,
    workers: int = 1,
    identity: str | Path | None = None,
    language: str | None = None,
    labels: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CorpusResult:
    """Write ``count`` talking clips under ``output/PERSON/``: clip.mp4, truth.npz and clip.json each.

    head_model: folder of the parametric head.  seed: of the whole corpus.  size: of the square picture, pixels.
    identity: a JSON record that replaces the random people.  language: an espeak-ng language instead of a mix.
    labels: also write what each pixel shows (lips, teeth, tongue, skin, hair, ...) into truth.npz.
    progress is called with (clips there, count).  Raises DataError, ConfigError or OutputError.
    """
    options = Options(str(head_model), seed, size, seconds, fps, str(identity) if identity else None, language, labels)
    if count < 1 or size < 64 or size % 2 or options.frames < 1 or workers < 1:
        raise ConfigError("count, workers and seconds must be positive, and size an even number of at least 64")
    if language is not None and language not in LANGUAGES:
        raise ConfigError(f"no sentences in {language!r}; there are some in {', '.join(LANGUAGES)}")
    load_head(head_model)  # fail here, before anything is written
    if identity is not None:
        Identity.load(identity)
    root = Path(output)
    _claim(root, options)
    missing = [i for i in range(count) if not (root / name_of(i) / "clip.json").is_file()]
    done = count - len(missing)
    for _ in _run(missing, options, root, workers):
        done += 1
        if progress:
            progress(done, count)
    return CorpusResult(root, count, len(missing))


def name_of(index: int) -> str:
    """The folder of person ``index``."""
    return f"synth_{index:06d}"


def _claim(root: Path, options: Options) -> None:
    """Make the folder, or check that the one there was made with the same options."""
    config = root / "config.json"
    record = json.dumps(asdict(options) | {"licence": LICENCE, "source": SOURCE}, indent=1, sort_keys=True) + "\n"
    try:
        root.mkdir(parents=True, exist_ok=True)
        if config.is_file() and config.read_text() != record:
            raise ConfigError(f"{root} holds a corpus made with other options; choose another folder")
        config.write_text(record)
    except OSError as error:
        raise OutputError(f"{root}: cannot write there ({error.strerror or error})") from error


def _run(indices: list[int], options: Options, root: Path, workers: int) -> Iterator[int]:
    if workers == 1 or len(indices) < 2:
        for index in indices:
            yield make_clip(index, options, root)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(make_clip, indices, [options] * len(indices), [root] * len(indices))


@lru_cache(maxsize=1)
def _body(head_model: str) -> Body:
    return Body(load_head(head_model))


@lru_cache(maxsize=1)
def _stage(size: int) -> Stage:
    return Stage(size, size, supersample=1.15)


def make_clip(index: int, options: Options, root: Path) -> int:
    """Render and write clip ``index``; clip.json comes last and marks it complete."""
    body = _body(options.head_model)
    rng = np.random.default_rng([options.seed, index])
    person_seed = int(np.random.default_rng([options.seed, index, 1]).integers(2**31))
    who = Identity.load(options.identity) if options.identity else sample_identity(person_seed, body.head.key_names)
    person, setting = Person(body, who), sample_setting(person_seed, tone=luminance(who.tone))
    voice = sample_voice(rng, who.male, options.language)
    script = write_script(rng, voice, options.frames, options.fps)
    level = loudness(script.wave, options.frames, options.fps)
    motion = sample_motion(rng, options.frames, options.fps, level, handheld=setting.handheld)
    stage = _stage(options.size)
    person.dress(stage, setting, rng)
    folder = root / name_of(index)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        quality = float(rng.uniform(10, 26))  # as cameras and sites compress
        pictures = perform(stage, person, setting, script, motion, rng, labels=options.labels)
        moments = write_video(folder / "clip.mp4", pictures, script,
                              options.fps, quality)  # fmt: skip
        _write_truth(folder, moments, script, motion)
        who.save(folder / "identity.json")
        (folder / "clip.json").write_text(json.dumps(_record(index, options, script, who, setting), indent=1) + "\n")
    except OSError as error:
        raise OutputError(f"{folder}: cannot write ({error.strerror or error})") from error
    return index


def write_video(path: Path, moments: Iterator[Moment], script: Script, fps: int, quality: float) -> list[Moment]:
    """Encode the pictures with the script's sound; returns the moments without their pixels."""
    kept: list[Moment] = []
    first = next(moments)
    height, width = first.pixels.shape[:2]
    like = VideoInfo(width, height, Fraction(fps), color_range=1, color_space=1, color_primaries=1, color_trc=1)
    with VideoWriter(path, like, crf=quality, audio=(script.wave, RATE)) as writer:
        for moment in _chain(first, moments):
            writer.write(moment.pixels)
            kept.append(moment.without_pixels())
    return kept


def _chain(first: Moment, rest: Iterator[Moment]) -> Iterator[Moment]:
    yield first
    yield from rest


def _write_truth(folder: Path, moments: list[Moment], script: Script, motion: Motion) -> None:
    motion_truth = {"controls": script.controls, "head": motion.head}
    np.savez_compressed(folder / "truth.npz", **stack(moments), **motion_truth)  # type: ignore[arg-type]


def _record(index: int, options: Options, script: Script, who: Identity, setting: Setting) -> dict[str, object]:
    return {
        "id": name_of(index), "identity": name_of(index), "source": SOURCE, "licence": LICENCE,
        "seed": options.seed, "index": index, "frames": options.frames, "fps": options.fps,
        "voice": asdict(script.voice), "text": script.text,
        "phonemes": [[p.ipa, round(p.start, 4), round(p.end, 4)] for p in script.phonemes],
        "person": who.seed, "distance": round(setting.distance, 3), "height": round(setting.height, 3),
    }  # fmt: skip
