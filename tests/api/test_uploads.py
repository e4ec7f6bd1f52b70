"""Uploads over a real socket, as the SDKs send them and as they should not be."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from dataclasses import replace as with_changes
from pathlib import Path

import aiohttp
import pytest

from litewrite import Config, Litewrite
from litewrite.api import uploads
from litewrite.http import body as body_module
from tests.conftest import Answer, Client, World

PATH = "/storage/files"
BOUNDARY = "XXXX"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
LIMIT = 1_000


def part(name: str, content: bytes | str, filename: str | None = None, media_type: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        head += f'; filename="{filename}"'
    if media_type:
        head += f"\r\nContent-Type: {media_type}"
    data = content.encode() if isinstance(content, str) else content
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


async def pieces(data: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def post(client: Client, data: bytes, *, chunked: bool = False, content_type: str = MULTIPART) -> Answer:
    headers = {"Content-Type": content_type} if content_type else {}
    return await client.post(PATH, data=pieces(data) if chunked else data, headers=headers)


def outcome(answer: Answer) -> tuple[int, str]:
    return answer.status, answer["type"]


@dataclass
class Disk:
    """What lies in the folder of the blobs."""

    world: World

    @property
    def folder(self) -> Path:
        return Path(self.world.server.config.data_dir) / "blobs"

    def files(self) -> list[str]:
        return [name for _, _, names in os.walk(self.folder) for name in names]

    async def settled(self) -> list[str]:
        """The files, once no upload is under way any more."""
        blobs = self.world.backend.blobs
        async with asyncio.timeout(5):
            while blobs._writers:
                await asyncio.sleep(0.005)
        return self.files()


@pytest.fixture
def config(config: Config) -> Config:
    return with_changes(config, storage_limit=LIMIT)


@pytest.fixture
def disk(world: World) -> Disk:
    return Disk(world)


# As clients send them


async def test_the_web_sdk_sends_the_file_first_and_brackets_without_numbers(user: Client) -> None:
    role = f"user:{user.user['$id']}"
    data = form(
        part("file", "hello", "hello.txt", "text/plain"),
        part("read[]", "*"),
        part("read[]", "role:member"),
        part("write[]", role),
    )
    answer = await post(user, data)
    assert answer.status == 201
    assert answer["$permissions"] == {"read": ["*", "role:member"], "write": [role]}
    assert (answer["name"], answer["sizeOriginal"], answer["mimeType"]) == ("hello.txt", 5, "text/plain")


async def test_the_node_sdk_sends_chunks_without_a_length(key: Client) -> None:
    data = form(
        part("file", b"\x89PNG\r\n\x1a\n" + b"\0" * 500, "logo.png", "image/png"),
        part("read[0]", "*"),
        part("write[0]", "role:member"),
        part("write[1]", "*"),
    )
    answer = await post(key, data, chunked=True)
    assert answer.status == 201
    assert answer["$permissions"] == {"read": ["*"], "write": ["role:member", "*"]}
    assert (answer["sizeOriginal"], answer["mimeType"]) == (508, "image/png")


async def test_the_python_sdk_sends_fields_first_and_no_type_of_the_file(key: Client) -> None:
    data = form(part("read[0]", "*"), part("write[0]", "*"), part("file", "a,b", "table.csv"))
    answer = await post(key, data)
    assert answer.status == 201
    assert answer["$permissions"] == {"read": ["*"], "write": ["*"]}


async def test_what_the_client_says_of_the_type_does_not_matter(key: Client) -> None:
    answer = await post(key, form(part("file", b"%PDF-1.4\n", "page.html", "text/html")))
    assert (answer["name"], answer["mimeType"]) == ("page.html", "application/pdf")


async def test_folders_in_the_name_are_left_out(key: Client) -> None:
    assert (await post(key, form(part("file", "x", "../../etc/passwd"))))["name"] == "passwd"


async def test_the_first_file_counts_and_brackets_behind_its_name_do_not(key: Client, disk: Disk) -> None:
    data = form(
        part("other", "no", "other.txt"),
        part("folderId", "root"),
        part("file[]", "first", "1.txt"),
        part("file[]", "second", "2.txt"),
        part("file", "third", "3.txt"),
        part("read[]", "*"),
    )
    answer = await post(key, data)
    assert answer.status == 201
    assert (answer["name"], answer["sizeOriginal"], answer["$permissions"]["read"]) == ("1.txt", 5, ["*"])
    assert len(await disk.settled()) == 1


async def test_the_project_may_be_named_by_a_field_in_front_of_the_file(world: World, key: Client) -> None:
    client = Client(key.http, key.endpoint, {"X-Appwrite-Key": key.headers["X-Appwrite-Key"]})
    file = part("file", "x", "x.txt")
    assert (await post(client, form(part("project", world.project), file))).status == 201
    assert outcome(await post(client, form(file)))[0] in (400, 401)


async def test_a_client_may_ask_whether_to_go_on(key: Client) -> None:
    data = form(part("file", b"x" * 900, "x.bin"))
    answer = await key.post(PATH, data=data, headers={"Content-Type": MULTIPART, "Expect": "100-continue"})
    assert (answer.status, answer["sizeOriginal"]) == (201, 900)


async def test_equal_uploads_at_the_same_time_are_all_stored(key: Client, disk: Disk) -> None:
    data = form(part("file", b"x" * 900, "x.txt"))
    answers = await asyncio.gather(*(post(key, data, chunked=n % 2 == 0) for n in range(12)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer["$id"] for answer in answers}) == 12
    assert len(await disk.settled()) == 12


# Sizes


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT])
async def test_up_to_the_limit_a_file_is_accepted(key: Client, size: int, chunked: bool) -> None:
    answer = await post(key, form(part("file", b"\x01" * size, "x.bin")), chunked=chunked)
    assert answer.status == 201
    assert answer["sizeOriginal"] == size
    content = await key.get(f"{PATH}/{answer['$id']}/download")
    assert (content.status, content.raw) == (200, b"\x01" * size)


async def test_an_empty_file_is_one(key: Client) -> None:
    answer = await post(key, form(part("file", b"", "empty.txt")))
    assert (answer["sizeOriginal"], answer["mimeType"]) == (0, "application/x-empty")
    assert answer["signature"] == "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [LIMIT + 1, 3 * LIMIT])
async def test_beyond_the_limit_a_file_is_refused(key: Client, disk: Disk, size: int, chunked: bool) -> None:
    answer = await post(key, form(part("file", b"x" * size, "x"), part("read[]", "*")), chunked=chunked)
    assert outcome(answer) == (400, "storage_invalid_file_size")
    assert await disk.settled() == []
    assert (await key.get(PATH))["sum"] == 0


@pytest.mark.parametrize("chunked", [False, True])
async def test_far_beyond_the_limit_the_body_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch, key: Client, disk: Disk, chunked: bool
) -> None:
    monkeypatch.setattr(uploads, "FIELD_LIMIT", 500)
    monkeypatch.setattr(uploads, "FRAMING", 500)
    data = form(part("file", b"x" * 100_000, "x"), part("read[]", "*"))
    answer = await key.post(PATH, data=pieces(data, 10_000) if chunked else data, headers={"Content-Type": MULTIPART})
    assert outcome(answer) == (400, "storage_invalid_file_size")
    assert await disk.settled() == []


async def test_a_declared_length_is_enough_to_refuse_but_not_before_the_caller_is_known(
    monkeypatch: pytest.MonkeyPatch, world: World, key: Client
) -> None:
    monkeypatch.setattr(uploads, "FRAMING", 0)
    data = form(part("file", b"x" * (LIMIT + uploads.FIELD_LIMIT + 1), "x"))
    assert outcome(await post(key, data)) == (400, "storage_invalid_file_size")
    assert outcome(await post(world.guest, data)) == (401, "general_unauthorized_scope")


async def test_a_parameter_that_is_wrong_comes_before_a_file_that_is_too_large(key: Client) -> None:
    data = form(part("file", b"x" * (LIMIT + 1), "x"), part("read", "*"))
    assert outcome(await post(key, data)) == (400, "general_argument_invalid")


async def test_long_fields_are_a_fault_of_the_fields(monkeypatch: pytest.MonkeyPatch, key: Client) -> None:
    monkeypatch.setattr(uploads, "FIELD_LIMIT", 5_000)
    file = part("file", b"x" * LIMIT, "x")
    for data in (form(part("a", "x" * 5_001), file), form(file, part("a", "x" * 5_001))):
        assert outcome(await post(key, data)) == (400, "general_argument_invalid")
    assert (await post(key, form(part("a", "x" * 5_000), file))).status == 201


# Faults


@pytest.mark.parametrize(
    "fields",
    [
        (part("read", "*"),),
        (part("write", "*"),),
        (part("read[]", "x" * 65),),
        (part("read[]", "*"), part("write[0]", "x" * 65)),
        (part("read[][]", "x"),),
        (part("read[a]", b"\xff"),),
        tuple(part(f"a{n}", "x") for n in range(1_001)),
    ],
    ids=["text", "text-write", "long", "long-write", "nested", "no-utf8", "many"],
)
@pytest.mark.parametrize("first", [True, False])
async def test_fields_that_are_wrong(key: Client, disk: Disk, fields: tuple[bytes, ...], first: bool) -> None:
    file = (part("file", "x", "x.txt"),)
    parts = (*fields, *file) if first else (*file, *fields)
    assert outcome(await post(key, form(*parts))) == (400, "general_argument_invalid")
    assert await disk.settled() == []


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (form(part("read[]", "*")), MULTIPART),
        (form(part("file", "just text")), MULTIPART),
        (form(part("file", "", "")), MULTIPART),
        (form(part("code", "x", "x.tar.gz")), MULTIPART),
        (form(), MULTIPART),
        (b'{"file": "x", "read": ["*"]}', "application/json"),
        (b"[]", "application/json"),
        (b"file=x&read[]=*", "application/x-www-form-urlencoded"),
        (b"raw bytes", "application/octet-stream"),
        (b"", ""),
    ],
)
async def test_no_file(key: Client, disk: Disk, data: bytes, content_type: str) -> None:
    assert outcome(await post(key, data, content_type=content_type)) == (400, "storage_file_empty")
    assert await disk.settled() == []


FILE = part("file", b"x" * 900, "x.txt")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (FILE, "multipart/form-data"),
        (FILE, "multipart/form-data; boundary="),
        (b"", MULTIPART),
        (FILE, MULTIPART),
        (FILE[:300], MULTIPART),
        (part("read[]", "*")[:20], MULTIPART),
        (form(FILE)[:-6], MULTIPART),
        (form(FILE, part("read[]", "*"))[:-20], MULTIPART),
        (form(FILE.replace(b"form-data", b"attachment")), MULTIPART),
        (form(FILE.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1)), MULTIPART),
        (form(FILE, b"--XXXX\r\n\r\nno headers\r\n"), MULTIPART),
        (form(FILE), "multipart/form-data; boundary=YYYY"),
    ],
)
async def test_a_broken_upload(key: Client, disk: Disk, data: bytes, content_type: str, chunked: bool) -> None:
    answer = await post(key, data, content_type=content_type, chunked=chunked)
    assert outcome(answer) == (403, "storage_invalid_file")
    assert await disk.settled() == []
    assert (await key.get(PATH))["sum"] == 0


async def test_a_write_list_without_the_caller_leaves_nothing(user: Client, disk: Disk) -> None:
    assert outcome(await post(user, form(FILE, part("write[]", "user:other")))) == (401, "user_unauthorized")
    assert await disk.settled() == []
    assert (await user.get(PATH))["sum"] == 0


# Who and when


class Stream:
    """A body whose end is not sent before it is told to."""

    def __init__(self, *beginning: bytes) -> None:
        self._beginning = beginning
        self.sent = asyncio.Event()
        self.go_on = asyncio.Event()
        self.rest = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._beginning:
            yield piece
        self.sent.set()
        await self.go_on.wait()
        yield self.rest


@asynccontextmanager
async def roomy(config: Config, limit: int = 10_000_000) -> AsyncIterator[World]:
    """A server that takes large files."""
    settings = with_changes(config, data_dir=config.data_dir.parent / "roomy", storage_limit=limit)
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
        Litewrite(settings) as server,
    ):
        yield World(server, http)


def send(client: Client, body: Stream) -> asyncio.Task[Answer]:
    # The connection is not used again, so that an answer need not wait for the rest of the body.
    headers = {"Content-Type": MULTIPART, "Connection": "close"}
    return asyncio.create_task(client.post(PATH, data=body, headers=headers))


async def under_way(disk: Disk) -> None:
    while not disk.files():
        await asyncio.sleep(0.005)


async def test_who_may_not_upload_is_refused_before_the_file_is_taken(config: Config) -> None:
    async with roomy(config) as world, asyncio.timeout(20):
        callers = {
            "guest": world.guest,
            "key": await world.key("files.read"),
            "unknown key": world.guest.with_headers(X_Appwrite_Key="unknown"),
        }
        for name, caller in callers.items():
            stream = Stream(part("read[]", "*"), part("file", b"x" * 1_000_000, "x.bin"))
            answer = await send(caller, stream)
            assert outcome(answer) == (401, "general_unauthorized_scope"), name
            assert Disk(world).files() == []
            stream.go_on.set()


async def test_a_file_is_written_while_it_arrives(config: Config) -> None:
    async with roomy(config) as world, asyncio.timeout(20):
        stream = Stream(part("file", b"x" * 2_000_000, "x.bin")[:-2])
        answering = send(await world.key(), stream)
        await under_way(Disk(world))
        assert not answering.done()
        stream.rest = b"\r\n" + form()
        stream.go_on.set()
        answer = await answering
        assert (answer.status, answer["sizeOriginal"]) == (201, 2_000_000)


async def test_a_client_that_goes_away_leaves_nothing(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    async with roomy(config) as world, asyncio.timeout(20):
        key = await world.key()
        answering = send(key, Stream(part("file", b"x" * 2_000_000, "x.bin")[:-2]))
        await under_way(Disk(world))
        answering.cancel()
        await asyncio.wait((answering,))
        assert await Disk(world).settled() == []
        assert (await key.get(PATH))["sum"] == 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_client_that_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch, key: Client, disk: Disk) -> None:
    monkeypatch.setattr(body_module, "IDLE_TIMEOUT", 0.2)
    async with asyncio.timeout(10):
        answer = await send(key, Stream(part("file", b"x" * 500, "x.bin")[:-2]))
    assert outcome(answer) == (400, "general_argument_invalid")
    assert await disk.settled() == []


async def test_stopping_the_server_ends_an_upload(config: Config) -> None:
    async with asyncio.timeout(20):
        async with roomy(config) as world:
            answering = send(await world.key(), Stream(part("file", b"x" * 2_000_000, "x.bin")[:-2]))
            await under_way(Disk(world))
        assert Disk(world).files() == []
        with pytest.raises(aiohttp.ClientError):
            await answering


# Memory


def resident() -> int:
    """Bytes of memory that this process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell the memory of a process")
async def test_a_large_upload_does_not_grow_the_process(config: Config) -> None:
    size, piece = 160_000_000, b"\0" * 250_000
    grown = 0

    async def content() -> AsyncIterator[bytes]:
        nonlocal grown
        yield part("file", "", "zeros.bin")[:-2]
        before = resident()
        for _ in range(size // len(piece)):
            yield piece
            grown = max(grown, resident() - before)
        yield b"\r\n" + form(part("read[0]", "*"))

    async with roomy(config, size) as world:
        key = await world.key()
        small = await post(key, form(FILE))
        assert small.status == 201
        answer = await key.post(PATH, data=content(), headers={"Content-Type": MULTIPART})
        assert (answer.status, answer["sizeOriginal"]) == (201, size)
        assert answer["$permissions"]["read"] == ["*"]
    assert grown < 20_000_000
