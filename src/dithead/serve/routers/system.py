"""The server itself: what it is and takes, whether it lives and is ready, its metrics, and signing in."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Depends, Response
from fastapi.responses import PlainTextResponse

from dithead import __version__
from dithead.serve.access import COOKIE, Caller, State, needs_key, owner_of
from dithead.serve.errors import ApiError
from dithead.serve.keys import SESSION_SECONDS, sign_session
from dithead.serve.request_options import described_options
from dithead.serve.schemas import Info, Readiness, Session, SignIn
from dithead.serve.webhooks import webhook_secret

router = APIRouter(tags=["server"])


@router.get("/healthz", response_class=PlainTextResponse)
async def is_alive() -> str:
    """Answer `ok` as long as the process lives."""
    return "ok"


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Not ready; jobs wait, and none is lost."}})
async def is_ready(state: State, response: Response) -> Readiness:
    """Say whether the database answers, the disk has room and a worker is ready; 503 where one of them is not."""
    checks = await asyncio.to_thread(state.ready)  # not on the threads that requests share: all may be taken
    ready = all(found == "ok" for found in checks.values())
    response.status_code = 200 if ready else 503
    return Readiness(ready=ready, checks=checks)


@router.get("/metrics", response_class=PlainTextResponse, dependencies=[Depends(owner_of)])
def get_metrics(state: State) -> Response:
    """Return metrics in Prometheus' text format; with a key wherever the API needs one."""
    return Response(state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/v1/info")
def get_info(state: State) -> Info:
    """Say what this server takes: limits, models, folders, and every option of a job."""
    options = state.options
    limits = ("max_upload", "max_minutes", "max_megapixels", "max_jobs", "max_uploads", "max_storage", "keep")
    return Info(
        version=__version__,
        needs_key=needs_key(state),
        models=list(options.offered),
        folders=sorted(folder.resolve().name for folder in options.folders),
        webhook_hosts=list(options.webhook_hosts),
        limits={name: float(getattr(options, name)) for name in limits},
        options=described_options(),
    )


@router.get("/v1/session")
def get_session(state: State, owner: Caller) -> Session:
    """Say whose key it is, and what is used of its limits."""
    return Session(
        name=owner.name,
        open_jobs=state.jobs.open_jobs(owner),
        max_jobs=owner.max_jobs or state.options.max_jobs,
        stored_bytes=state.uploads.stored_bytes(owner),
        max_bytes=state.uploads.max_bytes(owner),
        webhook_secret=webhook_secret(state.secret, owner.id),
    )


@router.post("/v1/session", status_code=204)
def sign_in(state: State, body: SignIn, response: Response) -> None:
    """Exchange a key for a cookie that scripts cannot read and other sites cannot send."""
    owner = state.keys.by_key(body.key)
    if owner is None:
        raise ApiError(401, "this key is wrong or was revoked; ask the server's owner for another one")
    response.set_cookie(
        COOKIE,
        sign_session(owner.id, state.secret),
        max_age=SESSION_SECONDS,
        httponly=True,
        secure=state.options.https,
        samesite="strict",
    )


@router.delete("/v1/session", status_code=204)
def sign_out(response: Response) -> None:
    """Forget the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
