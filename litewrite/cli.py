"""The command line: `litewrite COMMAND`, also `python -m litewrite COMMAND`.

Exit codes: 0 for success, 1 for a failure, with one sentence about it on standard error, 2 for a wrong command line.
What a command needs is imported when it was chosen, so that the light ones answer at once.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from litewrite import __version__

if TYPE_CHECKING:
    from litewrite.config import Config

__all__ = ["main"]

T = TypeVar("T")

DONE = 0
FAILED = 1

Run = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line and return the exit code. Raises SystemExit for a wrong one."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    # Making the flags of all settings takes longer than answering `version`.
    options = _make_parser(with_settings="serve" in given).parse_args(given)
    run: Run = options.run
    try:
        return run(options)
    except BrokenPipeError:
        # Whoever read the output has gone. Python would complain about what is left of it once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _make_parser(*, with_settings: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="litewrite", description="A self-contained backend for apps, speaking the REST API of Appwrite 0.11."
    )
    parser.add_argument("--version", action="version", version=f"litewrite {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    serve = _add(commands, "serve", "run the server", _serve)
    if with_settings:
        _add_settings(serve)

    projects = _add_group(commands, "projects", "make, list and delete app projects")
    create = _add(projects, "create", "make a project", _projects_create, data=True, as_json=True)
    create.add_argument("id", help="1 to 32 characters out of A-Z a-z 0-9 . _ -")
    create.add_argument("--name", default="", help="name for people; by default the id")
    _add(projects, "list", "list the projects", _projects_list, data=True, as_json=True)
    delete = _add(
        projects, "delete", "delete a project with everything in it", _projects_delete, data=True, as_json=True
    )
    delete.add_argument("id", help="id of the project")

    keys = _add_group(commands, "keys", "make, list and delete API keys")
    create = _add(keys, "create", "make a key; the last line shows its secret", _keys_create, data=True, as_json=True)
    create.add_argument("--name", required=True, help="name for people")
    create.add_argument("--scopes", required=True, metavar="all|LIST", help="all, or scopes with commas between them")
    _add_project(create)
    _add_project(_add(keys, "list", "list the keys", _keys_list, data=True, as_json=True))
    delete = _add(keys, "delete", "delete a key", _keys_delete, data=True, as_json=True)
    delete.add_argument("id", help="id of the key")
    _add_project(delete)

    _add_administration(commands)

    mail = _add_group(commands, "mail", "read the outbox: what a project has mailed")
    listing = _add(mail, "list", "list the newest mails, newest first", _mail_list, data=True, as_json=True)
    listing.add_argument("--to", default="", metavar="ADDRESS", help="only mails to this address")
    show = _add(mail, "show", "show a mail", _mail_show, data=True, as_json=True)
    show.add_argument("id", help="id of the mail")
    wait = _add(mail, "wait", "show the newest mail to an address, or the next", _mail_wait, data=True, as_json=True)
    wait.add_argument("--to", required=True, metavar="ADDRESS", help="address of the recipient")
    wait.add_argument("--timeout", default="10", metavar="SECONDS", help="how long to wait (default 10)")
    wait.add_argument("--after", default="", metavar="ID", help="only a mail that came after the one with this id")
    for command in (listing, wait):
        command.add_argument("--kind", default="", help="verification, recovery, magic-link or invitation")
    for command in (listing, show, wait):
        _add_project(command, "mails")

    _add_webhooks(commands)

    _add(commands, "doctor", "look for what is wrong, changing nothing", _doctor, data=True, as_json=True)
    _add(commands, "openapi", "print the description of the API as OpenAPI 3", _openapi)
    _add(commands, "version", "print the version", _version, as_json=True)
    return parser


def _add_webhooks(commands: Any) -> None:
    webhooks = _add_group(commands, "webhooks", "have events sent to URLs, and see what became of that")
    create = _add(
        webhooks, "create", "make a webhook; the last line shows its id", _webhooks_create, data=True, as_json=True
    )
    create.add_argument("--name", required=True, help="name for people")
    create.add_argument("--url", required=True, help="where to send events, http or https")
    create.add_argument("--events", required=True, metavar="all|LIST", help="all, or events with commas between them")
    create.add_argument(
        "--user",
        default="",
        metavar="NAME",
        help="user for basic authentication; the password is asked for, or read from standard input",
    )
    create.add_argument("--no-verify", action="store_true", help="trust whatever certificate the target shows")
    listing = _add(webhooks, "list", "list the webhooks", _webhooks_list, data=True, as_json=True)
    delete = _add(
        webhooks, "delete", "delete a webhook with what waits for it", _webhooks_delete, data=True, as_json=True
    )
    deliveries = _add(
        webhooks,
        "deliveries",
        "list the newest deliveries, newest first",
        _webhooks_deliveries,
        data=True,
        as_json=True,
    )
    for command in (delete, deliveries):
        command.add_argument("id", help="id of the webhook")
    for command in (create, listing, delete, deliveries):
        _add_project(command, "webhook")


def _add_administration(commands: Any) -> None:
    admins = _add_group(commands, "admins", "make, list and delete administrators of the console")
    create = _add(
        admins,
        "create",
        "make an administrator; the password is asked for, or read from standard input",
        _admins_create,
        data=True,
        as_json=True,
    )
    create.add_argument("--email", required=True, metavar="ADDRESS", help="address to log in with")
    create.add_argument("--name", default="", help="name for people")
    _add(admins, "list", "list the administrators", _admins_list, data=True, as_json=True)
    delete = _add(admins, "delete", "delete an administrator; projects stay", _admins_delete, data=True, as_json=True)
    delete.add_argument("admin", metavar="ADDRESS", help="address or id of the administrator")

    platforms = _add_group(commands, "platforms", "declare which web pages and apps may call a project")
    add = _add(platforms, "add", "declare a page or an app", _platforms_add, data=True, as_json=True)
    add.add_argument("--origin", default="", help="https://app.example.com, tauri://localhost, app://, file:// or null")
    add.add_argument("--host", default="", metavar="NAME", help="host name of a web page")
    add.add_argument("--type", default="", help="type of an app: flutter-ios, android, apple-macos ...")
    add.add_argument("--key", default="", help="bundle id or package name of an app")
    add.add_argument("--name", default="", help="name for people")
    listing = _add(platforms, "list", "list the platforms", _platforms_list, data=True, as_json=True)
    delete = _add(platforms, "delete", "delete a platform", _platforms_delete, data=True, as_json=True)
    delete.add_argument("id", help="id of the platform")
    for command in (add, listing, delete):
        _add_project(command, "platform")

    providers = _add_group(commands, "providers", "set and list the credentials at OAuth2 providers")
    put = _add(
        providers,
        "set",
        "set the credentials at a provider; the secret is asked for, or read from standard input",
        _providers_set,
        data=True,
        as_json=True,
    )
    put.add_argument("provider", help="github, google, gitlab ...")
    which = put.add_mutually_exclusive_group(required=True)
    which.add_argument("--app-id", default="", metavar="ID", help="app id (client id) at the provider")
    which.add_argument("--off", action="store_true", help="forget the credentials, which switches the provider off")
    listing = _add(providers, "list", "list the providers with credentials", _providers_list, data=True, as_json=True)
    for command in (put, listing):
        _add_project(command, "provider")

    settings = _add_group(commands, "settings", "show and change the settings of a project")
    show = _add(settings, "show", "show the settings", _settings_show, data=True, as_json=True)
    put = _add(settings, "set", "change a setting", _settings_set, data=True, as_json=True)
    put.add_argument("name", help="name as settings show tells it, such as user-limit or auth.anonymous")
    put.add_argument("value", help="the new value")
    for command in (show, put):
        _add_project(command, "setting")


def _add(
    commands: Any, name: str, help: str, run: Run, *, data: bool = False, as_json: bool = False
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help, description=help[0].upper() + help[1:] + ".", allow_abbrev=False
    )
    parser.set_defaults(run=run, parser=parser)
    if data:
        parser.add_argument(
            "--data", dest="data_dir", metavar="DIR", help="data folder (default litewrite_data, or LITEWRITE_DATA)"
        )
    if as_json:
        parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    return parser


def _add_group(commands: Any, name: str, help: str) -> Any:
    parser = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
    return parser.add_subparsers(metavar="COMMAND", required=True)


def _add_project(parser: argparse.ArgumentParser, what: str = "key") -> None:
    parser.add_argument(
        "--project", metavar="ID", help=f"project of the {what} (default default, or LITEWRITE_PROJECT)"
    )


def _add_settings(parser: argparse.ArgumentParser) -> None:
    from litewrite.config import settings

    for setting in settings():
        if not setting.flag:
            continue
        repeatable, switch = isinstance(setting.default, tuple), isinstance(setting.default, bool)
        shown = "" if switch or repeatable or setting.default in ("", None) else f"default {setting.default}; "
        details: dict[str, Any] = {
            "dest": setting.name,
            "default": None,
            "help": f"{setting.help} ({shown}{setting.variable})".replace("%", "%%"),
        }
        if switch:
            details["action"] = "store_true"
        else:
            details["metavar"] = setting.metavar or setting.name.rpartition("_")[2].upper()
            details["action"] = "append" if repeatable else "store"
        if setting.choices:
            details["choices"] = setting.choices
            del details["metavar"]
        parser.add_argument(setting.flag, **details)
    parser.add_argument(
        "--no-rate-limit", dest="rate_limits", action="store_const", const="off", help="short for --rate-limits off"
    )


def _read_config(options: argparse.Namespace) -> Config:
    """The settings: flags win over variables. Ends the process with exit code 2 when one has a bad value."""
    from litewrite.config import Config, convert, from_environment, settings

    try:
        chosen = from_environment()
        for setting in settings():
            given = getattr(options, setting.name, None) if setting.flag else None
            if isinstance(given, str):
                try:
                    given = convert(setting, given)
                except ValueError as error:
                    raise ValueError(str(error).replace(setting.variable, setting.flag)) from None
            if given is not None:
                chosen[setting.name] = tuple(given) if isinstance(given, list) else given
        return Config(**chosen)
    except ValueError as error:
        parser: argparse.ArgumentParser = options.parser
        parser.error(str(error))


def _serve(options: argparse.Namespace) -> int:
    from litewrite.serve import ServeFailed, serve

    try:
        serve(_read_config(options), command_name())
    except ServeFailed as error:
        return _fail(str(error))
    return DONE


def command_name() -> str:
    """How the program was called, for what it tells people to type."""
    return "python -m litewrite" if os.path.basename(sys.argv[0]) == "__main__.py" else "litewrite"


def _perform(options: argparse.Namespace, command: str, /, **arguments: str | None) -> tuple[int, Any]:
    """Carry out a command of the table: exit code and result. A project that is None is that of the settings."""
    from litewrite.commands import CommandFailed, run

    config = _read_config(options)
    if "project" in arguments and arguments["project"] is None:
        arguments["project"] = config.project
    try:
        return DONE, _complete(run(config, command, arguments))
    except CommandFailed as error:
        return _fail(str(error)), None


def _complete(coroutine: Coroutine[Any, Any, T]) -> T:
    import asyncio

    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(coroutine)
    # Nothing is lost by an end at any moment, and one key press has to be enough.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return asyncio.run(coroutine)
    finally:
        signal.signal(signal.SIGINT, before)


def _fail(sentence: str) -> int:
    print(f"litewrite: {sentence}", file=sys.stderr)
    return FAILED


def _show(options: argparse.Namespace, code: int, result: Any, *lines: Callable[[Any], str]) -> int:
    """Print a result as JSON or in lines, unless the command failed."""
    if code == DONE:
        if options.json:
            print(json.dumps(result, indent=2))
        else:
            for line in lines:
                print(line(result))
    return code


def _projects_create(options: argparse.Namespace) -> int:
    code, made = _perform(options, "projects.create", project=options.id, name=options.name)
    return _show(options, code, made, lambda project: f"Made the project {project['id']}")


def _projects_list(options: argparse.Namespace) -> int:
    code, projects = _perform(options, "projects.list")
    return _show(options, code, projects, lambda rows: _table(("id", "name", "created_at"), rows))


def _projects_delete(options: argparse.Namespace) -> int:
    code, gone = _perform(options, "projects.delete", project=options.id)
    return _show(
        options,
        code,
        gone,
        lambda project: f"Deleted the project {project['id']}; a running server removes what was in it, bit by bit",
    )


def _keys_create(options: argparse.Namespace) -> int:
    code, made = _perform(options, "keys.create", project=options.project, name=options.name, scopes=options.scopes)
    return _show(
        options,
        code,
        made,
        lambda key: f"Made the key {key['id']} of the project {key['project']} with {len(key['scopes'])} scopes",
        lambda key: "Its secret is shown this once:",
        lambda key: str(key["secret"]),
    )


def _keys_list(options: argparse.Namespace) -> int:
    code, keys = _perform(options, "keys.list", project=options.project)
    columns = ("id", "name", "hint", "created_at", "scopes")
    return _show(options, code, keys, lambda rows: _table(columns, rows))


def _keys_delete(options: argparse.Namespace) -> int:
    code, gone = _perform(options, "keys.delete", project=options.project, key=options.id)
    return _show(
        options, code, gone, lambda key: f"Deleted the key {key['id']} ({_plain(key['name'])}) of {key['project']}"
    )


def _mail_list(options: argparse.Namespace) -> int:
    code, mails = _perform(options, "mail.list", project=options.project, to=options.to, kind=options.kind)
    columns = ("id", "kind", "to", "state", "created_at", "error")
    return _show(options, code, mails, lambda rows: _table(columns, rows))


def _mail_show(options: argparse.Namespace) -> int:
    return _show(options, *_perform(options, "mail.show", project=options.project, mail=options.id), _mail)


def _mail_wait(options: argparse.Namespace) -> int:
    code, mail = _perform(
        options,
        "mail.wait",
        project=options.project,
        to=options.to,
        kind=options.kind,
        after=options.after,
        timeout=options.timeout,
    )
    return _show(options, code, mail, _mail)


def _mail(mail: dict[str, Any]) -> str:
    lines = [f"Id:      {mail['id']}", f"Kind:    {mail['kind']}", f"To:      {_plain(mail['to'])}"]
    if "text" not in mail:
        return "\n".join([*lines, f"State:   {mail['state']}, and what it said is gone"])
    lines.append(f"Subject: {_plain(mail['subject'])}")
    # Names in a text have lost their control characters when it was made.
    return "\n".join([*lines, "", *mail["text"].splitlines()])


def _ask_secret(what: str, *, twice: bool = False) -> str:
    """A secret typed at the terminal without being shown, or the first line of a standard input that is none.

    Empty when there is none, or when the two that were typed differ.
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    import getpass

    secret = getpass.getpass(f"{what}: ")
    return secret if not twice or getpass.getpass(f"{what} again: ") == secret else ""


def _webhooks_create(options: argparse.Namespace) -> int:
    password = _ask_secret("Password") if options.user else ""
    if options.user and not password:
        return _fail("No password was given")
    code, made = _perform(
        options,
        "webhooks.create",
        project=options.project,
        name=options.name,
        url=options.url,
        events=options.events,
        user=options.user,
        password=password,
        verify="no" if options.no_verify else "yes",
    )
    return _show(
        options,
        code,
        made,
        lambda webhook: f"Made a webhook of the project {webhook['project']} for {len(webhook['events'])} events",
        lambda webhook: f"What it is sent is signed with {webhook['secret']}",
        lambda webhook: str(webhook["id"]),
    )


def _webhooks_list(options: argparse.Namespace) -> int:
    code, webhooks = _perform(options, "webhooks.list", project=options.project)
    columns = ("id", "name", "url", "created_at", "events")
    return _show(options, code, webhooks, lambda rows: _table(columns, rows))


def _webhooks_delete(options: argparse.Namespace) -> int:
    code, gone = _perform(options, "webhooks.delete", project=options.project, webhook=options.id)
    return _show(
        options, code, gone, lambda webhook: f"Deleted the webhook {webhook['id']} ({_plain(webhook['name'])})"
    )


def _webhooks_deliveries(options: argparse.Namespace) -> int:
    code, deliveries = _perform(options, "webhooks.deliveries", project=options.project, webhook=options.id)
    columns = ("id", "event", "state", "attempts", "status", "created_at", "next_at", "error")
    return _show(options, code, deliveries, lambda rows: _table(columns, rows))


def _admins_create(options: argparse.Namespace) -> int:
    password = _ask_secret("Password", twice=True)
    if not password:
        return _fail("No password was given, or two different ones")
    code, made = _perform(options, "admins.create", email=options.email, name=options.name, password=password)
    return _show(options, code, made, lambda admin: f"Made the administrator {admin['email']}")


def _admins_list(options: argparse.Namespace) -> int:
    code, admins = _perform(options, "admins.list")
    return _show(options, code, admins, lambda rows: _table(("id", "email", "name", "blocked", "created_at"), rows))


def _admins_delete(options: argparse.Namespace) -> int:
    code, gone = _perform(options, "admins.delete", admin=options.admin)
    return _show(options, code, gone, lambda admin: f"Deleted the administrator {admin['email']}")


def _platforms_add(options: argparse.Namespace) -> int:
    code, made = _perform(
        options,
        "platforms.add",
        project=options.project,
        origin=options.origin,
        host=options.host,
        type=options.type,
        key=options.key,
        name=options.name,
    )
    return _show(
        options,
        code,
        made,
        lambda made: f"{made['key'] or made['host']} may call the project {made['project']} (platform {made['id']})",
    )


def _platforms_list(options: argparse.Namespace) -> int:
    code, platforms = _perform(options, "platforms.list", project=options.project)
    return _show(options, code, platforms, lambda rows: _table(("id", "type", "host", "key", "name"), rows))


def _platforms_delete(options: argparse.Namespace) -> int:
    code, gone = _perform(options, "platforms.delete", project=options.project, platform=options.id)
    return _show(
        options,
        code,
        gone,
        lambda gone: f"Deleted the platform {gone['id']} ({_plain(gone['name'])}) of {gone['project']}",
    )


def _providers_set(options: argparse.Namespace) -> int:
    secret = "" if options.off else _ask_secret("Secret")
    if not (options.off or (options.app_id and secret)):
        return _fail("A provider needs an app id and a secret")
    code, made = _perform(
        options,
        "providers.set",
        project=options.project,
        provider=options.provider,
        app_id=options.app_id,
        secret=secret,
    )
    return _show(
        options,
        code,
        made,
        lambda made: f"The provider {made['provider']} is {'on' if made['on'] else 'off'} for {made['project']}",
    )


def _providers_list(options: argparse.Namespace) -> int:
    code, providers = _perform(options, "providers.list", project=options.project)
    return _show(options, code, providers, lambda rows: _table(("provider", "app_id", "on"), rows))


def _settings_show(options: argparse.Namespace) -> int:
    code, settings = _perform(options, "settings.show", project=options.project)
    return _show(options, code, settings, _settings_table)


def _settings_set(options: argparse.Namespace) -> int:
    code, settings = _perform(options, "settings.set", project=options.project, name=options.name, value=options.value)
    return _show(options, code, settings, _settings_table)


def _settings_table(settings: dict[str, Any]) -> str:
    return _table(("setting", "value"), [{"setting": name, "value": value} for name, value in settings.items()])


def _doctor(options: argparse.Namespace) -> int:
    from litewrite.doctor import examine, is_sound

    report = _complete(examine(_read_config(options)))
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        for finding in report["findings"]:
            print(f"{finding['state']:8} {finding['subject']}: {finding['text']}")
            if finding["advice"]:
                print(f"{'':8} -> {finding['advice']}")
    return DONE if is_sound(report) else FAILED


def _openapi(options: argparse.Namespace) -> int:
    from litewrite.commands import openapi_document

    print(json.dumps(openapi_document(), indent=2, ensure_ascii=False))
    return DONE


def _version(options: argparse.Namespace) -> int:
    if options.json:
        from litewrite.config import DIALECT_VERSION

        python = ".".join(str(part) for part in sys.version_info[:3])
        print(json.dumps({"version": __version__, "appwrite": DIALECT_VERSION, "python": python}))
    else:
        print(f"litewrite {__version__}")
    return DONE


def _table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """Rows in columns, or a word that there are none."""
    if not rows:
        return "There are none"
    cells = [[name.removesuffix("_at") for name in columns]]
    for row in rows:
        cells.append(
            [_plain(" ".join(row[name]) if isinstance(row[name], list) else str(row[name])) for name in columns]
        )
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _plain(text: str) -> str:
    """A text that cannot steer a terminal."""
    return text if text.isprintable() else ascii(text)
