"""Live speech: a websocket that takes speech and gives frames and sound, and video calls by WebRTC."""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field, ValidationError, create_model
from starlette.concurrency import run_in_threadpool

from dithead.errors import ConfigError, DitheadError, MissingExtraError
from dithead.options import SamplingOptions
from dithead.serve.access import Caller, State, owner_of_socket
from dithead.serve.errors import ApiError, status_of, validation_line
from dithead.serve.keys import Owner
from dithead.serve.live_hub import LiveLink, LiveWish
from dithead.serve.live_wire import PICTURE, SOUND, STATUS, Message, Stamped
from dithead.serve.options import MIB
from dithead.serve.request_options import options_model
from dithead.serve.schemas import LiveAnswer, LiveOffer, LiveRequest
from dithead.serve.state import ServerState

FIRST, SILENT = 10.0, 600.0
"""Seconds in which a client must say what it wants, and after which one that says nothing is sent away (our choice)."""
MOST_UNSENT = 50  # messages that wait for a slow client; pictures beyond are left out, sound never (our choice)
LARGEST_SPEECH = 8 * MIB
"""Bytes of one message of speech, at most: 87 s at 48 kHz (our choice: a message is collected in memory)."""
_STAMP = struct.Struct("<BxxxId")
"""What precedes a picture (kind 1) or sound (kind 2): kind, number of the frame, seconds of the conversation."""
_KINDS = {PICTURE: 1, SOUND: 2}


def live_router(models: tuple[str, ...]) -> APIRouter:
    """Return the routes of live speech for a server that offers these models."""
    options = options_model(models, SamplingOptions)
    given = (options, Field(default_factory=options))
    start: Any = create_model("NewLive", __base__=LiveRequest, __doc__=LiveRequest.__doc__, options=given)
    offer: Any = create_model("NewCall", __base__=(start, LiveOffer), __doc__=LiveOffer.__doc__)
    router = APIRouter(tags=["live"])

    async def speak_live(socket: WebSocket) -> None:
        await _Client(socket).serve(start)

    call_live.__annotations__["body"] = offer
    for path in ("/v1/live", "/live"):
        router.websocket(path)(speak_live)
    router.post("/v1/live/call")(call_live)
    return router


async def call_live(state: State, owner: Caller, body: BaseModel) -> LiveAnswer:
    """Begin a video call by WebRTC: the person's picture and the same speech come back, in step.

    The browser sends its microphone as the call's sound. What it writes into the data channel is as on the websocket:
    `{"type": "interrupt"}`. The server writes its figures there, once a second.
    """
    try:
        from dithead.serve.live_call import answer_call
    except ImportError as error:
        raise MissingExtraError("serve", error.name) from None
    link = await open_link(state, owner, body, raw=True)
    sdp = await answer_call(state.live, link, str(body.sdp))  # type: ignore[attr-defined]  # made at run time
    return LiveAnswer(session=link.id, sdp=sdp, delay=float(link.ready["delay"]))


async def open_link(state: ServerState, owner: Owner, body: Any, *, raw: bool) -> LiveLink:
    """Begin the conversation that a client asks for, or come back to it.

    Raises:
        ApiError: There is no room, no such file or conversation.
        ConfigError: The file shows nobody.
    """
    if body.session is not None:
        return state.live.find(owner, body.session, raw=raw)
    found = await run_in_threadpool(state.finder.person, owner, body.video)
    stat = await run_in_threadpool(found.source.stat)
    wish = LiveWish(
        path=found.source,
        name=found.name,
        key=f"{found.source} {stat.st_mtime_ns} {stat.st_size}",
        options=body.options.model_dump(exclude_unset=True),
        rate=48000 if raw else body.rate,
        real_time=raw or body.real_time,
        raw=raw,
    )
    return await state.live.open(owner, wish)


class _Client:
    """One websocket and its conversation."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.state: ServerState = socket.app.state.server
        self._unsent: asyncio.Queue[Message | None] = asyncio.Queue()

    async def serve(self, start: type[BaseModel]) -> None:
        """Talk until the client goes away or ends it."""
        await self.socket.accept()
        try:
            owner = await run_in_threadpool(owner_of_socket, self.state, self.socket)
            wish = await self._wish(start)
            await self._say({"type": "preparing"})
            link = await self._opened(owner, wish)
        except (DitheadError, ValidationError) as error:
            await self._refuse(error)
        except (WebSocketDisconnect, RuntimeError):
            return
        else:
            await self._talk(link)

    async def _opened(self, owner: Owner, wish: BaseModel) -> LiveLink:
        """Open the conversation; what the client sends in the meantime is too early, and is dropped."""
        opening = asyncio.create_task(open_link(self.state, owner, wish, raw=False))
        dropping = asyncio.create_task(self._drop_all())
        try:
            await asyncio.wait({opening, dropping}, return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                raise WebSocketDisconnect
            return opening.result()
        finally:
            for task in (opening, dropping):
                task.cancel()
            await asyncio.gather(opening, dropping, return_exceptions=True)

    async def _drop_all(self) -> None:
        while (await self.socket.receive())["type"] != "websocket.disconnect":
            pass

    async def _wish(self, start: type[BaseModel]) -> BaseModel:
        try:
            text = await asyncio.wait_for(self.socket.receive_text(), FIRST)
            return start.model_validate_json(text)
        except TimeoutError:
            raise ApiError(408, f"nothing came for {FIRST:g} seconds; say first whom to show") from None
        except KeyError:
            raise ConfigError("the first message must be JSON that says whom to show") from None

    async def _refuse(self, error: Exception) -> None:
        if isinstance(error, ValidationError):
            status, line = 422, validation_line(list(error.errors()))
        else:
            assert isinstance(error, DitheadError)
            status, line = status_of(error), " ".join(str(error).split())
        kind = "busy" if status == 503 else "error"
        await self._say({"type": kind, "status": status, "detail": line})
        await self._close(1013 if status == 503 else 1008)

    async def _talk(self, link: LiveLink) -> None:
        def sink(message: Message) -> None:
            if message.kind != PICTURE or self._unsent.qsize() < MOST_UNSENT:
                self._unsent.put_nowait(message)

        link.attach(sink)
        await self._say(link.ready | {"session": link.id})
        sending = asyncio.create_task(self._send_all())
        ending = asyncio.create_task(link.ended.wait())
        taking = asyncio.create_task(self._take_all(link))
        done, _ = await asyncio.wait({sending, ending, taking}, return_when=asyncio.FIRST_COMPLETED)
        ended_by_client = taking in done and taking.exception() is None and taking.result()
        for task in (sending, ending, taking):
            task.cancel()
        await asyncio.gather(sending, ending, taking, return_exceptions=True)
        link.detach(sink)
        if ended_by_client:
            self.state.live.end(link)
        await self._close(1000 if ended_by_client else 1011)

    async def _take_all(self, link: LiveLink) -> bool:
        """Pass on what the client sends; returns whether it ended the conversation, or went away."""
        while True:
            try:
                message = await asyncio.wait_for(self.socket.receive(), SILENT)
            except TimeoutError:
                return True
            if message["type"] == "websocket.disconnect":
                return False
            if pcm := message.get("bytes"):
                self._speak(link, pcm)
            elif _command(message.get("text") or "", link):
                return True

    def _speak(self, link: LiveLink, pcm: bytes) -> None:
        """Pass speech on whole, or say that it is too much for one message."""
        if len(pcm) <= LARGEST_SPEECH:
            link.speak(pcm)
            return
        line = f"speech: {len(pcm)} bytes are too many for one message; send at most {LARGEST_SPEECH} in each"
        self._unsent.put_nowait(Message(STATUS, json.dumps({"type": "refused", "detail": line}).encode()))

    async def _send_all(self) -> None:
        while (message := await self._unsent.get()) is not None:
            if message.kind == STATUS:
                await self.socket.send_text(message.content.decode())
            else:
                stamped = Stamped.read(message)
                head = _STAMP.pack(_KINDS[stamped.kind], stamped.index, stamped.time)
                await self.socket.send_bytes(head + stamped.content)

    async def _say(self, content: dict[str, Any]) -> None:
        await self.socket.send_text(json.dumps(content))

    async def _close(self, code: int) -> None:
        with suppress(RuntimeError, WebSocketDisconnect):  # the client was faster
            await self.socket.close(code)


def _command(text: str, link: LiveLink) -> bool:
    """Do what a message says; returns whether it ends the conversation. What nobody understands does nothing."""
    try:
        said = json.loads(text)
    except ValueError:
        return False
    kind = said.get("type") if isinstance(said, dict) else None
    if kind == "interrupt":
        link.interrupt()
    elif kind == "finish":
        link.finish()
    return kind == "end"
