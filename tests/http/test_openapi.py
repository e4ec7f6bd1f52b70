"""The description is whole, consistent and made of the declarations alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

from litewrite.app import openapi_document
from litewrite.http.endpoint import FORMALLY_REQUIRED, FileUpload, RateLimit, Routes
from litewrite.http.model import Empty, Field, Model
from litewrite.http.openapi import describe
from litewrite.http.params import Integer, JsonObject, ListOf, Text


class Part(Model):
    """A part."""

    FIELDS = (Field("$id", "string", "Id.", "a"),)


class Thing(Model):
    """A thing."""

    FIELDS = (
        Field("name", "string", "Name.", "x"),
        Field("tags", "string", "Tags.", ["a"], is_list=True),
        Field("parts", Part, "Parts.", is_list=True),
        Field("main", Part, "Main part."),
    )
    OPEN = True


routes = Routes()


@routes.get("/v1/things/{thingId}", name="things.get", summary="Get Thing", scope="things.read", auth=("key",))
async def get(
    ctx: Any,
    thing_id: Annotated[str, Text(max=4), "Id of the thing."],
    filters: Annotated[list[str], ListOf(Text(max=9)), "Filters."] = (),  # type: ignore[assignment]
    limit: Annotated[int, Integer(0, 100), "Most."] = 25,
) -> Thing:
    """One thing."""
    raise NotImplementedError


@routes.post(
    "/v1/things",
    name="things.create",
    summary="Create Thing",
    scope="things.write",
    rate_limit=RateLimit(10, 60, ("url", "ip")),
    event="things.create",
    status=201,
)
async def create(
    ctx: Any,
    name: Annotated[str, Text(max=4), "Name."],
    data: Annotated[dict[str, Any], JsonObject(), "Data.", FORMALLY_REQUIRED] = {},  # noqa: B006
) -> Thing:
    raise NotImplementedError


@routes.post("/v1/things/{thingId}/file", name="things.upload", summary="Upload", scope="things.write")
async def upload(
    ctx: Any, thing_id: Annotated[str, Text(), "Id."], file: Annotated[Any, FileUpload(), "The file."]
) -> Empty:
    raise NotImplementedError


@routes.get("/v1/things/{thingId}/file", name="things.download", summary="Get", scope="x", content_type="image/png")
async def download(ctx: Any, thing_id: Annotated[str, Text(), "Id."]) -> Any:
    raise NotImplementedError


DOCUMENT = describe(routes, title="t", version="1", description="d")


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def test_an_operation_says_everything_that_its_declaration_does() -> None:
    operation = DOCUMENT["paths"]["/v1/things"]["post"]
    assert operation["operationId"] == "things.create"
    assert operation["tags"] == ["things"]
    assert operation["summary"] == "Create Thing"
    assert operation["x-scope"] == "things.write"
    assert operation["x-event"] == "things.create"
    assert operation["x-rate-limit"] == {"limit": 10, "seconds": 60, "key": ["url", "ip"]}
    assert set(operation["responses"]) == {"201"}


def test_a_body_names_its_required_members_the_formal_ones_included() -> None:
    body = DOCUMENT["paths"]["/v1/things"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert body["required"] is True
    assert schema["required"] == ["name", "data"]
    assert schema["properties"]["name"]["maxLength"] == 4
    assert schema["properties"]["name"]["description"].startswith("Name. ")
    assert schema["properties"]["data"]["default"] == {}


def test_path_and_query() -> None:
    operation = DOCUMENT["paths"]["/v1/things/{thingId}"]["get"]
    assert "requestBody" not in operation
    assert [(param["name"], param["in"], param["required"]) for param in operation["parameters"]] == [
        ("thingId", "path", True),
        ("filters[]", "query", False),
        ("limit", "query", False),
    ]
    assert operation["parameters"][2]["schema"]["default"] == 25
    assert operation["security"] == [{"project": [], "key": []}]


def test_files_go_in_and_out() -> None:
    paths = DOCUMENT["paths"]["/v1/things/{thingId}/file"]
    schema = paths["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert schema["properties"]["file"]["format"] == "binary"
    assert paths["post"]["responses"] == {"200": {"description": "No content."}}
    assert set(paths["get"]["responses"]["200"]["content"]) == {"image/png"}


def test_models_are_described_once_with_those_inside_them() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert set(schemas) == {"part", "thing"}
    assert schemas["thing"]["required"] == ["name", "tags", "parts", "main"]
    assert schemas["thing"]["additionalProperties"] is True
    assert schemas["thing"]["properties"]["parts"]["items"] == {"$ref": "#/components/schemas/part"}
    assert schemas["thing"]["properties"]["main"] == {"$ref": "#/components/schemas/part"}
    assert schemas["thing"]["properties"]["tags"]["type"] == "array"


def test_the_whole_dialect() -> None:
    document = openapi_document()
    assert json.loads(json.dumps(document)) == document
    schemas = document["components"]["schemas"]
    assert {reference.rpartition("/")[2] for reference in references(document)} <= set(schemas)
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] and operation["description"] for operation in operations)
    assert {"account.create", "account.deleteSessions", "health.getAntiVirus"} <= set(names)


def test_every_operation_names_its_path_parameters() -> None:
    for path, operations in openapi_document()["paths"].items():
        placeholders = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        for operation in operations.values():
            assert {param["name"] for param in operation["parameters"] if param["in"] == "path"} == placeholders
