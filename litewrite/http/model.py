"""Response models: what a body looks like, in one place for rendering and for documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import orjson


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a response body. `type` is a JSON Schema type, or a model for embedded ones."""

    name: str
    type: str | type[Model]
    description: str
    example: Any = None
    is_list: bool = False

    def schema(self) -> dict[str, Any]:
        inner: dict[str, Any]
        if isinstance(self.type, str):
            inner = {"type": self.type}
        else:
            inner = {"$ref": f"#/components/schemas/{self.type.schema_name()}"}
        if self.is_list:
            inner = {"type": "array", "items": inner}
        if "$ref" not in inner:
            inner["description"] = self.description
            if self.example is not None:
                inner["example"] = self.example
        return inner


class Model:
    """A response body. Subclasses name their fields and have an `of` that makes one from an entity.

    `body` is a dict of exactly those fields, or bytes that are rendered already.
    """

    NAME: ClassVar[str] = ""
    FIELDS: ClassVar[tuple[Field, ...]] = ()
    OPEN: ClassVar[bool] = False
    """Whether further members may follow, as in a document."""

    __slots__ = ("body",)

    def __init__(self, body: dict[str, Any] | bytes) -> None:
        self.body = body

    @classmethod
    def schema_name(cls) -> str:
        return cls.NAME or cls.__name__[0].lower() + cls.__name__[1:]

    def render(self) -> bytes:
        body = self.body
        return body if isinstance(body, bytes) else orjson.dumps(body)

    def fragment(self) -> Any:
        """The body as a part of another one."""
        body = self.body
        return orjson.Fragment(body) if isinstance(body, bytes) else body

    @classmethod
    def schema(cls) -> dict[str, Any]:
        schema: dict[str, Any] = {
            "type": "object",
            "description": (cls.__doc__ or "").strip(),
            "properties": {field.name: field.schema() for field in cls.FIELDS},
            "required": [field.name for field in cls.FIELDS],
        }
        if cls.OPEN:
            schema["additionalProperties"] = True
        return schema


class Empty(Model):
    """No content."""

    def __init__(self) -> None:
        super().__init__(b"")
