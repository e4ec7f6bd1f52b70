"""The storage service: files with permissions, and their content."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Annotated, Literal

from aiohttp import web

from litewrite.api.context import Context
from litewrite.api.v0_11 import models
from litewrite.api.v0_11.params import ID, LIMIT, OFFSET, ORDER_TYPE, ROLES, SEARCH
from litewrite.api.v0_11.pictures import EXPIRY, HEX_COLOR, picture_response
from litewrite.entities import File
from litewrite.errors import FileNotFound
from litewrite.http.endpoint import FORMALLY_REQUIRED, FileUpload, Routes
from litewrite.http.files import content_disposition, file_response, http_date
from litewrite.http.params import Integer, Number, OneOf
from litewrite.permissions import ANY
from litewrite.services.files import Upload
from litewrite.services.pictures import RenderedPicture
from litewrite.services.previews import FORMATS, GRAVITIES, Options

routes = Routes()

CALLERS = ("session", "jwt", "key")
READ = "files.read"
WRITE = "files.write"

PDF = "application/pdf"
NO_SCRIPTS = "script-src none;"
"""The policy that Appwrite sends; it names a host called none, and so keeps other scripts out."""
SANDBOX = f"{NO_SCRIPTS} sandbox"
"""For everything but PDF, which browsers do not show in a sandbox."""
OFFICE = "application/vnd.openxmlformats-officedocument"
VIEWABLE = frozenset(
    (
        "image/jpeg",
        "image/gif",
        "image/png",
        "image/webp",
        "video/mp4",
        "video/x-flv",
        "application/x-mpegURL",
        "video/MP2T",
        "video/3gpp",
        "video/quicktime",
        "video/x-msvideo",
        "video/x-ms-wmv",
        "audio/basic",
        "auido/L24",
        "audio/mid",
        "audio/mpeg",
        "audio/mp4",
        "audio/x-aiff",
        "audio/x-mpegurl",
        "audio/vnd.rn-realaudio",
        "audio/ogg",
        "audio/vorbis",
        "audio/vnd.wav",
        "application/msword",
        f"{OFFICE}.wordprocessingml.document",
        f"{OFFICE}.wordprocessingml.template",
        "application/vnd.ms-word.document.macroEnabled.12",
        "application/vnd.ms-excel",
        f"{OFFICE}.spreadsheetml.sheet",
        f"{OFFICE}.spreadsheetml.template",
        "application/vnd.ms-excel.sheet.macroEnabled.12",
        "application/vnd.ms-excel.template.macroEnabled.12",
        "application/vnd.ms-excel.addin.macroEnabled.12",
        "application/vnd.ms-excel.sheet.binary.macroEnabled.12",
        "application/vnd.ms-powerpoint",
        f"{OFFICE}.presentationml.presentation",
        f"{OFFICE}.presentationml.template",
        f"{OFFICE}.presentationml.slideshow",
        "application/vnd.ms-powerpoint.addin.macroEnabled.12",
        "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
        "application/vnd.ms-powerpoint.template.macroEnabled.12",
        "application/vnd.ms-powerpoint.slideshow.macroEnabled.12",
        "application/vnd.ms-access",
        PDF,
    )
)
"""Media types that a file keeps when it is viewed; any other becomes text/plain. One is misspelt in Appwrite, too."""

SIDE = Integer(0, 4000)
WEBP = "image/webp"

FileId = Annotated[str, ID, "Id of the file."]


@routes.post(
    "/v1/storage/files",
    name="storage.createFile",
    summary="Create File",
    scope=WRITE,
    auth=CALLERS,
    event="storage.files.create",
    status=201,
)
async def create_file(
    ctx: Context,
    file: Annotated[Upload | None, FileUpload(), "The content.", FORMALLY_REQUIRED] = None,
    read: Annotated[list[str] | None, ROLES, "Roles that may read; by default the current user."] = None,
    write: Annotated[list[str] | None, ROLES, "Roles that may change and delete; by default the current user."] = None,
) -> models.File:
    """Upload a file. Its media type is found out from the content."""
    return models.File.of(await ctx.services.files.create(ctx.actor, file, read=read, write=write))


@routes.get("/v1/storage/files", name="storage.listFiles", summary="List Files", scope=READ, auth=CALLERS)
async def list_files(
    ctx: Context,
    search: Annotated[str, SEARCH, "Words to look for in the names."] = "",
    limit: Annotated[int, LIMIT, "Size of the page."] = 25,
    offset: Annotated[int, OFFSET, "Number of matches to skip."] = 0,
    order_type: Annotated[str, ORDER_TYPE, "Order of creation."] = "ASC",
) -> models.FileList:
    """The files that the caller may read."""
    return models.FileList.of(
        await ctx.services.files.list(
            ctx.actor, search=search, limit=limit, offset=offset, descending=order_type == "DESC"
        )
    )


@routes.get("/v1/storage/files/{fileId}", name="storage.getFile", summary="Get File", scope=READ, auth=CALLERS)
async def get_file(ctx: Context, file_id: FileId) -> models.File:
    """What is known about a file."""
    return models.File.of(await ctx.services.files.get(ctx.actor, file_id))


@routes.get(
    "/v1/storage/files/{fileId}/download",
    name="storage.getFileDownload",
    summary="Get File for Download",
    scope=READ,
    auth=CALLERS,
    content_type="*/*",
)
async def get_file_download(ctx: Context, file_id: FileId) -> web.StreamResponse:
    """The content of a file, as an attachment."""
    return await _content(ctx, file_id, "attachment")


@routes.get(
    "/v1/storage/files/{fileId}/view",
    name="storage.getFileView",
    summary="Get File for View",
    scope=READ,
    auth=CALLERS,
    content_type="*/*",
)
async def get_file_view(ctx: Context, file_id: FileId) -> web.StreamResponse:
    """The content of a file, to be shown by a browser. What could run scripts there comes as plain text."""
    return await _content(ctx, file_id, "inline")


@routes.get(
    "/v1/storage/files/{fileId}/preview",
    name="storage.getFilePreview",
    summary="Get File Preview",
    scope=READ,
    auth=CALLERS,
    content_type="image/*",
)
async def get_file_preview(
    ctx: Context,
    file_id: FileId,
    width: Annotated[int, SIDE, "Width in pixels; 0 to follow from the height or to keep the original size."] = 0,
    height: Annotated[int, SIDE, "Height in pixels; 0 to follow from the width or to keep the original size."] = 0,
    gravity: Annotated[str, OneOf(GRAVITIES, ignore_case=True), "Which part is kept when something is cut off."] = (
        "center"
    ),
    quality: Annotated[int, Integer(0, 100), "Quality of JPEG and WebP; for PNG, 0 compresses most."] = 100,
    border_width: Annotated[int, Integer(0, 100), "Width of a border in pixels."] = 0,
    border_color: Annotated[str, HEX_COLOR, "Colour of the border, black unless given."] = "",
    border_radius: Annotated[int, SIDE, "Radius of rounded corners in pixels."] = 0,
    opacity: Annotated[float, Number(0, 1), "Opacity of the whole picture."] = 1,
    rotation: Annotated[int, Integer(0, 360), "Degrees to turn the picture by, clockwise."] = 0,
    background: Annotated[str, HEX_COLOR, "Colour behind what is transparent."] = "",
    output: Annotated[str, OneOf((*FORMATS, "jpeg")), "Format; that of the file unless given."] = "",
) -> web.StreamResponse:
    """A picture made from a file. Pictures are transformed as asked; other files have an icon that tells their kind."""
    options = Options(
        width=width,
        height=height,
        gravity=gravity,
        opacity=opacity,
        background=background.lower(),
        border_width=border_width,
        border_color=border_color.lower() or "000000",
        border_radius=border_radius,
        rotation=rotation % 360,
        quality=quality,
    )
    takes_webp = WEBP in ctx.request.headers.get("Accept", "")
    format = "jpg" if output == "jpeg" else output

    async def preview() -> tuple[RenderedPicture, dict[str, str]]:
        file, picture = await ctx.services.previews.get(ctx.actor, file_id, options, format, takes_webp=takes_webp)
        return picture, _access_headers(file)

    return await picture_response(ctx.request, preview)


@routes.put(
    "/v1/storage/files/{fileId}",
    name="storage.updateFile",
    summary="Update File",
    scope=WRITE,
    auth=CALLERS,
    event="storage.files.update",
)
async def update_file(
    ctx: Context,
    file_id: FileId,
    read: Annotated[Sequence[str], ROLES, "Roles that may read.", FORMALLY_REQUIRED] = (),
    write: Annotated[Sequence[str], ROLES, "Roles that may change and delete.", FORMALLY_REQUIRED] = (),
) -> models.File:
    """Replace the permissions of a file; nothing else of it can be changed."""
    return models.File.of(await ctx.services.files.update(ctx.actor, file_id, read=read, write=write))


@routes.delete(
    "/v1/storage/files/{fileId}",
    name="storage.deleteFile",
    summary="Delete File",
    scope=WRITE,
    auth=CALLERS,
    event="storage.files.delete",
    status=204,
)
async def delete_file(ctx: Context, file_id: FileId) -> models.Empty:
    """Delete a file and its content."""
    await ctx.services.files.delete(ctx.actor, file_id)
    return models.Empty()


async def _content(ctx: Context, file_id: str, disposition: Literal["attachment", "inline"]) -> web.StreamResponse:
    file, path = await ctx.services.files.content(ctx.actor, file_id)
    media_type = file.mime_type
    headers = _content_headers(file, disposition)
    if disposition == "inline":
        if media_type not in VIEWABLE:
            media_type = "text/plain"
        headers["Content-Security-Policy"] = NO_SCRIPTS if media_type == PDF else SANDBOX
    try:
        return await file_response(
            ctx.request,
            path,
            content_type=media_type,
            headers=headers,
            etag=file.signature,
            last_modified=file.created_at.timestamp(),
        )
    except FileNotFoundError as error:  # deleted in this moment
        raise FileNotFound from error


def _content_headers(file: File, disposition: Literal["attachment", "inline"]) -> dict[str, str]:
    headers = {
        "Content-Disposition": content_disposition(disposition, file.name),
        "Expires": http_date(time.time() + EXPIRY),
        "X-Peak": str(peak_memory()),
    }
    return headers | _access_headers(file)


def _access_headers(file: File) -> dict[str, str]:
    # Without this, a proxy that many share could hand it to those who may not read it.
    return {} if ANY in file.permissions.read else {"Cache-Control": "private"}


def peak_memory() -> int:
    """The most memory that the process has had, in bytes; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
