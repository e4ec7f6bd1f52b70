"""The database service: collections with their rules, and the documents in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from litewrite.api.context import Context
from litewrite.api.v0_11 import models
from litewrite.api.v0_11.filters import CASTS, parse_filter, parse_order
from litewrite.api.v0_11.params import ID, LIMIT, NAME, ORDER_TYPE, ROLES, SEARCH
from litewrite.api.v0_11.rules import Rule
from litewrite.entities import Attribute
from litewrite.http.endpoint import FORMALLY_REQUIRED, Routes
from litewrite.http.params import Integer, JsonObjectOrText, Key, ListOf, OneOf, Text
from litewrite.services.documents import APPEND, ASSIGN, PREPEND

routes = Routes()

SERVER = ("key",)
ANYONE = ("session", "key", "jwt")
COLLECTIONS = "/v1/database/collections"
COLLECTION = f"{COLLECTIONS}/{{collectionId}}"
DOCUMENTS = f"{COLLECTION}/documents"
DOCUMENT = f"{DOCUMENTS}/{{documentId}}"


@dataclass(frozen=True, slots=True)
class _Data(JsonObjectOrText):
    """The attributes of a document. A list passes, so that it is refused for its structure and not as a parameter."""

    def check(self, value: Any) -> Any:
        return value if isinstance(value, list) else super(_Data, self).check(value)


COLLECTION_OFFSET = Integer(0, 40_000)
DOCUMENT_OFFSET = Integer(0, 900_000_000)
RULES = ListOf(Rule())
DATA = _Data()
FILTERS = ListOf(Text(max=128))
FIELD = Text(max=128)
CAST = OneOf(CASTS)
PLACE = OneOf((ASSIGN, APPEND, PREPEND))


@routes.post(
    COLLECTIONS,
    name="database.createCollection",
    summary="Create Collection",
    scope="collections.write",
    auth=SERVER,
    event="database.collections.create",
    status=201,
)
async def create_collection(
    ctx: Context,
    name: Annotated[str, NAME, "Name; names need not be unique."],
    read: Annotated[list[str] | None, ROLES, "Roles that may use the collection.", FORMALLY_REQUIRED] = None,
    write: Annotated[list[str] | None, ROLES, "Write list, kept but never asked.", FORMALLY_REQUIRED] = None,
    rules: Annotated[list[Attribute] | None, RULES, "Rules for the documents.", FORMALLY_REQUIRED] = None,
) -> models.Collection:
    """Create a collection with the rules for its documents."""
    collection = await ctx.services.collections.create(
        ctx.actor, name=name, read=read or (), write=write or (), attributes=rules or ()
    )
    return models.Collection.of(collection)


@routes.get(
    COLLECTIONS,
    name="database.listCollections",
    summary="List Collections",
    scope="collections.read",
    auth=SERVER,
)
async def list_collections(
    ctx: Context,
    search: Annotated[str, SEARCH, "Words to look for in names and rules."] = "",
    limit: Annotated[int, LIMIT, "Size of the page."] = 25,
    offset: Annotated[int, COLLECTION_OFFSET, "Matches to skip."] = 0,
    order_type: Annotated[str, ORDER_TYPE, "ASC for the oldest first, or DESC."] = "ASC",
) -> models.CollectionList:
    """The collections of the project."""
    page = await ctx.services.collections.list(
        ctx.actor, search=search, limit=limit, offset=offset, descending=order_type == "DESC"
    )
    return models.CollectionList.of(page)


@routes.get(COLLECTION, name="database.getCollection", summary="Get Collection", scope="collections.read", auth=SERVER)
async def get_collection(ctx: Context, collection_id: Annotated[str, ID, "Id of the collection."]) -> models.Collection:
    """One collection with its rules."""
    return models.Collection.of(await ctx.services.collections.get(ctx.actor, collection_id))


@routes.put(
    COLLECTION,
    name="database.updateCollection",
    summary="Update Collection",
    scope="collections.write",
    auth=SERVER,
    event="database.collections.update",
)
async def update_collection(
    ctx: Context,
    collection_id: Annotated[str, ID, "Id of the collection."],
    name: Annotated[str, NAME, "New name."],
    read: Annotated[list[str] | None, ROLES, "New read list; the present one when omitted."] = None,
    write: Annotated[list[str] | None, ROLES, "New write list; the present one when omitted."] = None,
    rules: Annotated[list[Attribute] | tuple[()], RULES, "The new rules, replacing all present ones."] = (),
) -> models.Collection:
    """Replace the name and the rules of a collection, and its permissions when they are given."""
    collection = await ctx.services.collections.update(
        ctx.actor, collection_id, name=name, read=read, write=write, attributes=rules
    )
    return models.Collection.of(collection)


@routes.delete(
    COLLECTION,
    name="database.deleteCollection",
    summary="Delete Collection",
    scope="collections.write",
    auth=SERVER,
    event="database.collections.delete",
    status=204,
)
async def delete_collection(ctx: Context, collection_id: Annotated[str, ID, "Id of the collection."]) -> models.Empty:
    """Delete a collection and, in the background, all of its documents."""
    await ctx.services.collections.delete(ctx.actor, collection_id)
    return models.Empty()


@routes.post(
    DOCUMENTS,
    name="database.createDocument",
    summary="Create Document",
    scope="documents.write",
    auth=ANYONE,
    event="database.documents.create",
    status=201,
)
async def create_document(
    ctx: Context,
    collection_id: Annotated[str, ID, "Id of the collection."],
    data: Annotated[Any, DATA, "Attributes of the document.", FORMALLY_REQUIRED] = None,
    read: Annotated[list[str] | None, ROLES, "Roles that may read; the caller alone when omitted."] = None,
    write: Annotated[list[str] | None, ROLES, "Roles that may change; the caller alone when omitted."] = None,
    parent_document: Annotated[str, ID, "Id of the document that is to hold the new one."] = "",
    parent_property: Annotated[str, Key(), "Attribute of the parent that is to hold it."] = "",
    parent_property_type: Annotated[str, PLACE, "How the attribute takes it."] = ASSIGN,
) -> models.Document:
    """Create a document, or create it inside of another one, which is then the answer."""
    written = await ctx.services.documents.create(
        ctx.actor,
        collection_id,
        data,
        read=read,
        write=write,
        parent_id=parent_document,
        parent_key=parent_property,
        parent_place=parent_property_type,
    )
    return models.Document.of(written.document, written.shown)


@routes.get(DOCUMENTS, name="database.listDocuments", summary="List Documents", scope="documents.read", auth=ANYONE)
async def list_documents(
    ctx: Context,
    collection_id: Annotated[str, ID, "Id of the collection."],
    filters: Annotated[list[str] | tuple[()], FILTERS, "Conditions: attribute, operator, value."] = (),
    limit: Annotated[int, LIMIT, "Size of the page."] = 25,
    offset: Annotated[int, DOCUMENT_OFFSET, "Matches to skip."] = 0,
    order_field: Annotated[str, FIELD, "Attribute to order by; creation when omitted."] = "",
    order_type: Annotated[str, ORDER_TYPE, "ASC or DESC."] = "ASC",
    order_cast: Annotated[str, CAST, "What values are taken for when they are ordered."] = "string",
    search: Annotated[str, SEARCH, "Words to look for in the texts of documents."] = "",
) -> models.DocumentList:
    """The documents that the caller may read, filtered, searched, ordered and paged."""
    page = await ctx.services.documents.list(
        ctx.actor,
        collection_id,
        filters=map(parse_filter, filters),
        search=search,
        order=parse_order(order_field, order_type, order_cast),
        limit=limit,
        offset=offset,
    )
    return models.DocumentList.of(page)


@routes.get(DOCUMENT, name="database.getDocument", summary="Get Document", scope="documents.read", auth=ANYONE)
async def get_document(
    ctx: Context,
    collection_id: Annotated[str, ID, "Id of the collection."],
    document_id: Annotated[str, ID, "Id of the document."],
) -> models.Document:
    """One document."""
    return models.Document.of(await ctx.services.documents.get(ctx.actor, collection_id, document_id))


@routes.patch(
    DOCUMENT,
    name="database.updateDocument",
    summary="Update Document",
    scope="documents.write",
    auth=ANYONE,
    event="database.documents.update",
)
async def update_document(
    ctx: Context,
    collection_id: Annotated[str, ID, "Id of the collection."],
    document_id: Annotated[str, ID, "Id of the document."],
    data: Annotated[Any, DATA, "Attributes to replace; null removes one.", FORMALLY_REQUIRED] = None,
    read: Annotated[list[str] | None, ROLES, "New read list; the present one when omitted."] = None,
    write: Annotated[list[str] | None, ROLES, "New write list; the present one when omitted."] = None,
) -> models.Document:
    """Change attributes or permissions of a document."""
    written = await ctx.services.documents.update(ctx.actor, collection_id, document_id, data, read=read, write=write)
    return models.Document.of(written.document, written.shown)


@routes.delete(
    DOCUMENT,
    name="database.deleteDocument",
    summary="Delete Document",
    scope="documents.write",
    auth=ANYONE,
    event="database.documents.delete",
    status=204,
)
async def delete_document(
    ctx: Context,
    collection_id: Annotated[str, ID, "Id of the collection."],
    document_id: Annotated[str, ID, "Id of the document."],
) -> models.Empty:
    """Delete a document."""
    await ctx.services.documents.delete(ctx.actor, collection_id, document_id)
    return models.Empty()
