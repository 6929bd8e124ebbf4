"""Describes what requests and responses hold; the OpenAPI description and the typed client follow from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from dithead.serve.patterns import ID, LINE, NAME, PLACE

State = Literal["queued", "running", "cancelling", "done", "failed", "cancelled"]
OPEN_STATES = ("queued", "running", "cancelling")
"""States of a job that has not ended."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NAME)]
"""A name that a client gives a file or a job: one line, without a slash."""
Line = Annotated[str, StringConstraints(max_length=2000, pattern=LINE)]
Id = Annotated[str, StringConstraints(pattern=ID)]
Place = Annotated[str, StringConstraints(pattern=PLACE)]
"""A place in the list of jobs: the id of a job, or its time and its id, which hold when it is deleted."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FileReference(_Strict):
    """A file: an upload by its id, or a file of an allowed folder as FOLDER/FILE."""

    upload: Id | None = Field(None, description="Id of an upload that has come whole.")
    file: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = Field(
        None, description="FOLDER/FILE, where FOLDER is the name of a folder that the server allows."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> FileReference:
        if (self.upload is None) == (self.file is None):
            raise ValueError("give either upload or file")
        return self


class JobRequest(_Strict):
    """A video to be made: whose face, what is said, and how."""

    video: FileReference = Field(description="A video, or a picture, of the person.")
    audio: FileReference | None = Field(
        None, description="The speech: an audio file, or a video's sound. Speakers with speech of their own need none."
    )
    speakers: dict[Annotated[str, StringConstraints(pattern=r"^[1-9]\d?$")], FileReference] = Field(
        default_factory=dict,
        max_length=20,
        description="Speech of its own for each numbered face; heard is the audio, or their mix where none is given.",
    )
    background_sound: FileReference | Literal["source"] | None = Field(
        None, description="Sound under the speech, such as music: a file, or `source`, the video's own sound."
    )
    consent: Literal[True] = Field(
        description="The person shown and the speaker have agreed to this video; nothing is made without it."
    )
    consent_statement: Line | None = Field(
        None,
        description="Who agreed to what, in one line; it goes into the video's credentials, where anyone reads it.",
    )
    name: Name | None = Field(None, description="What the job is called, and its file when it is downloaded.")
    webhook: Annotated[str, StringConstraints(max_length=500)] | None = Field(
        None, description="Address that is called when the job ends; its host must be allowed by the server."
    )

    @model_validator(mode="after")
    def _has_speech(self) -> JobRequest:
        if self.audio is None and not self.speakers:
            raise ValueError("give audio, or speakers with speech of their own")
        return self


class LiveRequest(_Strict):
    """A live conversation: who is seen, and what the speech is."""

    session: Id | None = Field(None, description="A conversation to come back to; everything else is then left out.")
    video: FileReference | None = Field(None, description="A video, or a picture, of the person.")
    consent: bool = Field(
        False, description="The person shown and the speaker have agreed; nobody speaks without it being true."
    )
    rate: int = Field(
        16000,
        ge=8000,
        le=48000,
        multiple_of=25,
        description="Samples of the speech a second, in and out.",
    )
    real_time: bool = Field(
        False, description="The speech comes from a microphone: where it is behind, its pauses are shortened."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> LiveRequest:
        if self.session is None and self.video is None:
            raise ValueError("give the video of the person, or the session to come back to")
        if self.session is None and not self.consent:
            raise ValueError("consent must be true: the person shown and the speaker have agreed")
        return self


class LiveOffer(BaseModel):
    """What WebRTC needs besides: the browser's description of its side."""

    sdp: str = Field(min_length=1, max_length=100_000, description="The offer that the browser made.")


class LiveAnswer(BaseModel):
    """The server's side of a video call."""

    session: Id = Field(description="Id of the conversation.")
    sdp: str = Field(description="The answer for the browser.")
    delay: float = Field(description="Seconds from speech to its picture and sound that the drawing needs.")


class Progress(BaseModel):
    """How far a job is."""

    stage: str = Field(description="waiting, starting, finding the face, or drawing mouths.")
    done: int = Field(description="Steps of the stage that are done.")
    total: int | None = Field(description="Steps of the stage; null when unknown.")
    fraction: float = Field(description="Share of the whole job that is done, 0 to 1.")
    seconds_left: float | None = Field(description="Estimated; null while there is nothing to estimate it from.")
    ahead: int = Field(0, description="Jobs that are taken from the queue before this one.")


class Result(BaseModel):
    """A finished video."""

    frames: int
    fps: float
    seconds: float = Field(description="How long the work took.")
    model: str
    seed: int
    faces_missed: int = Field(description="Source frames that passed through unchanged.")
    notes: list[str] = Field(description="What of the input the output lacks, one sentence each.")
    bytes: int = Field(description="Size of the file.")
    file_name: str = Field(description="Name of the file when it is downloaded.")


class JobInput(BaseModel):
    """A file that a job reads."""

    name: str
    kind: Literal["video", "picture", "audio"]
    seconds: float
    width: int
    height: int
    fps: float
    mime: str


class Job(BaseModel):
    """A video that is being made, or was."""

    id: Id
    name: str
    state: State
    created: float = Field(description="Seconds since 1970, as all times.")
    started: float | None
    finished: float | None
    expires: float | None = Field(description="When it is deleted; null until it has ended.")
    batch: Id | None
    attempts: int = Field(description="How often a worker has begun with it; more than 1 after a worker's death.")
    inputs: dict[str, JobInput] = Field(description="video, audio, and `speaker 1` and so on.")
    options: dict[str, Any] = Field(description="The options that the request set.")
    progress: Progress | None = Field(description="Null once the job has ended.")
    error: str | None = Field(description="Why it failed: the line that the command line would print.")
    result: Result | None


class JobPage(BaseModel):
    """Some of the jobs of a key, newest first."""

    jobs: list[Job]
    next: str | None = Field(description="Pass it as `before` to get those that follow; null at the end.")


class BatchItem(BaseModel):
    """What became of one job of a batch: the job, or why it was refused."""

    job: Job | None
    error: str | None


class Batch(BaseModel):
    """Several jobs that were added at once; one whose files are refused stops no other."""

    id: Id
    items: list[BatchItem]


class UploadMedia(BaseModel):
    """What an uploaded file holds, judged by its content."""

    kind: Literal["video", "picture", "audio"]
    seconds: float
    width: int
    height: int
    fps: float
    has_audio: bool
    mime: str


class Upload(BaseModel):
    """A file that is being uploaded, or was."""

    id: Id
    name: str
    size: int = Field(description="Bytes in all.")
    offset: int = Field(description="Bytes that have come; the next part begins here.")
    created: float
    expires: float
    media: UploadMedia | None = Field(description="What the file holds; null until it has come whole.")


class UploadPage(BaseModel):
    """All uploads of a key, newest first."""

    uploads: list[Upload]


class FoundFace(BaseModel):
    """A face, as the option `face` and `speakers` count it."""

    number: int
    shot: int
    time: float = Field(description="Seconds at which the shot shows it first.")
    picture: str = Field(description="Path of a thumbnail, below the server's address.")


class FaceList(BaseModel):
    """The faces of a video, shot by shot."""

    faces: list[FoundFace]


class SignIn(_Strict):
    """A key, to be exchanged for a cookie."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Session(BaseModel):
    """Who is signed in, and what is used and allowed."""

    name: str
    open_jobs: int
    max_jobs: int
    stored_bytes: int
    max_bytes: int
    webhook_secret: str = Field(description="Checks signatures of webhooks, see the how-to page.")


class Statements(BaseModel):
    """What a result's file says about its own making, in plain sentences."""

    statements: list[str]


class Readiness(BaseModel):
    """Whether the server can take and make videos."""

    ready: bool
    checks: dict[str, str] = Field(description="`ok`, or what is wrong, for database, disk and workers.")


class Info(BaseModel):
    """What this server is and takes."""

    version: str
    needs_key: bool
    models: list[str]
    folders: list[str]
    webhook_hosts: list[str]
    limits: dict[str, float]
    options: list[dict[str, Any]] = Field(
        description="Every option of a job: name, help, kind, default, range, choices."
    )


class Problem(BaseModel):
    """Why a request was not met."""

    detail: str = Field(description="One line that says what is wrong and what to do.")
