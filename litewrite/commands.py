"""The commands that read or change what a data folder holds, in one table.

Each is a function of an open backend. With no server on the folder, the process that was given the command opens it
and calls the function; with one, the server does. So a command does the same either way, and there is one writer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from litewrite import __version__, control
from litewrite.administration import ADMINISTRATION, Command, check_name, find_project, format_time
from litewrite.config import Config
from litewrite.control import CommandFailed, ControlUnavailable
from litewrite.data_folder import COMMAND_SECONDS, DataFolder, DataFolderError, FolderInUse
from litewrite.entities import CONSOLE, Key, Project, StoredMail
from litewrite.errors import KeyNotFound, LitewriteError, MailNotFound
from litewrite.mail import KINDS
from litewrite.webhook_commands import WEBHOOKS

if TYPE_CHECKING:
    from litewrite.app import Backend

__all__ = ["COMMANDS", "CommandFailed", "perform", "run"]

ALL_SCOPES = "all"
LONGEST_WAIT = 3_600.0
"""Seconds that a command waits for a mail."""
_RETRY_SECONDS = 0.1


async def projects_create(backend: Backend, *, project: str, name: str) -> dict[str, Any]:
    check_name(name, empty=True)
    if not backend.serving:
        await backend.cleanup.finish_project(project)
    return _project(await backend.services.projects.create(project, name))


async def projects_list(backend: Backend) -> list[dict[str, Any]]:
    """The app projects; the built-in console is none."""
    return [_project(project) for project in await backend.services.projects.list() if project.id != CONSOLE]


async def projects_delete(backend: Backend, *, project: str) -> dict[str, Any]:
    found = await find_project(backend, project)
    await backend.services.projects.delete(project)
    return _project(found)


async def keys_create(backend: Backend, *, project: str, name: str, scopes: str) -> dict[str, Any]:
    """Make a key for `scopes`: "all", or names with commas between them. Only this answer has the secret."""
    check_name(name)
    await find_project(backend, project)
    key, secret = await backend.services.keys.create(project, name, _read_scopes(scopes, backend.key_scopes))
    return {**_key(key), "secret": secret}


async def keys_list(backend: Backend, *, project: str) -> list[dict[str, Any]]:
    await find_project(backend, project)
    return [_key(key) for key in await backend.services.keys.list(project)]


async def keys_delete(backend: Backend, *, project: str, key: str) -> dict[str, Any]:
    await find_project(backend, project)
    try:
        found = await backend.services.keys.get(project, key)
        await backend.services.keys.delete(project, key)
    except KeyNotFound:
        raise KeyNotFound(f"There is no key with the id {key} in the project {project}") from None
    return _key(found)


async def mail_list(backend: Backend, *, project: str, to: str, kind: str) -> list[dict[str, Any]]:
    """The newest 100 mails, newest first, without what they say."""
    await find_project(backend, project)
    return [_mail(stored) for stored in await backend.services.mails.list(project, to=to, kind=_mail_kind(kind))]


async def mail_show(backend: Backend, *, project: str, mail: str) -> dict[str, Any]:
    await find_project(backend, project)
    try:
        return _whole_mail(backend, await backend.services.mails.get(project, mail))
    except MailNotFound:
        raise MailNotFound(f"There is no mail with the id {mail[:40]} in the project {project}") from None


async def mail_wait(backend: Backend, *, project: str, to: str, kind: str, after: str, timeout: str) -> dict[str, Any]:
    """The newest mail to an address, or the next one that comes within `timeout` seconds."""
    await find_project(backend, project)
    try:
        seconds = float(timeout)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise CommandFailed(f"The timeout is a number of seconds from 0 to {LONGEST_WAIT:g}, not {timeout[:40]!r}")
    mails = backend.services.mails
    if mails.mode != "outbox":
        what = "sends its mails" if mails.enabled else "has mail switched off"
        raise CommandFailed(f"The server {what}, so there is no outbox to wait for: start it with --mail outbox")
    if not backend.serving:
        seconds = 0.0
    found = await mails.wait(project, to=to, kind=_mail_kind(kind), after=after, seconds=seconds)
    if found is None:
        wanted = f"No {kind} mail" if kind else "No mail"
        reason = f"within {seconds:g} seconds" if backend.serving else "so far, and no server runs that could send one"
        raise CommandFailed(f"{wanted} to {to[:320]} came to the project {project} {reason}")
    return _whole_mail(backend, found)


async def doctor(backend: Backend) -> dict[str, Any]:
    from litewrite.doctor import examine_running

    return await examine_running(backend)


COMMANDS: Mapping[str, Command] = {
    **ADMINISTRATION,
    "projects.create": Command(projects_create, ("project", "name")),
    "projects.list": Command(projects_list),
    "projects.delete": Command(projects_delete, ("project",)),
    "keys.create": Command(keys_create, ("project", "name", "scopes")),
    "keys.list": Command(keys_list, ("project",)),
    "keys.delete": Command(keys_delete, ("project", "key")),
    "mail.list": Command(mail_list, ("project", "to", "kind")),
    "mail.show": Command(mail_show, ("project", "mail")),
    "mail.wait": Command(mail_wait, ("project", "to", "kind", "after", "timeout"), seconds=LONGEST_WAIT + 30.0),
    **WEBHOOKS,
    "doctor": Command(doctor, seconds=3_600.0),
}


async def perform(backend: Backend, name: str, arguments: Mapping[str, Any]) -> Any:
    """Carry out a command on an open backend and return what JSON can hold. Raises `CommandFailed`."""
    command = COMMANDS.get(name)
    if command is None:
        raise CommandFailed(f"litewrite {__version__} knows no command {name[:40]!r}")
    if set(arguments) != set(command.parameters) or not all(isinstance(value, str) for value in arguments.values()):
        wanted = ", ".join(command.parameters) or "nothing"
        raise CommandFailed(f"The command {name} of litewrite {__version__} takes {wanted}, each a text")
    try:
        async with asyncio.timeout(command.seconds):
            return await command.function(backend, **arguments)
    except LitewriteError as error:
        raise CommandFailed(str(error)) from error
    except TimeoutError:
        raise CommandFailed(f"The command {name} did not end within {command.seconds:g} seconds") from None


async def run(config: Config, name: str, arguments: Mapping[str, Any]) -> Any:
    """Carry out a command on the data folder of `config`, or have the server do it that runs on it.

    A folder that is missing is made with its project, as serving would. Raises `CommandFailed`.
    """
    try:
        return await _run(config, name, arguments)
    except DataFolderError as error:
        raise CommandFailed(str(error)) from error


async def _run(config: Config, name: str, arguments: Mapping[str, Any]) -> Any:
    clock = asyncio.get_running_loop().time
    started = clock()
    while True:
        try:
            async with DataFolder(config, kind="command", command=name.replace(".", " ")) as folder:
                from litewrite.app import REFUSALS, open_backend

                try:
                    async with open_backend(config, folder.path, folder.secret, serving=False) as backend:
                        return await perform(backend, name, arguments)
                except REFUSALS as error:
                    raise CommandFailed(str(error)) from error
        except FolderInUse as error:
            if error.holder is None or error.holder.kind != "server":
                raise
            holder = error.holder
        try:
            return await control.call(config.data_dir, name, arguments, seconds=COMMANDS[name].seconds + 5.0)
        except ControlUnavailable as error:
            # It is starting or stopping.
            if clock() - started > COMMAND_SECONDS:
                raise CommandFailed(
                    f"{config.data_dir} is used by {holder}, which takes no commands: {error}"
                ) from None
        await asyncio.sleep(_RETRY_SECONDS)


def openapi_document() -> dict[str, Any]:
    """The OpenAPI description of the API."""
    from litewrite.app import openapi_document as describe

    return describe()


def _read_scopes(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    if text.strip() == ALL_SCOPES:
        return known
    scopes = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not scopes:
        raise CommandFailed(f"Name scopes, with commas between them, or {ALL_SCOPES}. There are {', '.join(known)}")
    unknown = [scope for scope in scopes if scope not in known]
    if unknown:
        raise CommandFailed(
            f"There is no scope {', '.join(scope[:40] for scope in unknown[:5])}. There are {', '.join(known)}"
        )
    return scopes


def _project(project: Project) -> dict[str, Any]:
    return {"id": project.id, "name": project.name, "created_at": format_time(project.created_at)}


def _key(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "project": key.project_id,
        "name": key.name,
        "scopes": list(key.scopes),
        "hint": f"{key.hint}…",
        "created_at": format_time(key.created_at),
    }


def _mail_kind(kind: str) -> str:
    if kind and kind not in KINDS:
        raise CommandFailed(f"There is no kind of mail {kind[:40]!r}. There are {', '.join(KINDS)}")
    return kind


def _mail(stored: StoredMail) -> dict[str, Any]:
    return {
        "id": stored.id,
        "project": stored.project_id,
        "kind": stored.kind,
        "to": stored.recipient,
        "state": stored.state.value,
        "created_at": format_time(stored.created_at),
        "attempts": stored.attempts,
        "error": stored.last_error,
    }


def _whole_mail(backend: Backend, stored: StoredMail) -> dict[str, Any]:
    shown = _mail(stored)
    if not stored.content:
        return shown
    try:
        mail = backend.services.mails.read(stored)
    except ValueError as error:
        raise CommandFailed(f"The mail {stored.id} cannot be read: {error}") from error
    return {
        **shown,
        "to_name": mail.to_name,
        "from_name": mail.sender_name,
        "locale": mail.locale,
        "subject": mail.subject,
        "link": mail.link,
        "text": mail.text,
        "html": mail.html,
    }
