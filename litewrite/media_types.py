"""Which media type a file has, judged by its content alone.

The names and the judgement follow libmagic's, which Appwrite asked: text that shows no further structure is text/plain,
bytes nobody knows are application/octet-stream. What clients claim does not count. The name of a file is asked in one
case only: when the content is certainly one of a family that later bytes of the file, unseen here, would tell apart.

Common kinds are found in tables here. The many rare ones come from the puremagic package, whose table is long but not
careful: it is asked last, only about binary files, and short or vague matches of it are not believed.
"""

import codecs
import json
import re
import zlib
from collections.abc import Iterator
from typing import Final, NoReturn

EMPTY: Final = "application/x-empty"
UNKNOWN: Final = "application/octet-stream"
TEXT: Final = "text/plain"

_MAX_HEAD: Final = 65_536
_JSON_PREFIX: Final = 16_384
_MARKUP_PREFIX: Final = 8_192
_MAX_ENTRIES: Final = 200
_MAX_CONTENT_TYPES: Final = 262_144

# Long or odd enough never to begin a text.
_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),
    (b"MM\0+", "image/tiff"),
    (b"8BPS\0", "image/vnd.adobe.photoshop"),
    (b"gimp xcf ", "image/x-xcf"),
    (b"AT&TFORM", "image/vnd.djvu"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/x-jp2-codestream"),
    (b"\x76\x2f\x31\x01", "image/x-exr"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"BZh91AY&SY", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"\x04\x22\x4d\x18", "application/x-lz4"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/x-rar"),
    (b"MSCF\0\0\0\0", "application/vnd.ms-cab-compressed"),
    (b"!<arch>\ndebian-", "application/vnd.debian.binary-package"),
    (b"!<arch>\n", "application/x-archive"),
    (b"\xed\xab\xee\xdb", "application/x-rpm"),
    (b"d8:announce", "application/x-bittorrent"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"MThd\0\0\0\x06", "audio/midi"),
    (b"fLaC\0", "audio/flac"),
    (b"#!AMR", "audio/amr"),
    (b".snd\0\0\0", "audio/basic"),
    (b"ID3\x02", "audio/mpeg"),
    (b"ID3\x03", "audio/mpeg"),
    (b"ID3\x04", "audio/mpeg"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", "video/x-ms-asf"),
    (b"\0\0\x01\xba", "video/mpeg"),
    (b"\0\0\x01\xb3", "video/mpeg"),
    (b".RMF\0\0\0", "application/vnd.rn-realmedia"),
    (b".ra\xfd", "audio/x-pn-realaudio"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"OTTO\0", "application/vnd.ms-opentype"),
    (b"ttcf\0", "font/collection"),
    (b"\0asm", "application/wasm"),
    (b"\xfe\xed\xfa\xce", "application/x-mach-binary"),
    (b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    (b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"{\\rtf", "text/rtf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\xc5\xd0\xd3\xc6", "application/postscript"),
)

_RIFF: Final = {
    b"WAVE": "audio/x-wav",
    b"AVI ": "video/x-msvideo",
    b"WEBP": "image/webp",
    b"ACON": "application/x-navi-animation",
}
_IFF: Final = {b"AIFF": "audio/x-aiff", b"AIFC": "audio/x-aiff", b"ILBM": "image/x-ilbm"}
_MP4_BRANDS: Final = {
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/x-m4a",
    b"M4B ": "audio/x-m4a",
    b"M4V ": "video/x-m4v",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"hevc": "image/heic-sequence",
    b"mif1": "image/heif",
    b"msf1": "image/heif-sequence",
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"jp2 ": "image/jp2",
}
_OGG_CODECS: Final = (
    (b"\x01vorbis", "audio/ogg"),
    (b"OpusHead", "audio/ogg"),
    (b"\x7fFLAC", "audio/ogg"),
    (b"Speex   ", "audio/ogg"),
    (b"\x80theora", "video/ogg"),
    (b"fishead\0", "video/ogg"),
)
_ELF_TYPES: Final = {
    1: "application/x-object",
    2: "application/x-executable",
    3: "application/x-sharedlib",
    4: "application/x-coredump",
}

_OPENXML: Final = "application/vnd.openxmlformats-officedocument."
_WORD: Final = "application/msword"
_EXCEL: Final = "application/vnd.ms-excel"
_POWERPOINT: Final = "application/vnd.ms-powerpoint"
_WORD_X: Final = _OPENXML + "wordprocessingml.document"
_EXCEL_X: Final = _OPENXML + "spreadsheetml.sheet"
_POWERPOINT_X: Final = _OPENXML + "presentationml.presentation"

# The type of an Office file's main part, and what that makes the whole file.
_MAIN_PARTS: Final = (
    (b"wordprocessingml.document.main+xml", _WORD_X),
    (b"wordprocessingml.template.main+xml", _OPENXML + "wordprocessingml.template"),
    (b"ms-word.document.macroEnabled.main+xml", "application/vnd.ms-word.document.macroEnabled.12"),
    (b"ms-word.template.macroEnabledTemplate.main+xml", "application/vnd.ms-word.template.macroEnabled.12"),
    (b"spreadsheetml.sheet.main+xml", _EXCEL_X),
    (b"spreadsheetml.template.main+xml", _OPENXML + "spreadsheetml.template"),
    (b"ms-excel.sheet.macroEnabled.main+xml", "application/vnd.ms-excel.sheet.macroEnabled.12"),
    (b"ms-excel.template.macroEnabled.main+xml", "application/vnd.ms-excel.template.macroEnabled.12"),
    (b"ms-excel.addin.macroEnabled.main+xml", "application/vnd.ms-excel.addin.macroEnabled.12"),
    (b"ms-excel.sheet.binary.macroEnabled.main", "application/vnd.ms-excel.sheet.binary.macroEnabled.12"),
    (b"presentationml.presentation.main+xml", _POWERPOINT_X),
    (b"presentationml.template.main+xml", _OPENXML + "presentationml.template"),
    (b"presentationml.slideshow.main+xml", _OPENXML + "presentationml.slideshow"),
    (b"ms-powerpoint.presentation.macroEnabled.main+xml", "application/vnd.ms-powerpoint.presentation.macroEnabled.12"),
    (b"ms-powerpoint.template.macroEnabled.main+xml", "application/vnd.ms-powerpoint.template.macroEnabled.12"),
    (b"ms-powerpoint.slideshow.macroEnabled.main+xml", "application/vnd.ms-powerpoint.slideshow.macroEnabled.12"),
    (b"ms-powerpoint.addin.macroEnabled.main+xml", "application/vnd.ms-powerpoint.addin.macroEnabled.12"),
)
_OFFICE_FOLDERS: Final = ((b"word/", _WORD_X), (b"xl/", _EXCEL_X), (b"ppt/", _POWERPOINT_X))
_OFFICE_NAMES: Final = {"docx": _WORD_X, "xlsx": _EXCEL_X, "pptx": _POWERPOINT_X}
_OLE_STREAMS: Final = (
    ("WordDocument", _WORD),
    ("Workbook", _EXCEL),
    ("PowerPoint Document", _POWERPOINT),
    ("VisioDocument", "application/vnd.visio"),
    ("__properties_version1.0", "application/vnd.ms-outlook"),
)
_OLE_NAMES: Final = {"doc": _WORD, "dot": _WORD, "xls": _EXCEL, "xlt": _EXCEL, "ppt": _POWERPOINT, "pps": _POWERPOINT}
_ZIP_MIMETYPE: Final = re.compile(rb"(application/(?:vnd\.oasis\.opendocument\.[a-z-]+|epub\+zip)|image/openraster)")

_TABLE_TAG: Final = re.compile(rb"[A-Za-z][A-Za-z0-9/ ]{3}")
_BITMAP_HEADERS: Final = frozenset(length.to_bytes(4, "little") for length in (12, 40, 52, 56, 64, 108, 124))

_INTERPRETERS: Final = (
    (re.compile(r"(?:ba|da|z|k|tc|c|fi|a)?sh"), "text/x-shellscript"),
    (re.compile(r"python[0-9.]*|pypy[0-9.]*"), "text/x-script.python"),
    (re.compile(r"perl[0-9.]*"), "text/x-perl"),
    (re.compile(r"ruby[0-9.]*"), "text/x-ruby"),
    (re.compile(r"php[0-9.]*"), "text/x-php"),
    (re.compile(r"node|nodejs|bun|deno"), "application/javascript"),
    (re.compile(r"[gmn]?awk"), "text/x-awk"),
    (re.compile(r"lua[0-9.]*"), "text/x-lua"),
    (re.compile(r"tclsh[0-9.]*|wish[0-9.]*"), "text/x-tcl"),
)
_SHEBANG: Final = re.compile(r"#![ \t]*([^\s]{1,200})(?:[ \t]+(?:-S[ \t]+)?([^\s]{1,200}))?")
_TEXT_STARTS: Final = (
    ("<?php", "text/x-php"),
    ("BEGIN:VCARD", "text/vcard"),
    ("BEGIN:VCALENDAR", "text/calendar"),
    ("WEBVTT", "text/vtt"),
    ("diff --git ", "text/x-diff"),
    ("%!PS", "application/postscript"),
)
_ELEMENT: Final = re.compile(r"<([A-Za-z_][\w.-]{0,60}:)?([A-Za-z_][\w.-]{0,60})(?=[\s/>]|$)")
_DOCTYPE: Final = re.compile(r"<!doctype\s+([\w:.-]{1,60})", re.IGNORECASE)
_HTML_ELEMENTS: Final = frozenset({"html", "head", "title", "body", "script", "style", "iframe", "table", "div", "h1"})

# What may occur in text, be it UTF-8 or of one byte a character: BEL BS TAB LF VT FF CR ESC, and all above but DEL.
_TEXT_BYTES: Final = bytes({*range(0x07, 0x0E), 0x1B, *range(0x20, 0x7F), *range(0x80, 0x100)})
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROL: Final = re.compile("[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_CREDIBLE_TYPE: Final = re.compile(r"(?:application|audio|font|image|model|video)/[A-Za-z0-9][A-Za-z0-9.+-]*")
_LESS_CREDIBLE: Final = re.compile(
    r"xml|html|javascript|script|zip|ole|octet-stream|bina|office|ms-?(?:word|excel|power)"
)


def detect(head: bytes, size: int, name: str) -> str:
    """The media type of a file, without parameters. Takes some ten to some hundred microseconds; never raises.

    Args:
        head: the first bytes of the file; more than 64 KiB are not looked at.
        size: length of the whole file in bytes; decides whether `head` may be taken for all of it.
        name: name of the file; only tells members of a family apart that the content has already established.
    """
    if not head:
        return EMPTY if size <= 0 else UNKNOWN
    head = bytes(head[:_MAX_HEAD])
    for signature, media_type in _SIGNATURES:
        if head.startswith(signature):
            return media_type
    text = _decode(head)
    if text is not None:
        return _text_type(text, complete=size <= len(head))
    return _container_type(head, name) or _structured_type(head) or _rare_type(head)


def _decode(head: bytes) -> str | None:
    """The head as text, or None when it is none. Without a byte order mark a byte stands for a character."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            try:
                # The last character may be cut.
                text = codecs.getincrementaldecoder(encoding)().decode(head[len(mark) :])
            except UnicodeDecodeError:
                continue
            if _CONTROL.search(text) is None:
                return text
    return head.decode("latin-1") if not head.translate(None, _TEXT_BYTES) else None


def _text_type(text: str, *, complete: bool) -> str:
    for start, media_type in _TEXT_STARTS:
        if text.startswith(start):
            return media_type
    if text.startswith("#!"):
        return _script_type(text)
    stripped = text.lstrip()
    if stripped.startswith("<"):
        return _markup_type(stripped[:_MARKUP_PREFIX])
    if stripped.startswith(("{", "[")) and _is_json(text, complete=complete):
        return "application/json"
    return TEXT


def _script_type(text: str) -> str:
    match = _SHEBANG.match(text)
    if match is None:
        return TEXT
    program = match[1].rpartition("/")[2]
    if program == "env" and match[2]:
        program = match[2].rpartition("/")[2]
    for pattern, media_type in _INTERPRETERS:
        if pattern.fullmatch(program):
            return media_type
    return TEXT


def _markup_type(text: str) -> str:
    declared = text.startswith("<?xml")
    position = 0
    for _ in range(_MAX_ENTRIES):
        if text.startswith("<?", position):
            end = text.find("?>", position)
        elif text.startswith("<!--", position):
            end = text.find("-->", position + 4)
        elif (doctype := _DOCTYPE.match(text, position)) is not None:
            if doctype[1].lower() == "html":
                return "text/xml" if declared else "text/html"
            end = _end_of_doctype(text, position)
        else:
            break
        if end < 0:
            return "text/xml" if declared else TEXT
        position = text.find("<", text.find(">", end))
        if position < 0:
            break
    match = _ELEMENT.match(text, position) if position >= 0 else None
    if match is not None:
        element = match[2].lower()
        if element == "svg":
            return "image/svg+xml"
        if element in _HTML_ELEMENTS and not declared:
            return "text/html"
    return "text/xml" if declared else TEXT


def _end_of_doctype(text: str, position: int) -> int:
    end, subset = text.find(">", position), text.find("[", position)
    if 0 <= subset < end:
        closing = text.find("]", subset)
        return text.find(">", closing) if closing >= 0 else -1
    return end


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _is_json(text: str, *, complete: bool) -> bool:
    """Whether the text is JSON, or what is there of it could be the beginning of JSON."""
    prefix = text if complete else text[:_JSON_PREFIX]
    try:
        json.loads(prefix, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        # In a cut document the parser gets to the end, or into a string that does not end.
        return not complete and (error.pos >= len(prefix) - 12 or error.msg.startswith("Unterminated string"))
    except (ValueError, RecursionError):
        return False
    return complete


def _container_type(head: bytes, name: str) -> str | None:
    start = head[:4]
    kind = head[8:12]
    if start == b"PK\x03\x04":
        return _zip_type(head, name)
    if start in (b"PK\x05\x06", b"PK\x07\x08"):
        return "application/zip"
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _ole_type(head, name)
    if start in (b"RIFF", b"RIFX"):
        return _RIFF.get(kind)
    if start == b"FORM":
        return _IFF.get(kind)
    if start == b"OggS":
        return next((media_type for codec, media_type in _OGG_CODECS if codec in head[28:64]), "application/ogg")
    if start == b"\x1a\x45\xdf\xa3":
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head[4:8] == b"ftyp":
        if kind[:3] in (b"3gp", b"3gr", b"3gs"):
            return "video/3gpp"
        if kind[:3] == b"3g2":
            return "video/3gpp2"
        return _MP4_BRANDS.get(kind, "video/mp4")
    if head[4:8] in (b"moov", b"mdat", b"wide", b"pnot"):
        return "video/quicktime"
    return None


def _zip_entries(head: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, compression method and offset of the data of the entries whose headers lie in the head."""
    position = 0
    for _ in range(_MAX_ENTRIES):
        if head[position : position + 4] != b"PK\x03\x04" or position + 30 > len(head):
            return
        flags = int.from_bytes(head[position + 6 : position + 8], "little")
        method = int.from_bytes(head[position + 8 : position + 10], "little")
        compressed = int.from_bytes(head[position + 18 : position + 22], "little")
        name_length = int.from_bytes(head[position + 26 : position + 28], "little")
        extra_length = int.from_bytes(head[position + 28 : position + 30], "little")
        data = position + 30 + name_length + extra_length
        yield head[position + 30 : position + 30 + name_length], method, data
        position = data + compressed
        if flags & 8:  # the length is told behind the data
            position = head.find(b"PK\x03\x04", data)
            if position < 0:
                return


def _zip_type(head: bytes, name: str) -> str:
    office = macros = False
    for index, (entry, method, data) in enumerate(_zip_entries(head)):
        if index == 0 and entry == b"mimetype" and method == 0:
            match = _ZIP_MIMETYPE.match(head, data, data + 120)
            if match is not None:
                return match[0].decode("ascii")
        if entry == b"[Content_Types].xml":
            office = True
            content_types = _unpack(head[data:], method)
            for part, media_type in _MAIN_PARTS:
                if part in content_types:
                    return media_type
        office = office or entry == b"_rels/.rels" or entry.startswith(b"docProps/")
        macros = macros or entry.endswith(b"/vbaProject.bin")
        if entry == b"AndroidManifest.xml":
            return "application/vnd.android.package-archive"
        if entry in (b"META-INF/", b"META-INF/MANIFEST.MF") and index < 2:
            return "application/java-archive"
        if office and not macros:
            for folder, media_type in _OFFICE_FOLDERS:
                if entry.startswith(folder):
                    return media_type
    return _OFFICE_NAMES.get(_extension(name), "application/zip") if office else "application/zip"


def _unpack(data: bytes, method: int) -> bytes:
    if method != 8:
        return data if method == 0 else b""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, _MAX_CONTENT_TYPES)
    except zlib.error:
        return b""


def _ole_type(head: bytes, name: str) -> str:
    for stream, media_type in _OLE_STREAMS:
        if stream.encode("utf-16-le") in head:
            return media_type
    return _OLE_NAMES.get(_extension(name), "application/x-ole-storage")


def _extension(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _structured_type(head: bytes) -> str | None:
    """Kinds whose signature is too short to be believed without a look at what follows it."""
    if head[:2] == b"BM" and head[14:18] in _BITMAP_HEADERS:
        return "image/bmp"
    if head[:4] == b"\0\0\x01\0" and head[4:6] != b"\0\0" and head[9:10] == b"\0":
        return "image/x-icon"
    if head[:4] == b"\x7fELF" and len(head) >= 18:
        return _ELF_TYPES.get(int.from_bytes(head[16:18], "big" if head[5] == 2 else "little"), UNKNOWN)
    if head[:2] == b"MZ" and len(head) >= 64:
        offset = int.from_bytes(head[60:64], "little")
        portable = head[offset : offset + 4] == b"PE\0\0"
        return "application/vnd.microsoft.portable-executable" if portable else "application/x-dosexec"
    if head[:4] == b"\xca\xfe\xba\xbe" and len(head) >= 8:
        return "application/x-mach-binary" if head[4:7] == b"\0\0\0" and head[7] < 20 else "application/x-java-applet"
    if (
        head[:4] in (b"\0\x01\0\0", b"true")
        and 0 < int.from_bytes(head[4:6], "big") < 100
        and _TABLE_TAG.match(head, 12)
    ):
        return "font/sfnt"
    if head[:1] == b"\x47" and head[188:189] == head[376:377] == b"\x47":
        return "video/MP2T"
    if head[:3] in (b"FWS", b"CWS", b"ZWS") and head[3:4] < b"\x40":
        return "application/vnd.adobe.flash.movie"
    if head[:2] in (b"\xff\xf1", b"\xff\xf9"):
        return "audio/x-hx-aac-adts"
    if _is_mpeg_audio(head):
        return "audio/mpeg"
    if head[257:262] == b"ustar" or _is_old_tar(head):
        return "application/x-tar"
    if head[:3] == b"BZh" and head[4:10] == b"1AY&SY":
        return "application/x-bzip2"
    if head[32_769:32_774] == b"CD001":
        return "application/x-iso9660-image"
    if b"%PDF-" in head[:1024]:
        return "application/pdf"
    return None


def _is_mpeg_audio(head: bytes) -> bool:
    """Whether a frame header of layer II or III begins here, with values that exist."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer in (1, 2) and 0 < bit_rate < 15 and sample_rate != 3


def _is_old_tar(head: bytes) -> bool:
    """Whether a tar header without the later signature begins here: its checksum is right."""
    if len(head) < 512 or head[0] == 0:
        return False
    told = head[148:156].strip(b" \0")
    if not told or told.strip(b"01234567"):
        return False
    return int(told, 8) == sum(head[:148]) + sum(head[156:512]) + 8 * 0x20


def _rare_type(head: bytes) -> str:
    # Reading its table takes some milliseconds, and most servers never get here.
    import puremagic

    try:
        matches = puremagic.magic_string(head)
    except puremagic.PureError:
        return UNKNOWN
    best, best_length = UNKNOWN, 3
    for match in matches:
        pattern: bytes = match.byte_match
        media_type: str = match.mime_type
        # Also leaves out what it found at the end: the end of the head is not the end of the file.
        found = match.offset >= 0 and head.startswith(pattern, match.offset)
        credible = _CREDIBLE_TYPE.fullmatch(media_type) and not _LESS_CREDIBLE.search(media_type)
        if found and credible and len(set(pattern)) > 2 and len(pattern) > best_length:
            best, best_length = media_type, len(pattern)
    return best
