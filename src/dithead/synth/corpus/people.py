"""Make a corpus of synthetic people who talk: one folder per person, each with a clip and its ground truth.

Clip ``i`` of seed ``s`` depends on (s, i) alone. Any number of workers, on this machine or on a cluster, therefore
makes the same corpus, and running the same command again makes only what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from dithead.engine import map_tasks
from dithead.errors import ConfigError, DataError, MediaError, OutputError
from dithead.media.files import Seal
from dithead.synth.corpus.clip_credentials import rendering_seal
from dithead.synth.corpus.clip_files import RECORD, script_record, write_take
from dithead.synth.corpus.difficulties import captioned, painted, turned
from dithead.synth.corpus.options import SynthOptions
from dithead.synth.corpus.realism import ONE_PERSON, ONE_VOICE, check_features, leave_out
from dithead.synth.corpus.recipe import CorpusRecipe, check_options
from dithead.synth.corpus.recordings import DEFAULT_LANGUAGE, Recording, find_recordings, read_recording
from dithead.synth.corpus.script import ClipTiming, Script, frame_loudness, recorded_script, write_script
from dithead.synth.corpus.take import Take
from dithead.synth.face.motion import sample_motion
from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.head.identity import Identity, sample_identity
from dithead.synth.person.person import Person
from dithead.synth.scene.renderer import Renderer
from dithead.synth.scene.setting import sample_setting
from dithead.synth.skin.paint import luminance
from dithead.synth.skin.real_skins import make_skins, skin_names, skin_of_person, wear_skin
from dithead.synth.skin.skin_record import SKINS_FOLDER
from dithead.synth.skin.views import Footage
from dithead.synth.voice.pitch import sounds_male
from dithead.synth.voice.random_voice import random_voice

_SUPERSAMPLE = 1.15  # small, because most of the time goes into drawing; our choice
_QUALITY = (10, 26)  # range of the crf of H.264, as cameras and video sites compress; our choice


@dataclass(frozen=True)
class ClipTask:
    """One clip to make: its number, and what is spoken in it where recordings are given."""

    index: int
    recording: Path | None


@dataclass(frozen=True)
class CorpusResult:
    """How many clips the folder now holds and how many this call made."""

    output: Path
    clips: int
    made: int
    credentials: bool = True  # whether those made are signed


def synth_corpus(
    count: int | None,
    output: str | Path,
    options: SynthOptions,
    *,
    skin_from: Sequence[Footage] = (),
    progress: Callable[[int, int], None] | None = None,
) -> CorpusResult:
    """Write talking clips as ``output/PERSON/{clip.mp4, truth.npz, identity.json, clip.json}``.

    Args:
        count: How many clips there shall be, each of another person; None makes one clip per recording.
        output: Folder of the corpus. If it holds clips of the same recipe, only the missing ones are made.
        options: What is made, and by how many workers. A cluster must see the folders of the output, of the head model
            and of the recordings.
        skin_from: Clips of a prepared dataset whose people's skins are worn in turn; their licences hold.
        progress: Is called with (clips that are there, count).

    Returns:
        How many clips there are and how many are new.

    Raises:
        ConfigError: An option is out of range, or the folder holds a corpus of another recipe.
        DataError: The head model or the recordings cannot be read, or some clips could not be made.
        OutputError: The folder cannot be written.
    """
    recipe = CorpusRecipe(replace(options, without=check_features(options.without)), *skin_names(skin_from))
    if count is None and options.speech is not None:
        count = len(find_recordings(options.speech))
    if count is None or count < 1:
        raise ConfigError("say how many clips, one or more, as in: dithead synth 200 -o CORPUS")
    check_options(options)
    root = Path(output)
    _claim_folder(root, recipe)
    if skin_from:
        make_skins(skin_from, root, _body(options.head_model))
    missing = missing_clips(count, root, options.speech)
    if progress:
        progress(count - len(missing), count)
    for done, _ in enumerate(_make_clips(missing, recipe, root), start=count - len(missing) + 1):
        if progress:
            progress(done, count)
    return CorpusResult(root, count, len(missing), options.credentials)


def missing_clips(count: int, root: Path, speech: Path | None) -> list[ClipTask]:
    """List the clips of a corpus that are not there yet.

    They speak the recordings in turn. Where recordings were added since, those that no clip speaks yet come first.

    Args:
        count: How many clips there shall be.
        root: Folder of the corpus.
        speech: Folder of the recordings, if there are any.
    """
    records = [root / name_of(i) / RECORD for i in range(count)]
    made = {i: record for i, record in enumerate(records) if record.is_file()}
    missing = [i for i in range(count) if i not in made]
    if speech is None:
        return [ClipTask(i, None) for i in missing]
    folder = speech.absolute()
    names = {path.relative_to(folder).as_posix(): path for path in find_recordings(folder)}
    in_turn = list(islice(cycle(names), count))
    spoken = {i: json.loads(record.read_text("utf-8")).get("recording") for i, record in made.items()}
    known = set(spoken.values())
    were_added = any(in_turn[i] != name for i, name in spoken.items())
    first = (name for name in names if were_added and name not in known)
    return [ClipTask(i, names[next(first, in_turn[i])]) for i in missing]


def name_of(index: int) -> str:
    """Return the name of the folder of person ``index``."""
    return f"synth_{index:06d}"


def _claim_folder(root: Path, recipe: CorpusRecipe) -> None:
    """Make the folder and write the recipe, or check that the corpus in it has the same recipe."""
    config = root / "config.json"
    try:
        root.mkdir(parents=True, exist_ok=True)
        if config.is_file() and _read_recipe(config).record() != recipe.record():
            raise ConfigError(f"{root} holds a corpus made with other options; choose another folder")
        _write_json(config, recipe.record() | recipe.source)
        _write_json(root / "SOURCES.json", {".": recipe.source})
    except OSError as error:
        raise OutputError(f"{root}: cannot write there ({error.strerror or error})") from error


def _read_recipe(config: Path) -> CorpusRecipe:
    try:
        return CorpusRecipe.from_record(json.loads(config.read_text("utf-8")))
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{config}: cannot be understood ({error}); choose another folder") from None


def _write_json(path: Path, record: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", "utf-8")
    part.replace(path)


def _make_clips(tasks: list[ClipTask], recipe: CorpusRecipe, root: Path) -> Iterator[int]:
    """Make the clips and yield the number of each; clips that cannot be made are reported after all others."""
    options = recipe.options
    make = partial(make_clip, recipe=replace(recipe, options=options.with_absolute_paths()), root=root.absolute())
    workers = max(1, min(options.workers, len(tasks)))
    failures: list[str] = []
    for position, result in map_tasks(make, tasks, engine=options.engine, workers=workers):
        if isinstance(result, DataError | MediaError):
            failures.append(f"{name_of(tasks[position].index)}: {result}")
        elif isinstance(result, Exception):
            raise result
        else:
            yield result
    if failures:
        raise DataError(f"{len(failures)} of {len(tasks)} clips were not made, among them {failures[0]}")


@lru_cache(maxsize=1)
def _body(head_model: Path | None) -> Body:
    return Body(load_head(head_model))


@lru_cache(maxsize=1)
def _renderer(size: int) -> Renderer:
    return Renderer(size, size, supersample=_SUPERSAMPLE)


def plan_take(task: ClipTask, recipe: CorpusRecipe, body: Body, skins: Path) -> Take:
    """Draw everything about a clip but its pictures.

    Args:
        task: Number and recording of the clip.
        recipe: The corpus's options and skins.
        body: The head model.
        skins: Folder of the real skins, where any are worn.

    Returns:
        The take, ready to be rendered.
    """
    options, index = recipe.options, task.index
    rng = np.random.default_rng([options.seed, index])
    person_seed = int(np.random.default_rng([options.seed, index, 1]).integers(2**31))
    recording = read_recording(task.recording, options.language or DEFAULT_LANGUAGE) if task.recording else None
    identity = _choose_identity(person_seed, options, body, recording)
    skin = skin_of_person(skins, recipe.skins, index)
    if skin and not identity.photo:  # an identity from a file may bring its own
        identity = wear_skin(identity, skin)
    setting = sample_setting(person_seed, tone=luminance(identity.tone))
    script = _write_script(recording, rng, identity, options)
    frames = len(script.mouth)
    level = frame_loudness(script.wave, frames, options.fps)
    motion = sample_motion(rng, frames, options.fps, level, handheld=setting.handheld)
    quality = float(np.random.default_rng([options.seed, index, 2]).uniform(*_QUALITY))
    take = Take(Person(body, identity, skins), setting, script, motion, rng, quality=quality)
    take = turned(take, options.turn) if options.turn else take
    return leave_out(painted(take, body) if options.makeup else take, options.without)


def _write_script(
    recording: Recording | None, rng: np.random.Generator, identity: Identity, options: SynthOptions
) -> Script:
    if recording is not None:
        return recorded_script(recording, rng, options.frames, options.fps)
    voice = random_voice(rng, identity.male, options.language, identity.age)
    if "voices" in options.without:
        voice = ONE_VOICE
    return write_script(rng, voice, ClipTiming(options.frames, options.fps))


def _choose_identity(seed: int, options: SynthOptions, body: Body, recording: Recording | None) -> Identity:
    """The given person, or a random one who has the sex that the recording's pitch suggests."""
    if options.identity:
        return Identity.load(options.identity)
    man = sounds_male(recording.utterance.wave, recording.utterance.rate) if recording else None
    return sample_identity(ONE_PERSON if "people" in options.without else seed, body.head.key_names, man)


def make_clip(task: ClipTask, recipe: CorpusRecipe, root: Path) -> int:
    """Render and write one clip.

    Args:
        task: Number and recording of the clip.
        recipe: The corpus's options and skins.
        root: Folder of the corpus.

    Returns:
        The clip's number.

    Raises:
        DataError, MediaError: The recording, or what lies beside it, cannot be used.
        OutputError: The clip cannot be written.
    """
    options = recipe.options
    take = plan_take(task, recipe, _body(options.head_model), root / SKINS_FOLDER)
    frames = take.render(_renderer(options.size), labels=options.labels, rest=options.rest)
    frames = captioned(frames, take.person.identity.seed) if options.captions else frames
    folder = root / name_of(task.index)
    try:
        write_take(folder, take, frames, options.fps, _record(task, recipe, take), _seal(task, take, options))
    except OSError as error:
        raise OutputError(f"{folder}: cannot write ({error.strerror or error}); run again to go on") from error
    return task.index


def _seal(task: ClipTask, take: Take, options: SynthOptions) -> Seal | None:
    """What signs the videos of a clip, and says whether a real person lent it their voice or skin."""
    real_parts = task.recording is not None or bool(take.person.identity.photo)
    return rendering_seal(real_parts=real_parts, enabled=options.credentials)


def _record(task: ClipTask, recipe: CorpusRecipe, take: Take) -> dict[str, object]:
    """The content of clip.json."""
    script, setting, identity, options = take.script, take.setting, take.person.identity, recipe.options
    speaker: dict[str, object] = {"voice": asdict(script.voice)} if script.voice else {}
    if task.recording is not None and options.speech is not None:
        speaker = {"recording": task.recording.absolute().relative_to(options.speech).as_posix()}
    return {
        "id": name_of(task.index), "identity": name_of(task.index), **recipe.source,
        "seed": options.seed, "index": task.index, "frames": len(script.mouth), "fps": options.fps,
        **speaker, **script_record(script),
        "person": identity.seed, "skin": identity.photo,
        "distance": round(setting.distance, 3), "height": round(setting.height, 3),
    }  # fmt: skip
