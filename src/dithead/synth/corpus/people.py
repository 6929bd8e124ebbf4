"""A corpus of synthetic people: one folder a person, each clip with the truth beside it.

Clip ``i`` of seed ``s`` depends on (s, i) alone, so any number of workers, on this machine or a cluster, makes the
same corpus, and running the same command again makes only what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from dithead.engine import Engine, map_tasks
from dithead.errors import ConfigError, DataError, MediaError, OutputError
from dithead.synth.corpus.clip_files import RECORD, write_take
from dithead.synth.corpus.realism import ONE_PERSON, ONE_VOICE, known, leave_out
from dithead.synth.corpus.recordings import LANGUAGE, Recording, find_recordings, licence_of, read_recording
from dithead.synth.corpus.take import Take
from dithead.synth.corpus.talking_clip import LANGUAGES, Script, loudness, recorded_script, sample_voice, write_script
from dithead.synth.face.motion import sample_motion
from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.head.identity import Identity, sample_identity
from dithead.synth.person.person import Person
from dithead.synth.scene.renderer import Stage
from dithead.synth.scene.setting import sample_setting
from dithead.synth.skin.paint import luminance
from dithead.synth.skin.real_skins import make_skins, skin_names, skin_of_person, wear_skin
from dithead.synth.skin.skin_record import SKINS_FOLDER
from dithead.synth.skin.views import Footage
from dithead.synth.voice.pitch import sounds_male

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
    rest: bool = False
    without: tuple[str, ...] = ()
    speech: str | None = None
    skins: tuple[str, ...] = ()  # whose real skins are worn
    skins_from: str = ""  # and where those come from, under which licence

    @property
    def frames(self) -> int:
        """Of each clip; 0: as many as its recording has."""
        return round(self.seconds * self.fps)

    @property
    def source(self) -> dict[str, str]:
        """Where pictures and sound come from, and under which licence."""
        source, licence = SOURCE, LICENCE
        if self.speech is not None:
            source = "dithead synth (MakeHuman CC0 head, given recordings)"
            licence += f"; sound: {licence_of(Path(self.speech))}"
        return {"source": source, "licence": licence + (f"; skin: {self.skins_from}" if self.skins else "")}


@dataclass(frozen=True)
class Task:
    """One clip to make: its number, and what is spoken in it where recordings are given."""

    index: int
    recording: Path | None


@dataclass(frozen=True)
class CorpusResult:
    """How many clips the folder now holds and how many this call made."""

    output: Path
    clips: int
    made: int


def synth_corpus(
    count: int | None,
    output: str | Path,
    *,
    head_model: str | Path,
    seed: int = 0,
    size: int = 288,
    seconds: float | None = None,
    fps: int = 25,
    workers: int = 1,
    engine: Engine = "local",
    identity: str | Path | None = None,
    language: str | None = None,
    labels: bool = False,
    rest: bool = False,
    without: Collection[str] = (),
    speech: str | Path | None = None,
    skin_from: Sequence[Footage] = (),
    progress: Callable[[int, int], None] | None = None,
) -> CorpusResult:
    """Write ``count`` talking clips under ``output/PERSON/``: clip.mp4, truth.npz, identity.json and clip.json each.

    head_model: folder of the parametric head.  seed: of the whole corpus.  size: of the square picture, pixels.
    seconds: of each clip, 3 by default.  speech: a folder of recordings to speak instead, in turn (see `recorded`);
    clips are then as long as those, and as many, where ``seconds`` and ``count`` are None.
    engine: where the ``workers`` are, processes of this machine or a Ray cluster that sees both folders.
    identity: a JSON record that replaces the random people.  language: an espeak-ng language instead of a mix.
    labels: also write what each pixel shows (lips, teeth, tongue, skin, hair, ...) into truth.npz.
    rest: also write ``.rest.mp4``, the same pictures with the mouth at rest (hidden, so that it is no clip).
    without: features of realism to leave out, see `features.FEATURES`.
    skin_from: clips of a prepared dataset whose people's skins are worn in turn (`skin_source`); their licences hold.
    progress is called with (clips there, count).  Raises DataError, ConfigError or OutputError.
    """
    options = Options(str(head_model), seed, size, _seconds(seconds, speech), fps, str(identity) if identity else None,
                      language, labels, rest, known(without), str(speech) if speech else None,
                      *skin_names(skin_from))  # fmt: skip
    if count is None and speech is not None:
        count = len(find_recordings(Path(speech)))
    if count is None or count < 1:
        raise ConfigError("say how many clips, one or more, as in: dithead synth 200 -o CORPUS --head-model HEAD")
    _check(options, seconds, workers)
    root = Path(output)
    _claim(root, options)
    if skin_from:
        make_skins(skin_from, root, _body(str(head_model)))
    spoken = find_recordings(Path(speech).absolute()) if speech else [None]
    tasks = [Task(i, spoken[i % len(spoken)]) for i in range(count)]
    missing = [task for task in tasks if not (root / name_of(task.index) / RECORD).is_file()]
    done = count - len(missing)
    for _ in _run(missing, options, root, workers, engine):
        done += 1
        if progress:
            progress(done, count)
    return CorpusResult(root, count, len(missing))


def _seconds(wanted: float | None, speech: object) -> float:
    return wanted if wanted is not None else 3.0 if speech is None else 0.0


def _check(options: Options, seconds: float | None, workers: int) -> None:
    """Fail before anything is written."""
    empty = options.frames < 1 and (options.speech is None or seconds is not None)
    if options.size < 64 or options.size % 2 or options.fps < 1 or empty or workers < 1:
        raise ConfigError("workers, fps and seconds must be positive, and size an even number of at least 64")
    if options.speech is not None:
        if odd := {"voices", "microphone"} & set(options.without):
            raise ConfigError(f"given recordings are used as they are: --without {min(odd)} does not go with --speech")
        find_recordings(Path(options.speech))
    elif options.language is not None and options.language not in LANGUAGES:
        raise ConfigError(f"no sentences in {options.language!r}; there are some in {', '.join(LANGUAGES)}")
    load_head(options.head_model)
    if options.identity is not None:
        Identity.load(options.identity)


def name_of(index: int) -> str:
    """The folder of person ``index``."""
    return f"synth_{index:06d}"


def _claim(root: Path, options: Options) -> None:
    """Make the folder, or check that the one there was made with the same options."""
    config = root / "config.json"
    try:
        root.mkdir(parents=True, exist_ok=True)
        if config.is_file() and _stored(config) != json.loads(json.dumps(asdict(options))):
            raise ConfigError(f"{root} holds a corpus made with other options; choose another folder")
        _replace(config, asdict(options) | options.source)
        _replace(root / "SOURCES.json", {".": options.source})
    except OSError as error:
        raise OutputError(f"{root}: cannot write there ({error.strerror or error})") from error


def _stored(config: Path) -> dict[str, Any]:
    """The options a corpus was begun with; those it does not know of have their defaults."""
    try:
        record = json.loads(config.read_text("utf-8"))
        names = [field.name for field in fields(Options)]
        return json.loads(json.dumps(asdict(Options(**{k: record[k] for k in names if k in record}))))  # type: ignore[no-any-return]
    except (ValueError, TypeError) as error:
        raise DataError(f"{config}: cannot be understood ({error}); choose another folder") from None


def _replace(path: Path, record: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", "utf-8")
    part.replace(path)


def _run(tasks: list[Task], options: Options, root: Path, workers: int, engine: Engine) -> Iterator[int]:
    """Make the clips and yield each one's number; clips that cannot be made are told of after all others."""
    here = _absolute(options)
    do = partial(make_clip, options=here, root=root.absolute())
    failed: list[str] = []
    for position, result in map_tasks(do, tasks, engine=engine, workers=max(1, min(workers, len(tasks)))):
        if isinstance(result, DataError | MediaError):
            failed.append(f"{name_of(tasks[position].index)}: {result}")
        elif isinstance(result, Exception):
            raise result
        else:
            yield result
    if failed:
        raise DataError(f"{len(failed)} of {len(tasks)} clips were not made, among them {failed[0]}")


def _absolute(options: Options) -> Options:
    """The same with whole paths: a cluster's workers start in other folders."""
    identity = options.identity and str(Path(options.identity).absolute())
    speech = options.speech and str(Path(options.speech).absolute())
    head = str(Path(options.head_model).absolute())
    return replace(options, head_model=head, identity=identity, speech=speech)


@lru_cache(maxsize=1)
def _body(head_model: str) -> Body:
    return Body(load_head(head_model))


@lru_cache(maxsize=1)
def _stage(size: int) -> Stage:
    return Stage(size, size, supersample=1.15)


def plan_take(task: Task, options: Options, body: Body, skins: Path) -> Take:
    """A clip before anything of it is drawn; ``skins``: the folder of real skins, where any are worn."""
    index = task.index
    rng = np.random.default_rng([options.seed, index])
    person_seed = int(np.random.default_rng([options.seed, index, 1]).integers(2**31))
    recording = read_recording(task.recording, options.language or LANGUAGE) if task.recording else None
    who = _who(person_seed, options, body, recording)
    worn = skin_of_person(skins, options.skins, index)
    if worn and not who.photo:  # an identity from a file may bring its own
        who = wear_skin(who, worn)
    setting = sample_setting(person_seed, tone=luminance(who.tone))
    script = _script(recording, rng, who, options)
    frames = len(script.controls)
    level = loudness(script.wave, frames, options.fps)
    motion = sample_motion(rng, frames, options.fps, level, handheld=setting.handheld)
    quality = float(np.random.default_rng([options.seed, index, 2]).uniform(10, 26))  # as cameras and sites compress
    return leave_out(Take(Person(body, who, skins), setting, script, motion, rng, quality=quality), options.without)


def _script(recording: Recording | None, rng: np.random.Generator, who: Identity, options: Options) -> Script:
    if recording is not None:
        return recorded_script(recording, rng, options.frames, options.fps)
    voice = sample_voice(rng, who.male, options.language, who.age)
    if "voices" in options.without:
        voice = ONE_VOICE
    return write_script(rng, voice, options.frames, options.fps)


def _who(seed: int, options: Options, body: Body, recording: Recording | None) -> Identity:
    if options.identity:
        return Identity.load(options.identity)
    man = sounds_male(recording.speech.wave, recording.speech.rate) if recording else None
    return sample_identity(ONE_PERSON if "people" in options.without else seed, body.head.key_names, man)


def make_clip(task: Task, options: Options, root: Path) -> int:
    """Render and write one clip; clip.json comes last and marks it complete."""
    take = plan_take(task, options, _body(options.head_model), root / SKINS_FOLDER)
    pictures = take.perform(_stage(options.size), labels=options.labels, rest=options.rest)
    folder = root / name_of(task.index)
    try:
        write_take(folder, take, pictures, options.fps, _record(task, options, take))
    except OSError as error:
        raise OutputError(f"{folder}: cannot write ({error.strerror or error}); run again to go on") from error
    return task.index


def _record(task: Task, options: Options, take: Take) -> dict[str, object]:
    script, setting, who = take.script, take.setting, take.person.identity
    spoken: dict[str, object] = {"voice": asdict(script.voice)} if script.voice else {}
    if task.recording is not None and options.speech is not None:
        spoken = {"recording": task.recording.absolute().relative_to(options.speech).as_posix()}
    return {
        "id": name_of(task.index), "identity": name_of(task.index), **options.source,
        "seed": options.seed, "index": task.index, "frames": len(script.controls), "fps": options.fps,
        **spoken, "text": script.text,
        "phonemes": [[p.ipa, round(p.start, 4), round(p.end, 4)] for p in script.phonemes],
        "person": who.seed, "skin": who.photo,
        "distance": round(setting.distance, 3), "height": round(setting.height, 3),
    }  # fmt: skip
