"""Finds out whose request it is: a key in the header, the cookie of a browser, or this machine's own user."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from dithead.serve.errors import ApiError
from dithead.serve.keys import LOCAL, Owner, owner_of_session
from dithead.serve.state import ServerState

COOKIE = "dithead_session"
_bearer = HTTPBearer(auto_error=False, description="A key that `dithead api-keys add NAME` made.")
_cookie = APIKeyCookie(name=COOKIE, auto_error=False, description="Set by `POST /v1/session`, for browsers.")


async def state_of(request: Request) -> ServerState:
    """Return what the server's requests share. It is asynchronous only so that no thread is asked for it."""
    return cast(ServerState, request.app.state.server)


State = Annotated[ServerState, Depends(state_of)]


def owner_of(
    state: State,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> Owner:
    """Return whose request it is. Raises ApiError where the key is wrong, or one is needed."""
    return known_owner(state, None if bearer is None else bearer.credentials, cookie)


def owner_of_socket(state: ServerState, connection: HTTPConnection) -> Owner:
    """Return whose websocket it is; see ``owner_of``."""
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    return known_owner(state, key.strip() if scheme.lower() == "bearer" else None, connection.cookies.get(COOKIE))


def known_owner(state: ServerState, key: str | None, cookie: str | None) -> Owner:
    """Return to whom a key or a cookie belongs; the local user where none is needed.

    Raises:
        ApiError: The key is wrong, or one is needed.
    """
    if key is not None:
        owner = state.keys.by_key(key)
    else:
        owner_id = owner_of_session(cookie, state.secret) if cookie else None
        owner = None if owner_id is None else state.keys.by_id(owner_id)
        if owner is None and not needs_key(state):  # the cookie may be left of a key that is gone
            owner = LOCAL
    if owner is None:
        line = (
            "this server needs a key: send it as 'Authorization: Bearer KEY'; "
            "its owner makes one with: dithead api-keys add"
        )
        raise ApiError(401, line, {"WWW-Authenticate": "Bearer"})
    return owner


def needs_key(state: ServerState) -> bool:
    """Return whether requests need a key.

    They always do beyond loopback, and where the options name a proxy that lets others in; else once there was a key.
    """
    options = state.options
    return not options.on_loopback or bool(options.site) or options.https or state.keys.needed()


Caller = Annotated[Owner, Depends(owner_of)]
