"""Declarations, what they become, and how requests find them."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.errors import ArgumentInvalid
from litewrite.http.endpoint import (
    FORMALLY_REQUIRED,
    Endpoint,
    FileUpload,
    RateLimit,
    Router,
    Routes,
    camel,
    validate,
)
from litewrite.http.params import Integer, ListOf, Text


def declare(handler: Any, method: str = "POST", path: str = "/v1/things", **more: Any) -> Endpoint:
    routes = Routes()
    routes.add(method, path, name="things.create", summary="Create Thing", scope="things.write", **more)(handler)
    return next(iter(routes))


async def create(
    ctx: Any,
    name: Annotated[str, Text(max=5), "Name."],
    old_name: Annotated[str, Text(max=5), "Former name."] = "",
    tags: Annotated[list[str], ListOf(Text(max=3)), "Tags.", FORMALLY_REQUIRED] = ("a",),  # type: ignore[assignment]
) -> dict[str, Any]:
    """Make a thing.

    At length.
    """
    return {}


async def show(
    ctx: Any,
    thing_id: Annotated[str, Text(max=4), "Id."],
    limit: Annotated[int, Integer(0, 100), "Most."] = 25,
) -> None: ...


class TestDeclarations:
    def test_parameters_come_from_the_signature(self) -> None:
        endpoint = declare(create)
        assert [(param.name, param.argument, param.location, param.required) for param in endpoint.params] == [
            ("name", "name", "body", True),
            ("oldName", "old_name", "body", False),
            ("tags", "tags", "body", False),
        ]
        assert [param.formally_required for param in endpoint.params] == [False, False, True]
        assert endpoint.params[2].default == ("a",)
        assert endpoint.description == "Make a thing.\n\nAt length."
        assert endpoint.tag == "things"
        assert endpoint.model == dict[str, Any]

    def test_placeholders_come_from_the_path_and_the_rest_of_get_from_the_query(self) -> None:
        endpoint = declare(show, "GET", "/v1/things/{thingId}")
        assert [param.location for param in endpoint.params] == ["path", "query"]

    def test_one_rate_limit_or_several(self) -> None:
        limit = RateLimit(1, 60, ("ip",))
        assert declare(create, rate_limit=limit).rate_limits == (limit,)
        assert declare(create, rate_limit=(limit, limit)).rate_limits == (limit, limit)
        assert declare(create).rate_limits == ()

    def test_a_file_is_found(self) -> None:
        async def upload(ctx: Any, file: Annotated[Any, FileUpload(), "File."]) -> None: ...

        found = declare(upload).file_param
        assert found is not None
        assert found.name == "file"
        assert declare(create).file_param is None

    def test_an_argument_without_annotation_is_refused(self) -> None:
        async def bare(ctx: Any, name: str) -> None: ...

        with pytest.raises(TypeError, match="name needs Annotated"):
            declare(bare)

    def test_a_placeholder_without_argument_is_refused(self) -> None:
        with pytest.raises(TypeError, match="otherId"):
            declare(show, "GET", "/v1/things/{thingId}/{otherId}")

    @pytest.mark.parametrize(
        ("name", "wire"), [("name", "name"), ("old_password", "oldPassword"), ("a_b_c", "aBC"), ("from_", "from")]
    )
    def test_names_on_the_wire(self, name: str, wire: str) -> None:
        assert camel(name) == wire


class TestValidation:
    endpoint = declare(create)

    def test_values_are_checked_and_named_for_the_handler(self) -> None:
        assert validate(self.endpoint, {}, {"name": "x", "oldName": "y", "tags": ["z"], "unknown": 1}) == {
            "name": "x",
            "old_name": "y",
            "tags": ["z"],
        }

    @pytest.mark.parametrize("empty", [{}, {"oldName": None, "tags": None}, {"oldName": "", "tags": ""}])
    def test_absent_null_and_empty_take_the_default(self, empty: dict[str, Any]) -> None:
        assert validate(self.endpoint, {}, {"name": "x", **empty}) == {"name": "x", "old_name": "", "tags": ("a",)}

    @pytest.mark.parametrize("given", [{}, {"name": None}, {"name": ""}])
    def test_an_empty_required_parameter_is_refused(self, given: dict[str, Any]) -> None:
        with pytest.raises(ArgumentInvalid, match="name") as caught:
            validate(self.endpoint, {}, given)
        assert caught.value.param == "name"

    @pytest.mark.parametrize("value", [0, False, [], {}])
    def test_other_empty_values_are_not_absent(self, value: Any) -> None:
        with pytest.raises(ArgumentInvalid, match="name"):
            validate(self.endpoint, {}, {"name": value})

    def test_the_first_fault_in_the_order_of_declaration_wins(self) -> None:
        with pytest.raises(ArgumentInvalid) as caught:
            validate(self.endpoint, {}, {"tags": "text", "oldName": "too long", "name": "x"})
        assert caught.value.param == "oldName"

    def test_the_path_wins(self) -> None:
        endpoint = declare(show, "GET", "/v1/things/{thingId}")
        assert validate(endpoint, {"thingId": "a"}, {"thingId": "b", "limit": "7"}) == {"thing_id": "a", "limit": 7}


def router(*paths: str, method: str = "GET") -> tuple[Router, dict[str, Endpoint]]:
    made, endpoints = Router(), {}
    for path in paths:
        endpoints[path] = declare(_nothing, method, "/x")
        made.add(method, path, endpoints[path])
    return made, endpoints


async def _nothing(ctx: Any) -> None: ...


class TestRouter:
    def test_matching_is_exact(self) -> None:
        made, endpoints = router("/v1/things", "/v1/things/{thingId}", "/v1/things/{thingId}/parts/{partId}")
        assert made.find("GET", "/v1/things") == (endpoints["/v1/things"], {})
        assert made.find("GET", "/v1/things/7") == (endpoints["/v1/things/{thingId}"], {"thingId": "7"})
        assert made.find("GET", "/v1/things/7/parts/8") == (
            endpoints["/v1/things/{thingId}/parts/{partId}"],
            {"thingId": "7", "partId": "8"},
        )
        for path in (
            "/",
            "",
            "//",
            "/v1",
            "/v1/thing",
            "/v1/thingss",
            "/V1/things",
            "/v1//things",
            "//v1/things",
            "/v1/things/7/parts",
            "/v1/things//parts/8",
            "/v1/things/7/parts/8/9",
            "/x/v1/things",
            "/v1/things/7/{}/8",
            "/v1/%74hings",
            "v1/things",
        ):
            assert made.find("GET", path) is None, path

    def test_a_method_of_another_endpoint_is_a_miss(self) -> None:
        made, _ = router("/v1/things")
        for method in ("POST", "HEAD", "get", ""):
            assert made.find(method, "/v1/things") is None

    def test_one_trailing_slash_is_allowed_on_get_alone(self) -> None:
        made, _ = router("/v1/things", "/v1/things/{thingId}")
        assert made.find("GET", "/v1/things/")
        assert made.find("GET", "/v1/things/7/")
        assert made.find("GET", "/v1/things//") is None
        writing, _ = router("/v1/things", method="DELETE")
        assert writing.find("DELETE", "/v1/things/") is None

    def test_a_literal_wins_over_a_placeholder_which_stays_reachable(self) -> None:
        made, endpoints = router("/a/{x}/c", "/a/b/{y}", "/a/b/d")
        assert made.find("GET", "/a/b/d") == (endpoints["/a/b/d"], {})
        assert made.find("GET", "/a/b/c") == (endpoints["/a/b/{y}"], {"y": "c"})
        assert made.find("GET", "/a/z/c") == (endpoints["/a/{x}/c"], {"x": "z"})
        assert made.find("GET", "/a/z/d") is None

    def test_values_are_percent_decoded_once(self) -> None:
        made, _ = router("/a/{x}")
        for path, value in {
            "/a/b%20c": "b c",
            "/a/%2541": "%41",
            "/a/b%2Fc": "b/c",
            "/a/%C3%A4": "ä",
            "/a/%FF": "\ufffd",
            "/a/+": "+",
            "/a/%": "%",
        }.items():
            found = made.find("GET", path)
            assert found is not None
            assert found[1] == {"x": value}

    def test_two_endpoints_for_one_route_are_refused(self) -> None:
        made, endpoints = router("/a/{x}")
        with pytest.raises(ValueError, match="two endpoints"):
            made.add("GET", "/a/{y}", endpoints["/a/{x}"])

    @given(st.text())
    def test_no_path_makes_it_raise(self, path: str) -> None:
        router("/a/{x}")[0].find("GET", f"/{path}")
