"""Previews of files: pictures transformed as asked, and an icon for everything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from litewrite.blobs.cache import CacheKey
from litewrite.entities import File
from litewrite.errors import ArgumentInvalid, FileNotFound
from litewrite.events import Event
from litewrite.imaging import PictureBroken, ResultTooLarge
from litewrite.imaging.options import FORMATS, GRAVITIES, ICON_SIZE, Options, final_size
from litewrite.permissions import Actor
from litewrite.services.files import Files
from litewrite.services.pictures import Make, Pictures, RenderedPicture

__all__ = ["FORMATS", "GRAVITIES", "Options", "Previews"]

PREVIEW_AGE: Final = 90 * 86_400
"""Seconds for which a preview is kept."""

PREVIEWED: Final = {"image/jpeg": "jpg", "image/gif": "gif", "image/png": "png"}
"""Media types that are transformed, and the format of each."""
ICON_FORMAT: Final = "png"
OTHER: Final = "file"
_OPEN_XML: Final = "application/vnd.openxmlformats-officedocument"
_ICONS: Final = {
    "video": (
        "video/mp4",
        "video/x-flv",
        "application/x-mpegURL",
        "video/MP2T",
        "video/3gpp",
        "video/quicktime",
        "video/x-msvideo",
        "video/x-ms-wmv",
    ),
    "word": (
        "application/msword",
        f"{_OPEN_XML}.wordprocessingml.document",
        f"{_OPEN_XML}.wordprocessingml.template",
        "application/vnd.ms-word.document.macroEnabled.12",
    ),
    "excel": (
        "application/vnd.ms-excel",
        f"{_OPEN_XML}.spreadsheetml.sheet",
        f"{_OPEN_XML}.spreadsheetml.template",
        "application/vnd.ms-excel.sheet.macroEnabled.12",
        "application/vnd.ms-excel.template.macroEnabled.12",
        "application/vnd.ms-excel.addin.macroEnabled.12",
        "application/vnd.ms-excel.sheet.binary.macroEnabled.12",
    ),
    "powerpoint": (
        "application/vnd.ms-powerpoint",
        f"{_OPEN_XML}.presentationml.presentation",
        f"{_OPEN_XML}.presentationml.template",
        f"{_OPEN_XML}.presentationml.slideshow",
        "application/vnd.ms-powerpoint.addin.macroEnabled.12",
        "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
        "application/vnd.ms-powerpoint.template.macroEnabled.12",
        "application/vnd.ms-powerpoint.slideshow.macroEnabled.12",
    ),
    "pdf": ("application/pdf",),
}
ICON_OF: Final = {media_type: icon for icon, media_types in _ICONS.items() for media_type in media_types}
"""Kinds of icons by media type; any other has the icon `OTHER`."""


class Previews:
    """Previews of the files of all projects.

    Args:
        data: the data folder of the package.
    """

    def __init__(self, files: Files, pictures: Pictures, data: Path) -> None:
        self._files = files
        self._pictures = pictures
        self._data = data

    def on_event(self, event: Event) -> None:
        """Forget the previews of a file that was deleted."""
        if event.resource == "file" and event.action == "delete" and isinstance(event.subject, File):
            self._pictures.drop(event.subject.blob_key)

    async def get(
        self, actor: Actor, file_id: str, options: Options, output: str, *, takes_webp: bool
    ) -> tuple[File, RenderedPicture]:
        """The preview of a file that the caller may read, and the file.

        Pictures keep the format that their name or, failing that, their content tells, unless `output` (one of
        `FORMATS`) is given; the output of `options` is not looked at. A caller that does not take WebP gets JPEG in
        place of it. Everything else, broken pictures included, has a PNG icon.

        Raises `FileNotFound`, also when the content is missing, and `ArgumentInvalid` when the preview would be too
        large.
        """
        file = await self._files.get(actor, file_id)

        is_picture = file.mime_type in PREVIEWED
        format = _taken(output or (_named_format(file) if is_picture else ICON_FORMAT), takes_webp)
        if is_picture:
            # What is broken is put out as an icon, and in another format when none was asked for.
            icon_format = format if output else ICON_FORMAT
            key = CacheKey(file.blob_key, f"{options.key} {format} {icon_format}")
            make = self._picture(actor, file, options, format, icon_format)
        else:
            kind = ICON_OF.get(file.mime_type, OTHER)
            await self._files.content(actor, file_id)
            key = CacheKey("icons", f"{kind} {options.key} {format}")
            make = self._icon(kind, options, format)
        try:
            return file, await self._pictures.get(key, PREVIEW_AGE, make)
        except ResultTooLarge as error:
            raise ArgumentInvalid("width", f"the preview would be too large: {error}") from error

    def _picture(self, actor: Actor, file: File, options: Options, format: str, icon_format: str) -> Make:
        async def make(target: Path) -> str:
            _, source = await self._files.content(actor, file.id)

            def measure() -> int:
                from litewrite.imaging.decode import PREVIEWED as KINDS
                from litewrite.imaging.preview import count_pixels

                return count_pixels(source, KINDS, options)

            def render() -> None:
                from litewrite.imaging.preview import render_preview

                render_preview(source, target, replace(options, output=format))

            try:
                await self._pictures.run(render, pixels=await self._pictures.run(measure))
            except FileNotFoundError as error:  # deleted in this moment
                raise FileNotFound from error
            except PictureBroken:
                return await self._icon(OTHER, options, icon_format)(target)
            return format

        return make

    def _icon(self, kind: str, options: Options, format: str) -> Make:
        async def make(target: Path) -> str:
            def render() -> None:
                from litewrite.imaging.preview import render_icon

                render_icon(kind, target, replace(options, output=format), self._data)

            width, height = final_size(ICON_SIZE, options)
            await self._pictures.run(render, pixels=width * height)
            return format

        return make


def _named_format(file: File) -> str:
    stem, _, extension = file.name.lower().rpartition(".")
    extension = "jpg" if extension == "jpeg" else extension
    return extension if stem and extension in FORMATS else PREVIEWED[file.mime_type]


def _taken(format: str, takes_webp: bool) -> str:
    return "jpg" if format == "webp" and not takes_webp else format
