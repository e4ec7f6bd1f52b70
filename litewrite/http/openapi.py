"""The OpenAPI 3 description of a set of endpoints, made from their declarations."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from litewrite.http.endpoint import Endpoint, FileUpload, Param
from litewrite.http.model import Empty, Model


def describe(endpoints: Iterable[Endpoint], *, title: str, version: str, description: str) -> dict[str, Any]:
    """The whole document."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.0.3",
        "info": {"title": title, "version": version, "description": description},
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "a_session_<project>"},
                "jwt": {"type": "apiKey", "in": "header", "name": "X-Appwrite-JWT"},
                "key": {"type": "apiKey", "in": "header", "name": "X-Appwrite-Key"},
                "project": {"type": "apiKey", "in": "header", "name": "X-Appwrite-Project"},
            },
        },
    }


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "description": endpoint.description,
        "parameters": [_parameter(param) for param in endpoint.params if param.location != "body"],
        "responses": {str(endpoint.status): _response(endpoint, schemas)},
        "x-scope": endpoint.scope,
    }
    if endpoint.auth:
        operation["security"] = [{"project": [], kind: []} for kind in endpoint.auth]
    if endpoint.rate_limits:
        limit = endpoint.rate_limits[0]
        operation["x-rate-limit"] = {"limit": limit.limit, "seconds": limit.seconds, "key": list(limit.key)}
    if endpoint.event:
        operation["x-event"] = endpoint.event
    body = [param for param in endpoint.params if param.location == "body"]
    if body:
        operation["requestBody"] = {
            "required": any(map(_is_required, body)),
            "content": {_media_type(body): {"schema": _body(body)}},
        }
    return operation


def _media_type(body: list[Param]) -> str:
    has_file = any(isinstance(param.validator, FileUpload) for param in body)
    return "multipart/form-data" if has_file else "application/json"


def _is_required(param: Param) -> bool:
    return param.required or param.formally_required


def _schema(param: Param) -> dict[str, Any]:
    schema = dict(param.validator.schema())
    if not param.required and param.default is not None:
        schema["default"] = list(param.default) if isinstance(param.default, tuple) else param.default
    return schema


def _parameter(param: Param) -> dict[str, Any]:
    is_list = param.validator.schema().get("type") == "array"
    return {
        "name": f"{param.name}[]" if is_list and param.location == "query" else param.name,
        "in": param.location,
        "required": param.location == "path" or _is_required(param),
        "description": _description(param),
        "schema": _schema(param),
    }


def _description(param: Param) -> str:
    text = param.description
    return f"{text} {param.validator.description[:1].upper()}{param.validator.description[1:]}."


def _body(body: list[Param]) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {param.name: {**_schema(param), "description": _description(param)} for param in body},
    }
    required = [param.name for param in body if _is_required(param)]
    if required:
        schema["required"] = required
    return schema


def _response(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    model = endpoint.model
    if not (inspect.isclass(model) and issubclass(model, Model)):
        return {
            "description": "The content.",
            "content": {endpoint.content_type: {"schema": {"type": "string", "format": "binary"}}},
        }
    if issubclass(model, Empty):
        return {"description": "No content."}
    _collect(model, schemas)
    reference = {"$ref": f"#/components/schemas/{model.schema_name()}"}
    return {"description": (model.__doc__ or "").strip(), "content": {"application/json": {"schema": reference}}}


def _collect(model: type[Model], schemas: dict[str, Any]) -> None:
    name = model.schema_name()
    if name in schemas:
        return
    schemas[name] = model.schema()
    for field in model.FIELDS:
        if not isinstance(field.type, str):
            _collect(field.type, schemas)
