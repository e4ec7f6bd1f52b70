"""One collection of ten fields for every server, and the requests that a user of an app makes on it.

The rules are as close as the servers allow: with litewrite each document carries the read and write list
["user:<id>"]; with PocketBase each has an owner, and its rules let the owner alone see and change it.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from tests.bench.load import Request
from tests.bench.peers import BenchError, Litewrite, Peer, PocketBase

PAGE = 25
FILLERS = 16
"""Documents that are created at the same time while a collection is filled."""

_WORDS = (
    "amber basin cedar delta ember fjord glade harbor inlet jasper kelp lagoon meadow nectar orchid prairie quartz "
    "river summit thicket upland valley willow yarrow zephyr anchor beacon canyon dune estuary"
)
WORDS = tuple(_WORDS.split())
CITIES = ("Lisbon", "Osaka", "Quito", "Tromsø", "Accra", "Hobart", "Łódź", "Montréal")

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its name, and its type with each server."""

    name: str
    rule: str
    peer: str
    required: bool = False


FIELDS = (
    Field("title", "text", "text", required=True),
    Field("body", "text", "text"),
    Field("category", "text", "text", required=True),
    Field("author", "text", "text"),
    Field("city", "text", "text"),
    Field("rank", "numeric", "number"),
    Field("score", "numeric", "number"),
    Field("done", "boolean", "bool"),
    Field("contact", "email", "email"),
    Field("link", "url", "url"),
)


def category_count(documents: int) -> int:
    """How many categories there are: 100, or fewer so that each has two pages of documents."""
    return max(1, min(100, documents // (2 * PAGE)))


def make_documents(count: int, *, categories: int, seed: int = 1) -> Iterator[Document]:
    """The same documents for the same seed. Categories come in turn; ranks are distinct, so that an order is one."""
    chance = random.Random(seed)
    ranks = list(range(1, count + 1))
    chance.shuffle(ranks)
    for index, rank in enumerate(ranks):
        author = chance.choice(WORDS)
        yield {
            "title": " ".join(chance.choices(WORDS, k=4)).capitalize(),
            "body": " ".join(chance.choices(WORDS, k=19))[:120],
            "category": f"category-{index % categories:02d}",
            "author": author.capitalize(),
            "city": chance.choice(CITIES),
            "rank": rank,
            "score": round(chance.uniform(0.5, 99.5), 2),
            "done": chance.random() < 0.5,
            "contact": f"{author}.{rank}@example.com",
            "link": f"https://example.com/notes/{rank}?from={author}",
        }


@dataclass(frozen=True, slots=True)
class Page:
    """What a list answered, told the same way for every server. `total` is None where it was not asked for."""

    ranks: list[int]
    total: int | None


class Notes(Protocol):
    """A collection on a server, filled, and requests on it by its user."""

    @property
    def peer(self) -> Peer: ...

    async def make(self, documents: Sequence[Document]) -> None:
        """Make the collection and fill it. Raises `BenchError` when the server refuses."""
        ...

    def gets(self) -> list[Request]:
        """Each document by its id."""
        ...

    def lists(self, categories: int, *, total: bool = True) -> list[Request]:
        """The first page of each category, ordered by rank."""
        ...

    def creates(self, documents: Sequence[Document]) -> list[Request]: ...

    def read_page(self, body: Any) -> Page: ...


class LitewriteNotes:
    def __init__(self, peer: Litewrite, name: str = "Notes") -> None:
        self.peer = peer
        self.name = name
        self.ids: list[str] = []
        self._path = ""

    async def make(self, documents: Sequence[Document]) -> None:
        rules = [
            {
                "label": field.name.capitalize(),
                "key": field.name,
                "type": field.rule,
                "required": field.required,
                "array": False,
            }
            for field in FIELDS
        ]
        body = {"name": self.name, "read": ["role:member"], "write": ["role:member"], "rules": rules}
        collection = await self.peer.call("POST", "/v1/database/collections", body, self.peer.key)
        self._path = f"/v1/database/collections/{collection['$id']}/documents"
        made = await fill(self.peer, self.creates(documents))
        self.ids = [document["$id"] for document in made]
        expected = [f"user:{self.peer.user_id}"]
        if any(document["$permissions"] != {"read": expected, "write": expected} for document in made):
            raise BenchError("litewrite: the documents are not their creator's alone")

    def gets(self) -> list[Request]:
        return [Request("GET", f"{self._path}/{id}", self.peer.session) for id in self.ids]

    def lists(self, categories: int, *, total: bool = True) -> list[Request]:
        options = f"limit={PAGE}&orderField=rank&orderType=ASC&orderCast=int"
        return [
            Request("GET", f"{self._path}?filters[0]=category%3D{category}&{options}", self.peer.session)
            for category in _categories(categories)
        ]

    def creates(self, documents: Sequence[Document]) -> list[Request]:
        return [Request("POST", self._path, self.peer.session, {"data": document}) for document in documents]

    def read_page(self, body: Any) -> Page:
        return Page([document["rank"] for document in body["documents"]], body["sum"])


class PocketBaseNotes:
    """`indexed` gives the collection the index that its lists ask for, as an administrator would."""

    def __init__(self, peer: PocketBase, name: str = "notes", *, indexed: bool = True) -> None:
        self.peer = peer
        self.name = name
        self.indexed = indexed
        self.ids: list[str] = []
        self._path = f"/api/collections/{name}/records"

    async def make(self, documents: Sequence[Document]) -> None:
        users = await self.peer.call("GET", "/api/collections/users", headers=self.peer.superuser)
        owner = {"name": "owner", "type": "relation", "collectionId": users["id"], "maxSelect": 1, "required": True}
        fields = [{"name": field.name, "type": field.peer, "required": field.required} for field in FIELDS]
        own = "owner = @request.auth.id"
        body = {
            "name": self.name,
            "type": "base",
            "fields": [*fields, owner],
            "indexes": [f"CREATE INDEX {self.name}_list ON {self.name} (category, rank)"] if self.indexed else [],
            "listRule": own,
            "viewRule": own,
            "createRule": f'@request.auth.id != "" && {own}',
            "updateRule": own,
            "deleteRule": own,
        }
        await self.peer.call("POST", "/api/collections", body, self.peer.superuser)
        self.ids = [record["id"] for record in await fill(self.peer, self.creates(documents))]

    def gets(self) -> list[Request]:
        return [Request("GET", f"{self._path}/{id}", self.peer.session) for id in self.ids]

    def lists(self, categories: int, *, total: bool = True) -> list[Request]:
        equals = 'category = "{}"'
        options = f"page=1&perPage={PAGE}&sort=rank" + ("" if total else "&skipTotal=1")
        return [
            Request("GET", f"{self._path}?filter={quote(equals.format(category))}&{options}", self.peer.session)
            for category in _categories(categories)
        ]

    def creates(self, documents: Sequence[Document]) -> list[Request]:
        return [
            Request("POST", self._path, self.peer.session, {**document, "owner": self.peer.user_id})
            for document in documents
        ]

    def read_page(self, body: Any) -> Page:
        return Page(
            [record["rank"] for record in body["items"]], None if body["totalItems"] < 0 else body["totalItems"]
        )


def _categories(count: int) -> list[str]:
    return [f"category-{index:02d}" for index in range(count)]


async def fill(peer: Peer, requests: Sequence[Request]) -> list[Any]:
    """Send every request once, some at a time, and return the answers in order."""
    answers: list[Any] = [None] * len(requests)
    rest = iter(range(len(requests)))

    async def sender() -> None:
        for index in rest:
            request = requests[index]
            answers[index] = await peer.call(request.method, request.path, request.body, dict(request.headers))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(FILLERS):
                group.create_task(sender())
    except* BenchError as errors:
        raise errors.exceptions[0] from None
    return answers


async def check(notes: Notes, documents: Sequence[Document], categories: int) -> None:
    """Make sure that the server answers what is measured as it should. Raises `BenchError` when it does not."""
    peer = notes.peer
    for index in (0, len(documents) - 1):
        request = notes.gets()[index]
        answer = await peer.call(request.method, request.path, headers=dict(request.headers))
        if any(answer[field.name] != documents[index][field.name] for field in FIELDS):
            raise BenchError(f"{peer.name}: a document came back changed: {json.dumps(answer)}")
        await _refused(peer, request.path, dict(request.headers))
    for total in (True, False):
        request = notes.lists(categories, total=total)[0]
        found = notes.read_page(await peer.call(request.method, request.path, headers=dict(request.headers)))
        wanted = sorted(document["rank"] for document in documents if document["category"] == "category-00")
        if found.ranks != wanted[:PAGE] or found.total not in ({len(wanted)} if total else {len(wanted), None}):
            raise BenchError(f"{peer.name}: a list is not what it should be: {found}, not {wanted[:PAGE]}")


async def _refused(peer: Peer, path: str, headers: dict[str, str]) -> None:
    """Make sure that a document is not for everyone."""
    guest = {name: value for name, value in headers.items() if name not in ("Cookie", "Authorization")}
    async with peer.http.get(peer.url + path, headers=guest) as response:
        if response.status != 404:
            raise BenchError(f"{peer.name}: a document can be read without a session ({response.status})")
