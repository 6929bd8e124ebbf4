"""Builds the application: routes, errors as one line, and the guard before them.

Each file of ``routers`` brings its routes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from dithead import __version__
from dithead.errors import DitheadError
from dithead.serve.errors import ApiError, status_of, validation_line
from dithead.serve.guard import Guard
from dithead.serve.options import ServeOptions
from dithead.serve.routers import page, system, uploads
from dithead.serve.routers.jobs import jobs_router
from dithead.serve.routers.live import live_router
from dithead.serve.schemas import Problem
from dithead.serve.state import SWEEP, ServerState, open_state
from dithead.serve.supervise import LocalWorkers

log = logging.getLogger("dithead.serve")
_PROBLEMS = {
    400: "The request cannot be read.",
    401: "A key is needed, or it is wrong.",
    403: "Another site sent the request.",
    404: "There is no such thing, or it belongs to another key.",
    408: "Nothing came for too long.",
    409: "It is in another state than the request needs.",
    413: "It is larger than the server takes.",
    421: "The server does not go by this name.",
    422: "Something is wrong with what was sent.",
    429: "A limit of the key is reached.",
    503: "The database does not answer, or too much is going on; try again.",
    507: "The disk is nearly full.",
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text} for status, text in _PROBLEMS.items()
}
_ABOUT = """Make a person in a video speak a given speech track.

Upload a video or picture and the speech, add a job, follow it, and get the result. Times are seconds since 1970.
Errors have one line, `detail`, that says what is wrong and what to do.
"""


def create_app(options: ServeOptions, *, with_workers: bool = True) -> FastAPI:
    """Build the application.

    Args:
        options: Of the server.
        with_workers: Start the workers that the options ask for; tests and descriptions do without.

    Raises:
        ConfigError: The database cannot be used.
        OutputError: The data folder cannot be used.
    """
    state = open_state(options)
    app = describe_app(tuple(options.offered))
    app.state.server = state
    workers = LocalWorkers(options) if with_workers else None
    app.router.lifespan_context = lambda _: _lifespan(state, workers)
    app.add_middleware(Guard, options=options, metrics=state.metrics)
    return app


def describe_app(models: tuple[str, ...]) -> FastAPI:
    """Build the routes alone, without data or database: enough for the OpenAPI description."""
    app = FastAPI(
        title="dithead",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses=_RESPONSES,
        generate_unique_id_function=_operation_id,
    )
    for router in (system.router, uploads.router, jobs_router(models), live_router(models), page.router):
        app.include_router(router)
    app.add_exception_handler(DitheadError, _dithead_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(sa.exc.SQLAlchemyError, _database_error)
    app.add_exception_handler(Exception, _fault)
    describe = app.openapi
    app.openapi = lambda: _with_problems_as_json(describe())  # type: ignore[method-assign]  # FastAPI says so
    return app


def _with_problems_as_json(described: dict[str, Any]) -> dict[str, Any]:
    """Say that errors are JSON where the route's own answer is something else, such as a video."""
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operations in described["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if response["description"] == _PROBLEMS.get(int(status)):
                    response["content"] = problem
    return described


def _operation_id(route: APIRoute) -> str:
    return route.name


@asynccontextmanager
async def _lifespan(state: ServerState, workers: LocalWorkers | None) -> AsyncIterator[None]:
    """Run the workers and the sweeping of what has expired as long as the server."""
    if workers is not None:
        workers.start()
    sweeper = threading.Thread(target=_sweep_for_ever, args=(state,), daemon=True)
    sweeper.start()
    try:
        yield
    finally:
        state.closing.set()
        if workers is not None:
            workers.stop()
        state.close()


def _sweep_for_ever(state: ServerState) -> None:
    while not state.closing.is_set():
        try:
            if gone := state.sweep():
                log.info("deleted what has expired", extra={"count": gone})
        except (sa.exc.SQLAlchemyError, OSError) as error:
            log.warning("sweeping failed and is tried again", extra={"reason": type(error).__name__})
        state.closing.wait(SWEEP)


async def _dithead_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DitheadError)
    headers = error.headers if isinstance(error, ApiError) else None
    return JSONResponse({"detail": " ".join(str(error).split())}, status_of(error), headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": validation_line(list(error.errors()))}, 422)


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": str(error.detail)}, error.status_code, error.headers)


async def _database_error(_: Request, error: Exception) -> JSONResponse:
    log.error("database does not answer", extra={"reason": type(error).__name__})
    return JSONResponse({"detail": "the database does not answer; try again in a moment"}, 503, {"Retry-After": "5"})


async def _fault(_: Request, error: Exception) -> JSONResponse:
    log.error("request failed by a fault of dithead", exc_info=error)
    return JSONResponse({"detail": "a fault of dithead stopped the request; the server's log has it"}, 500)
