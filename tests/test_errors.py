"""The catalogue of errors, and that every dialect renders all of it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

import litewrite
from litewrite import errors
from litewrite.api.v0_11.errors import TABLE, ErrorRenderer
from litewrite.errors import LitewriteError

STATUSES = {400, 401, 402, 403, 404, 409, 412, 429, 500, 501, 503}
RENDERERS: dict[str, Callable[[BaseException], tuple[int, dict[str, Any]]]] = {"v0_11": ErrorRenderer("1.2.3")}


def kinds(base: type[LitewriteError] = LitewriteError) -> Iterator[type[LitewriteError]]:
    """All kinds, also those that are declared outside of the catalogue."""
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


for module in pkgutil.walk_packages(litewrite.__path__, "litewrite."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
KINDS = sorted(set(kinds()), key=lambda kind: kind.__name__)


def make(kind: type[LitewriteError]) -> LitewriteError:
    """An instance, whatever the kind asks for."""
    for arguments in ((), ("name", "reason"), (5,), ("reason",)):
        try:
            return kind(*arguments)
        except TypeError:
            continue
    raise AssertionError(f"{kind.__name__} takes unusual arguments: extend this function")


def test_the_catalogue_is_found() -> None:
    assert {errors.ArgumentInvalid, errors.UserNotFound, errors.Overloaded} <= set(KINDS)
    assert len(KINDS) > 40


@pytest.mark.parametrize("name", RENDERERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_rendered(name: str, kind: type[LitewriteError]) -> None:
    status, body = RENDERERS[name](make(kind))
    assert status in STATUSES
    assert set(body) == {"message", "code", "version", "type"}
    assert (body["code"], body["version"]) == (status, "1.2.3")
    assert body["message"]
    assert body["type"]
    unavailable = (errors.DatabaseUnavailable, errors.StorageUnavailable, errors.ProviderFailed)
    assert (status == 500) == issubclass(kind, unavailable), "a kind without a row would be a plain 500"


@pytest.mark.parametrize("kind", sorted(TABLE, key=lambda kind: kind.__name__))
def test_every_row_is_a_kind(kind: type[LitewriteError]) -> None:
    assert issubclass(kind, LitewriteError)
    assert kind.__module__ == "litewrite.errors"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.__module__ == "litewrite.errors"])
def test_every_kind_of_the_catalogue_has_its_own_row(kind: type[LitewriteError]) -> None:
    assert kind in TABLE


@pytest.mark.parametrize(
    ("kind", "status", "identifier"),
    [
        (errors.ProjectUnknown, 400, "project_unknown"),
        (errors.ScopeMissing, 401, "general_unauthorized_scope"),
        (errors.AccessForbidden, 401, "general_access_forbidden"),
        (errors.UserBlocked, 401, "user_blocked"),
        (errors.JwtInvalid, 401, "user_jwt_invalid"),
        (errors.Unauthorized, 401, "user_unauthorized"),
        (errors.InvalidCredentials, 401, "user_invalid_credentials"),
        (errors.InvalidToken, 401, "user_invalid_token"),
        (errors.OriginUnknown, 403, "general_unknown_origin"),
        (errors.RouteNotFound, 404, "general_route_not_found"),
        (errors.ProjectNotFound, 404, "project_not_found"),
        (errors.UserNotFound, 404, "user_not_found"),
        (errors.TeamNotFound, 404, "team_not_found"),
        (errors.MembershipNotFound, 404, "membership_not_found"),
        (errors.CollectionNotFound, 404, "collection_not_found"),
        (errors.DocumentNotFound, 404, "document_not_found"),
        (errors.FileNotFound, 404, "storage_file_not_found"),
        (errors.FunctionNotFound, 404, "function_not_found"),
        (errors.ExecutionNotFound, 404, "execution_not_found"),
        (errors.SessionNotFound, 404, "user_session_not_found"),
        (errors.SessionRequired, 401, "user_session_not_found"),
        (errors.WebhookNotFound, 404, "webhook_not_found"),
        (errors.KeyNotFound, 404, "key_not_found"),
        (errors.PlatformNotFound, 404, "platform_not_found"),
        (errors.UserExists, 409, "user_already_exists"),
        (errors.EmailTaken, 400, "user_already_exists"),
        (errors.PasswordResetRequired, 412, "user_password_reset_required"),
        (errors.RateLimitExceeded, 429, "general_rate_limit_exceeded"),
        (errors.UserCountExceeded, 501, "user_count_exceeded"),
        (errors.AuthMethodDisabled, 501, "user_auth_method_unsupported"),
        (errors.MailDisabled, 503, "general_smtp_disabled"),
        (errors.DatabaseUnavailable, 500, "general_server_error"),
    ],
)
def test_statuses_and_identifiers_of_0_11(kind: type[LitewriteError], status: int, identifier: str) -> None:
    rendered, body = ErrorRenderer("1")(kind())
    assert (rendered, body["type"]) == (status, identifier)


def test_an_argument_is_named() -> None:
    status, body = ErrorRenderer("1")(errors.ArgumentInvalid("email", "it is required"))
    assert (status, body["type"]) == (400, "general_argument_invalid")
    assert body["message"] == "Invalid email: it is required"


def test_a_subclass_without_a_row_is_rendered_as_its_base() -> None:
    class Special(errors.UserNotFound):
        message = "Nobody of that name"

    assert ErrorRenderer("1")(Special()) == (
        404,
        {"message": "Nobody of that name", "code": 404, "version": "1", "type": "user_not_found"},
    )


@pytest.mark.parametrize(
    "error", [ValueError("/etc/secret"), TimeoutError("/etc/secret"), errors.DatabaseUnavailable("/etc/secret")]
)
def test_a_500_tells_nothing_about_its_cause(error: Exception) -> None:
    status, body = ErrorRenderer("1")(error)
    assert (status, body["type"], body["message"]) == (500, "general_server_error", "Server Error")


def test_half_surrogate_pairs_do_not_break_the_body() -> None:
    _, body = ErrorRenderer("1")(errors.OriginUnknown("http://\udcff"))
    assert orjson.loads(orjson.dumps(body))["message"] == "http://?"
