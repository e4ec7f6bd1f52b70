"""One declaration per endpoint, and what is made of it: parameters, routes and documentation.

A handler is a coroutine function whose first argument is the context of the call and whose other arguments are the
parameters. Their annotations, `Annotated[type, validator, "Description."]`, are the only place that says what a
parameter is; names are the camelCase of the Python names. The return annotation is the response model.
"""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, get_args, get_origin
from urllib.parse import unquote

from litewrite.errors import ArgumentInvalid

Handler = Callable[..., Awaitable[Any]]


class Validator(Protocol):
    @property
    def description(self) -> str: ...

    def check(self, value: Any) -> Any:
        """The value, converted where the kind says so. Raises ValueError with the reason."""
        ...

    def schema(self) -> dict[str, Any]: ...


class _FormallyRequired:
    """Marks a parameter that the published description calls required although its default makes it optional."""


FORMALLY_REQUIRED = _FormallyRequired()


@dataclass(frozen=True, slots=True)
class FileUpload:
    """The kind of a parameter that is the file of a multipart body."""

    description: str = "a file, sent as multipart/form-data"

    def check(self, value: Any) -> Any:
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "binary"}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `limit` calls in each window of `seconds`; counters are told apart by the parts of `key`.

    Parts are `url` (the route pattern), `ip`, `caller` (the acting user) and `param:<name>`.
    """

    limit: int
    seconds: int
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Param:
    name: str
    """As on the wire, in camelCase."""
    argument: str
    """As in the handler."""
    location: str
    """`path`, `query` or `body`."""
    validator: Validator
    description: str
    required: bool
    default: Any = None
    formally_required: bool = False


@dataclass(frozen=True)
class Endpoint:
    """Everything about one endpoint."""

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    params: tuple[Param, ...]
    model: Any
    scope: str
    status: int
    auth: tuple[str, ...]
    rate_limits: tuple[RateLimit, ...]
    event: str | None
    auth_method: str
    description: str
    content_type: str
    any_origin: bool = False
    """Whether pages of any origin may call it although it writes."""
    with_any_key: bool = False
    """Whether a valid API key may call it whatever its scopes."""

    @property
    def tag(self) -> str:
        return self.name.split(".", 1)[0]

    @functools.cached_property
    def file_param(self) -> Param | None:
        return next((param for param in self.params if isinstance(param.validator, FileUpload)), None)


def camel(name: str) -> str:
    head, *tail = name.rstrip("_").split("_")
    return head + "".join(part.capitalize() for part in tail)


_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def _params(method: str, path: str, handler: Handler) -> tuple[tuple[Param, ...], Any]:
    hints = typing.get_type_hints(handler, include_extras=True)
    placeholders = set(_PLACEHOLDER.findall(path))
    location = "query" if method == "GET" else "body"
    params = []
    arguments = list(inspect.signature(handler).parameters.values())[1:]
    for argument in arguments:
        hint = hints[argument.name]
        if get_origin(hint) is not Annotated:
            raise TypeError(f"{handler.__qualname__}: {argument.name} needs Annotated[type, validator, description]")
        _, validator, description, *marks = get_args(hint)
        name = camel(argument.name)
        has_default = argument.default is not inspect.Parameter.empty
        params.append(
            Param(
                name=name,
                argument=argument.name,
                location="path" if name in placeholders else location,
                validator=validator,
                description=description,
                required=not has_default,
                default=argument.default if has_default else None,
                formally_required=FORMALLY_REQUIRED in marks,
            )
        )
    missing = placeholders - {param.name for param in params}
    if missing:
        raise TypeError(f"{handler.__qualname__}: no argument for {', '.join(sorted(missing))} of {path}")
    return tuple(params), hints.get("return")


class Routes:
    """Collects the endpoints of one file. `routes.get(...)`, `.post(...)` and so on decorate handlers."""

    def __init__(self) -> None:
        self._endpoints: list[Endpoint] = []

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._endpoints)

    def add(
        self,
        method: str,
        path: str,
        *,
        name: str,
        summary: str,
        scope: str,
        auth: Sequence[str] = (),
        rate_limit: RateLimit | Sequence[RateLimit] | None = None,
        event: str | None = None,
        status: int = 200,
        auth_method: str = "",
        content_type: str = "application/json",
        any_origin: bool = False,
        with_any_key: bool = False,
    ) -> Callable[[Handler], Handler]:
        def declare(handler: Handler) -> Handler:
            params, model = _params(method, path, handler)
            limits = (rate_limit,) if isinstance(rate_limit, RateLimit) else tuple(rate_limit or ())
            self._endpoints.append(
                Endpoint(
                    method=method,
                    path=path,
                    name=name,
                    summary=summary,
                    handler=handler,
                    params=params,
                    model=model,
                    scope=scope,
                    status=status,
                    auth=tuple(auth),
                    rate_limits=limits,
                    event=event,
                    auth_method=auth_method,
                    description=inspect.getdoc(handler) or "",
                    content_type=content_type,
                    any_origin=any_origin,
                    with_any_key=with_any_key,
                )
            )
            return handler

        return declare

    def get(self, path: str, **declaration: Any) -> Callable[[Handler], Handler]:
        return self.add("GET", path, **declaration)

    def post(self, path: str, **declaration: Any) -> Callable[[Handler], Handler]:
        return self.add("POST", path, **declaration)

    def put(self, path: str, **declaration: Any) -> Callable[[Handler], Handler]:
        return self.add("PUT", path, **declaration)

    def patch(self, path: str, **declaration: Any) -> Callable[[Handler], Handler]:
        return self.add("PATCH", path, **declaration)

    def delete(self, path: str, **declaration: Any) -> Callable[[Handler], Handler]:
        return self.add("DELETE", path, **declaration)


def validate(endpoint: Endpoint, path: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the handler out of path, query or body.

    An absent, null or empty parameter takes its default; one that is then still empty is refused when required and
    passed on unchecked when not. Raises `ArgumentInvalid`, which names the parameter, for the first fault in the order
    of declaration.
    """
    arguments: dict[str, Any] = {}
    for param in endpoint.params:
        name = param.name
        value = path[name] if param.location == "path" else given.get(name)
        if value is None or value == "":
            if param.required:
                raise ArgumentInvalid(name, f"it is required ({param.validator.description})")
            arguments[param.argument] = param.default
            continue
        try:
            arguments[param.argument] = param.validator.check(value)
        except ValueError as error:
            raise ArgumentInvalid(name, str(error)) from None
    return arguments


class Router:
    """Finds the endpoint of a method and a path. Matching is exact; a placeholder is one non-empty segment.

    Patterns are a tree of their segments, so a look-up takes one step a segment however many routes there are.
    """

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}

    def add(self, method: str, path: str, endpoint: Endpoint) -> None:
        node = self._root
        names = []
        for segment in path.strip("/").split("/"):
            placeholder = _PLACEHOLDER.fullmatch(segment)
            if placeholder:
                names.append(placeholder[1])
                segment = "{}"
            node = node.setdefault(segment, {})
        methods = node.setdefault("", {})
        if method in methods:
            raise ValueError(f"two endpoints for {method} {path}")
        methods[method] = (endpoint, tuple(names))

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """The endpoint and the values of its placeholders, or None.

        `path` starts with a slash and is as it came, percent-encoded. One trailing slash is allowed on GET.
        """
        segments = path.split("/")[1:]
        if segments and segments[-1] == "" and method == "GET" and len(segments) > 1:
            segments.pop()
        found = self._walk(self._root, segments, 0, method)
        if found is None:
            return None
        (endpoint, names), values = found
        if "%" in path:
            values = tuple(unquote(value) for value in values)
        return endpoint, dict(zip(names, values, strict=True))

    def _walk(
        self, node: dict[str, Any], segments: list[str], index: int, method: str
    ) -> tuple[tuple[Endpoint, tuple[str, ...]], tuple[str, ...]] | None:
        if index == len(segments):
            match = node.get("", {}).get(method)
            return (match, ()) if match else None
        segment = segments[index]
        if not segment:
            return None
        literal = node.get(segment) if segment != "{}" else None
        if literal is not None:
            found = self._walk(literal, segments, index + 1, method)
            if found:
                return found
        variable = node.get("{}")
        if variable is None:
            return None
        found = self._walk(variable, segments, index + 1, method)
        if found is None:
            return None
        match, values = found
        return match, (segment, *values)
