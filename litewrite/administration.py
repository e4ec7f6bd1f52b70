"""Commands about administrators and about what they choose for a project: platforms, providers and settings.

They are rows of the table in `commands.py` and keep to its rules: texts in, what JSON can hold out. Whoever may give
them has the data folder, so no permission is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from litewrite.control import CommandFailed
from litewrite.entities import Platform, PlatformType, Project, User
from litewrite.errors import PlatformNotFound, ProjectNotFound

if TYPE_CHECKING:
    from litewrite.app import Backend
    from litewrite.services.projects import ProjectRecord

__all__ = ["ADMINISTRATION", "NAME_LIMIT", "Command", "check_name", "find_project", "format_time"]

NAME_LIMIT = 128
"""Characters of a name."""
AUTH = "auth."
"""What the names of settings begin with that switch a way of logging in."""
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<netloc>[^/?#\s@\\]*)/*")
_WEB_SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True)
class Command:
    """`function` takes the backend and the parameters by name; all are texts. `seconds` is how long it may take."""

    function: Callable[..., Awaitable[Any]]
    parameters: tuple[str, ...] = ()
    seconds: float = 60.0


class _Check(Protocol):
    def check(self, value: Any) -> Any: ...


def _checked(what: str, kind: _Check, value: Any) -> Any:
    """The value as its kind converts it. Raises `CommandFailed`."""
    try:
        return kind.check(value)
    except ValueError as error:
        raise CommandFailed(f"{what} {error}") from None


async def find_project(backend: Backend, project_id: str) -> Project:
    view = await backend.services.projects.view(project_id)
    if view is None:
        raise ProjectNotFound(f"There is no project with the id {project_id}")
    return view.project


def check_name(name: str, *, empty: bool = False) -> None:
    if not (name or empty):
        raise CommandFailed("The name is empty")
    if len(name) > NAME_LIMIT:
        raise CommandFailed(f"A name has at most {NAME_LIMIT} characters, this one has {len(name)}")
    if not name.isprintable():
        raise CommandFailed("A name consists of printable characters")


def format_time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


# Administrators


async def admins_create(backend: Backend, *, email: str, name: str, password: str) -> dict[str, Any]:
    from litewrite.http.params import Email, Password

    check_name(name, empty=True)
    email = _checked("The e-mail address", Email(), email)
    _checked("The password", Password(), password)
    return _admin(await backend.services.admins.create(email=email, password=password, name=name))


async def admins_list(backend: Backend) -> list[dict[str, Any]]:
    return [_admin(user) for user in await backend.services.admins.list()]


async def admins_delete(backend: Backend, *, admin: str) -> dict[str, Any]:
    """Remove an administrator, named by address or id."""
    return _admin(await backend.services.admins.delete(admin))


def _admin(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "blocked": user.is_blocked,
        "created_at": format_time(user.registered_at),
    }


# Platforms


async def platforms_add(
    backend: Backend, *, project: str, origin: str, host: str, type: str, key: str, name: str
) -> dict[str, Any]:
    """Declare a client by one of its origin, its host name, or the type and key of an app."""
    from litewrite.services.project_access import OPERATOR

    given = [text for text in (origin, host, key) if text]
    if len(given) != 1 or bool(type) != bool(key):
        raise CommandFailed("Name one of an origin, a host name, and the type and key of an app")
    if len(given[0]) > 256 or not given[0].isprintable():
        raise CommandFailed("An origin, host name or key has at most 256 characters, all printable")
    check_name(name, empty=True)
    hostname = host
    if origin:
        hostname, key = _read_origin(origin)
    elif type == PlatformType.WEB or (type and type not in tuple(PlatformType)):
        apps = ", ".join(kind.value for kind in PlatformType if kind is not PlatformType.WEB)
        raise CommandFailed(f"There is no type of app {type[:40]!r}. There are {apps}")
    await find_project(backend, project)
    platform = await backend.services.platforms.create(
        OPERATOR,
        project,
        type=type or PlatformType.WEB.value,
        name=name or given[0][:NAME_LIMIT],
        key=key,
        hostname=hostname,
    )
    return _platform(platform)


def _read_origin(text: str) -> tuple[str, str]:
    """Host name and key of the web platform that stands for an origin."""
    text = text.strip().lower()
    match = _ORIGIN.fullmatch(text)
    if text == "null" or (match and match["scheme"] not in _WEB_SCHEMES):
        return "", f"{match['scheme']}://{match['netloc']}" if match else text
    netloc = match["netloc"] if match else ""
    host = netloc[1:].partition("]")[0] if netloc.startswith("[") else netloc.partition(":")[0]
    if not host:
        raise CommandFailed(
            f"{text[:80]!r} is no origin. There are such as https://app.example.com, tauri://localhost, app:// (every "
            "host of a scheme), file:// and null"
        )
    return host, ""


async def platforms_list(backend: Backend, *, project: str) -> list[dict[str, Any]]:
    from litewrite.services.project_access import OPERATOR

    return [_platform(platform) for platform in await backend.services.platforms.list(OPERATOR, project)]


async def platforms_delete(backend: Backend, *, project: str, platform: str) -> dict[str, Any]:
    from litewrite.services.project_access import OPERATOR

    platforms = backend.services.platforms
    try:
        found = await platforms.get(OPERATOR, project, platform)
        await platforms.delete(OPERATOR, project, platform)
    except PlatformNotFound:
        raise PlatformNotFound(f"There is no platform with the id {platform[:40]} in the project {project}") from None
    return _platform(found)


def _platform(platform: Platform) -> dict[str, Any]:
    return {
        "id": platform.id,
        "project": platform.project_id,
        "type": platform.type,
        "name": platform.name,
        "key": platform.key,
        "host": platform.hostname,
        "created_at": format_time(platform.created_at),
    }


# OAuth2 providers


async def providers_set(backend: Backend, *, project: str, provider: str, app_id: str, secret: str) -> dict[str, Any]:
    """Store the credentials at a provider; both empty switch it off."""
    from litewrite.http.params import OneOf, Text
    from litewrite.services.project_access import OPERATOR
    from litewrite.services.providers import PROVIDERS

    _checked("The provider", OneOf(PROVIDERS), provider)
    _checked("The app id", Text(256), app_id)
    _checked("The secret", Text(512), secret)
    if bool(app_id) != bool(secret):
        raise CommandFailed("A provider needs an app id and a secret")
    record = await backend.services.projects.update_provider(OPERATOR, project, provider, app_id=app_id, secret=secret)
    return {"project": project, "provider": provider, "app_id": app_id, "on": provider in record.providers}


async def providers_list(backend: Backend, *, project: str) -> list[dict[str, Any]]:
    """The providers that have credentials, without the secrets."""
    from litewrite.services.providers import settings_of

    stored = settings_of(await find_project(backend, project))
    return [
        {"provider": key, "app_id": value["app_id"], "on": bool(value["app_id"] and value["secret"])}
        for key, value in sorted(stored.items())
    ]


# Settings


async def settings_show(backend: Backend, *, project: str) -> dict[str, Any]:
    from litewrite.services.project_access import OPERATOR

    return _settings(await backend.services.projects.get(OPERATOR, project))


async def settings_set(backend: Backend, *, project: str, name: str, value: str) -> dict[str, Any]:
    """Change one of the settings that `settings_show` names, and return them all."""
    from litewrite.http.params import Integer, OneOf, Text, Url
    from litewrite.services.project_access import OPERATOR
    from litewrite.services.projects import DETAILS

    projects = backend.services.projects
    current = await projects.get(OPERATOR, project)
    known = _settings(current)
    if name not in known:
        raise CommandFailed(f"There is no setting {name[:40]!r}. There are {', '.join(known)}")
    if name.startswith(AUTH):
        _checked("The value", OneOf(("on", "off")), value)
        record = await projects.update_auth_method(OPERATOR, project, name.removeprefix(AUTH), value == "on")
    elif name == "user-limit":
        limit = _checked("The value", Integer(0, 2**31 - 1), value)
        record = await projects.update_user_limit(OPERATOR, project, limit)
    else:
        if name == "name":
            check_name(value)
        elif value:
            kinds: dict[str, _Check] = {"url": Url(), "logo": Text(1_024)}
            _checked("The value", kinds.get(name, Text(256)), value)
        details = {detail: str(known[detail.replace("_", "-")]) for detail in DETAILS}
        details[name.replace("-", "_")] = value
        record = await projects.update(
            OPERATOR, project, name=value if name == "name" else current.project.name, details=details
        )
    return _settings(record)


def _settings(record: ProjectRecord) -> dict[str, Any]:
    from litewrite.services.projects import AUTH_METHODS, DETAILS

    project = record.project
    return {
        "name": project.name,
        **{detail.replace("_", "-"): project.settings.get(detail, "") for detail in DETAILS},
        "user-limit": project.user_limit,
        **{f"{AUTH}{method}": "on" if project.auth_enabled(method) else "off" for method in AUTH_METHODS},
    }


ADMINISTRATION: Mapping[str, Command] = {
    "admins.create": Command(admins_create, ("email", "name", "password")),
    "admins.list": Command(admins_list),
    "admins.delete": Command(admins_delete, ("admin",)),
    "platforms.add": Command(platforms_add, ("project", "origin", "host", "type", "key", "name")),
    "platforms.list": Command(platforms_list, ("project",)),
    "platforms.delete": Command(platforms_delete, ("project", "platform")),
    "providers.set": Command(providers_set, ("project", "provider", "app_id", "secret")),
    "providers.list": Command(providers_list, ("project",)),
    "settings.show": Command(settings_show, ("project",)),
    "settings.set": Command(settings_set, ("project", "name", "value")),
}
