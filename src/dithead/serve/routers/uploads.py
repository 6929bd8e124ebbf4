"""Uploads: create, send in parts, resume, list and delete; and the faces that an upload shows."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path as FilePath
from typing import IO, Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from dithead.serve.access import Caller, State
from dithead.serve.content_check import Face
from dithead.serve.errors import ApiError, not_found
from dithead.serve.keys import Owner
from dithead.serve.options import MIB
from dithead.serve.schemas import FaceList, FoundFace, Id, Name, Upload, UploadPage
from dithead.serve.state import ServerState
from dithead.serve.storage import read_json, write_json

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])
_PIECE = 1 * MIB  # bytes that are collected before they are written (our choice)
_BODY = {
    "requestBody": {
        "required": False,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
UploadId = Annotated[Id, Path(description="Id of the upload.")]


@router.post("", status_code=201, openapi_extra=_BODY)
async def create_upload(
    request: Request,
    response: Response,
    state: State,
    owner: Caller,
    name: Annotated[Name, Query(description="What the file is called; shown to people, and no path.")],
    size: Annotated[int | None, Query(ge=1, le=2**50, description="Its bytes; by default those of the body.")] = None,
) -> Upload:
    """Create an upload. The body is the file, or its beginning, or nothing yet; `PATCH` sends the rest."""
    length = request.headers.get("content-length", "0")
    size = size or int(length)
    if size < 1:
        raise ApiError(422, f"{name}: the file is empty; give its size, or send it as the body")
    upload = await run_in_threadpool(state.uploads.create, owner, name, size)
    response.headers["Location"] = f"/v1/uploads/{upload.id}"
    return await _append(request, state, owner, upload)


@router.patch("/{upload_id}", openapi_extra=_BODY)
async def append_to_upload(
    request: Request,
    state: State,
    owner: Caller,
    upload_id: UploadId,
    upload_offset: Annotated[int, Header(ge=0, le=2**50, description="Where this part begins: the upload's offset.")],
) -> Upload:
    """Send the next part. When the last one has come, the file is checked, and refused if it is no media file."""
    upload = await run_in_threadpool(state.uploads.get, owner, upload_id)
    if upload.media is not None:
        raise ApiError(409, f"{upload.name}: has come whole already")
    upload.offset = upload_offset
    return await _append(request, state, owner, upload)


@router.get("/{upload_id}")
def get_upload(state: State, owner: Caller, upload_id: UploadId, response: Response) -> Upload:
    """Return an upload; `offset` says where to go on."""
    upload = state.uploads.get(owner, upload_id)
    response.headers["Upload-Offset"] = str(upload.offset)
    return upload


@router.get("")
def list_uploads(state: State, owner: Caller) -> UploadPage:
    """Return all uploads, newest first."""
    return UploadPage(uploads=state.uploads.all(owner))


@router.delete("/{upload_id}", status_code=204)
def delete_upload(state: State, owner: Caller, upload_id: UploadId) -> None:
    """Delete an upload. Jobs that use it keep their files."""
    state.uploads.delete(owner, upload_id)


@router.get("/{upload_id}/faces")
def get_faces(state: State, owner: Caller, upload_id: UploadId) -> FaceList:
    """Find the faces of a video or picture, shot by shot, as the option `face` and `speakers` count them."""
    name, media = state.uploads.finished(owner, upload_id)
    if media.kind == "audio":
        raise ApiError(422, f"{name}: has no video; give a file with a picture")
    folder = state.storage.upload(upload_id)
    known = read_json(folder / "faces.json")
    if known is None:
        found = state.inspector.faces(folder / "content", name, folder)
        known = [asdict(face) for face in found]
        try:
            write_json(folder / "faces.json", known)
        except FileNotFoundError:  # deleted in the meantime
            raise not_found("upload") from None
    return FaceList(faces=[_face(upload_id, Face(**face)) for face in known])


@router.get("/{upload_id}/faces/{picture}", response_class=FileResponse)
def get_face_picture(
    state: State,
    owner: Caller,
    upload_id: UploadId,
    picture: Annotated[str, Path(pattern=r"^face_\d{1,4}_\d{1,3}\.jpg$", description="As `faces` names it.")],
) -> FileResponse:
    """Return the thumbnail of a face."""
    state.uploads.get(owner, upload_id)
    path = state.storage.upload(upload_id) / picture
    if not path.exists():
        raise not_found("picture")
    return FileResponse(path, media_type="image/jpeg")


async def _append(request: Request, state: ServerState, owner: Owner, upload: Upload) -> Upload:
    """Write the body behind what has come; check the file once it is whole."""
    with _alone(state.uploads.file(upload), upload) as file:
        async for piece in _pieces(request):
            if upload.offset + len(piece) > upload.size:
                raise ApiError(413, f"{upload.name}: more has come than the {upload.size} bytes that were promised")
            await run_in_threadpool(file.write, piece)
            upload.offset += len(piece)
            state.metrics.uploaded.inc(len(piece))
        await run_in_threadpool(file.flush)
        if upload.offset < upload.size:
            return upload
        return await run_in_threadpool(state.uploads.finish, owner, upload)


def _alone(path: FilePath, upload: Upload) -> IO[bytes]:
    """Open the file for this request only, where it ends at the upload's offset: two parts sent at once would mix.

    What is left of a request that broke may be written until the file is held, so it is measured after that.
    """
    try:
        file = path.open("ab")
    except FileNotFoundError:
        raise not_found("upload") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ApiError(409, f"{upload.name}: another part is being sent; wait for it") from None
    come = os.fstat(file.fileno()).st_size
    if come != upload.offset:
        file.close()
        raise ApiError(409, f"{upload.name}: the next part begins at {come}, not at {upload.offset}")
    return file


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body in pieces that are worth a write; where the client goes away, what has come until then."""
    kept: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            kept.append(chunk)
            size += len(chunk)
            if size >= _PIECE:
                yield b"".join(kept)
                kept, size = [], 0
    except ClientDisconnect:
        pass
    if size:
        yield b"".join(kept)


def _face(upload_id: str, face: Face) -> FoundFace:
    picture = f"/v1/uploads/{upload_id}/faces/{face.picture}"
    return FoundFace(number=face.number, shot=face.shot, time=face.time, picture=picture)
