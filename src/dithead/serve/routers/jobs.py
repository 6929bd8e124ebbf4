"""Jobs: add one or a batch, list, watch, cancel and delete them, and get the results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.concurrency import run_in_threadpool

from dithead.errors import DitheadError
from dithead.serve.access import Caller, State
from dithead.serve.errors import ApiError, not_found
from dithead.serve.inputs import inputs_of
from dithead.serve.jobs import place_of
from dithead.serve.keys import Owner
from dithead.serve.request_options import options_model
from dithead.serve.schemas import OPEN_STATES, Batch, BatchItem, Id, Job, JobPage, JobRequest, Place, Statements
from dithead.serve.state import ServerState
from dithead.serve.storage import new_id
from dithead.serve.views import RESULT, safe_file_name

JobId = Annotated[Id, Path(description="Id of the job.")]
Idempotency = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="A name of your own for this request. Sent again with the same name, it adds nothing new.",
    ),
]
MOST_STREAMS = 200
"""Event streams that a server serves at once; who gets none polls instead (our choice)."""
LOOK, KEEP_ALIVE = 0.5, 15.0
"""Seconds between two looks at a job, and between two signs of life where nothing changes (our choice)."""
MOST_IN_BATCH = 100
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def _answer(mime: str, schema: dict[str, Any], text: str) -> dict[int | str, dict[str, Any]]:
    """The description of an answer that is no JSON."""
    return {200: {"content": {mime: schema}, "description": text}}


_EVENTS = _answer("text/event-stream", {"schema": {"type": "string"}}, "Events named `job`.")
_VIDEO = _answer("video/mp4", _BINARY, "The video.")
_FILE = _answer("*/*", _BINARY, "The file.")


def jobs_router(models: tuple[str, ...]) -> APIRouter:
    """Return the routes of jobs for a server that offers these models; requests are checked against its options."""
    options = options_model(models)
    body: Any = create_model(
        "NewJob", __base__=JobRequest, __doc__=JobRequest.__doc__, options=(options, Field(default_factory=options))
    )
    jobs = (list[body], Field(min_length=1, max_length=MOST_IN_BATCH))
    batch: Any = create_model("NewBatch", __config__=ConfigDict(extra="forbid"), jobs=jobs)
    router = APIRouter(prefix="/v1", tags=["jobs"])
    for function, kind in ((create_job, body), (create_batch, batch)):
        function.__annotations__["body"] = kind
    router.post("/jobs", status_code=201, response_model=Job)(create_job)
    router.post("/batches", status_code=201)(create_batch)
    router.get("/jobs")(list_jobs)
    router.get("/jobs/{job_id}")(get_job)
    router.delete("/jobs/{job_id}", status_code=204)(delete_job)
    router.post("/jobs/{job_id}/cancel")(cancel_job)
    router.get("/jobs/{job_id}/events", response_class=StreamingResponse, responses=_EVENTS)(watch_job)
    router.get("/jobs/{job_id}/result", response_class=FileResponse, responses=_VIDEO)(get_result)
    router.get("/jobs/{job_id}/files/{role}", response_class=FileResponse, responses=_FILE)(get_file)
    router.get("/jobs/{job_id}/credentials")(get_credentials)
    return router


def create_job(state: State, owner: Caller, body: BaseModel, response: Response, key: Idempotency = None) -> Job:
    """Add a job to the queue. A repetition with the same `Idempotency-Key` returns the first job, with status 200."""
    job, is_new = _create(state, owner, body, batch=None, key=key)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job


def create_batch(state: State, owner: Caller, body: BaseModel, key: Idempotency = None) -> Batch:
    """Add several jobs. One whose files are refused stops no other; a wrong field in one refuses the whole request."""
    batch = new_id() if key is None else sha256(f"{owner.id} {key}".encode()).hexdigest()[:24]
    items = []
    for number, request in enumerate(body.jobs):  # type: ignore[attr-defined]  # the class is made at run time
        try:
            job, _ = _create(state, owner, request, batch=batch, key=None if key is None else f"{key} {number}")
            items.append(BatchItem(job=job, error=None))
        except DitheadError as error:
            items.append(BatchItem(job=None, error=str(error)))
    return Batch(id=batch, items=items)


def list_jobs(
    state: State,
    owner: Caller,
    limit: Annotated[int, Query(ge=1, le=100, description="How many, at most.")] = 20,
    before: Annotated[Place | None, Query(description="Only jobs older than this: a page's `next`, or an id.")] = None,
    batch: Annotated[Id | None, Query(description="Only jobs of this batch.")] = None,
) -> JobPage:
    """Return jobs, newest first."""
    jobs = state.jobs.page(owner, limit, before, batch)
    return JobPage(jobs=jobs, next=place_of(jobs[-1]) if len(jobs) == limit else None)


def get_job(state: State, owner: Caller, job_id: JobId) -> Job:
    """Return a job with its progress, its place in the queue, its error or its result."""
    return state.jobs.get(owner, job_id)


def cancel_job(state: State, owner: Caller, job_id: JobId) -> Job:
    """Cancel a job; one that is running ends within about a second. Nothing happens to one that has ended."""
    return state.jobs.cancel(owner, job_id)


def delete_job(state: State, owner: Caller, job_id: JobId) -> None:
    """Delete a job that has ended, with its files and its result."""
    state.jobs.delete(owner, job_id)


async def watch_job(request: Request, state: State, owner: Caller, job_id: JobId) -> StreamingResponse:
    """Follow a job by server-sent events: `job` whenever it changes, until it has ended."""
    await run_in_threadpool(state.jobs.get, owner, job_id)
    if state.streams >= MOST_STREAMS:
        raise ApiError(503, "too many event streams are open; poll the job instead", {"Retry-After": "5"})
    events = _events(request, state, owner, job_id)
    return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def get_result(
    state: State,
    owner: Caller,
    job_id: JobId,
    download: Annotated[bool, Query(description="Have a browser save the file instead of showing it.")] = False,
) -> FileResponse:
    """Return the finished video; ranges of bytes are served, so that players can seek."""
    row = state.jobs.row(owner, job_id)
    path = _result_path(state, row)
    kind = "attachment" if download else "inline"
    name = safe_file_name(row["name"])
    return FileResponse(path, media_type="video/mp4", filename=name, content_disposition_type=kind)


def get_file(
    state: State,
    owner: Caller,
    job_id: JobId,
    role: Annotated[Literal["video", "audio"], Path(description="Which file of the job.")],
) -> FileResponse:
    """Return a file that the job was given, to be shown beside the result."""
    row = state.jobs.row(owner, job_id)
    given = inputs_of(row["inputs"]).get(role)
    if given is None or not (path := given.inside(state.storage.job(job_id))).is_file():
        raise not_found("file")
    return FileResponse(path, media_type=str(given.media["mime"]))


def get_credentials(
    state: State,
    owner: Caller,
    job_id: JobId,
    watermark: Annotated[bool, Query(description="Search the picture for the invisible watermark, too.")] = False,
) -> Statements:
    """Return what the finished file says about its own making, in plain sentences, as `dithead verify` does."""
    row = state.jobs.row(owner, job_id)
    path, name = _result_path(state, row), safe_file_name(row["name"])
    return Statements(statements=state.inspector.statements(path, name, watermark=watermark))


def _create(state: ServerState, owner: Owner, body: Any, *, batch: str | None, key: str | None) -> tuple[Job, bool]:
    given = body.options.model_dump(exclude_unset=True)
    request = JobRequest(**{name: getattr(body, name) for name in JobRequest.model_fields})
    return state.jobs.create(owner, request, given, batch=batch, idempotency=key)


def _result_path(state: ServerState, row: dict[str, Any]) -> FilePath:
    if row["state"] != "done":
        raise ApiError(409, f"{row['name']}: has no result; the job is {row['state']}")
    path = state.storage.job(row["id"]) / RESULT
    if not path.exists():
        raise not_found("result")
    return path


async def _events(request: Request, state: ServerState, owner: Owner, job_id: str) -> AsyncIterator[str]:
    """The events of a job until it ends, is deleted, or the client goes away."""
    state.streams += 1
    last, quiet = "", 0.0
    try:
        while not state.closing.is_set() and not await request.is_disconnected():
            try:
                job = await run_in_threadpool(state.jobs.get, owner, job_id)
            except ApiError:
                return
            text = job.model_dump_json()
            if text != last or quiet >= KEEP_ALIVE:
                yield f"event: job\ndata: {text}\n\n" if text != last else ": still here\n\n"
                last, quiet = text, 0.0
            if job.state not in OPEN_STATES:
                return
            await asyncio.sleep(LOOK)
            quiet += LOOK
    finally:
        state.streams -= 1
