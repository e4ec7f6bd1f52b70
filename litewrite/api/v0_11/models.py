"""What the bodies of Appwrite 0.11 look like. Each model has an `of` that makes it from an entity.

Older words than those of the entities stand here alone: rule, tag, sum, Unix seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import orjson

from litewrite import entities
from litewrite.entities import EPOCH
from litewrite.http.model import Empty as Empty
from litewrite.http.model import Field, Model

_ID = "61d5c1a2b3c4d"
_TIME = 1641421833


def seconds(moment: datetime | None) -> int:
    """Unix seconds; 0 for none."""
    return int(moment.timestamp()) if moment is not None and moment != EPOCH else 0


def permissions(granted: entities.Permissions) -> dict[str, Sequence[str]]:
    return {"read": granted.read, "write": granted.write}


class Permissions(Model):
    """Who may read and who may change a resource."""

    FIELDS = (
        Field("read", "string", "Roles that may read.", ["*"], is_list=True),
        Field("write", "string", "Roles that may change and delete.", [f"user:{_ID}"], is_list=True),
    )


class Preferences(Model):
    """What a user has stored for itself: any JSON object."""

    OPEN = True

    @classmethod
    def of(cls, user: entities.User) -> Preferences:
        return cls(user.preferences.encode())


class User(Model):
    """A user of a project."""

    FIELDS = (
        Field("$id", "string", "Id of the user.", _ID),
        Field("name", "string", "Display name.", "Ada Example"),
        Field("registration", "integer", "Creation, in Unix seconds.", _TIME),
        Field("status", "integer", "0 registered, 1 active, 2 blocked.", 0),
        Field("passwordUpdate", "integer", "Last change of the password, in Unix seconds; 0 for none.", _TIME),
        Field("email", "string", "Address, in lower case.", "ada@example.com"),
        Field("emailVerification", "boolean", "Whether the address is verified.", False),
        Field("prefs", Preferences, "Preferences of the user."),
    )

    @classmethod
    def of(cls, user: entities.User) -> User:
        return cls(
            {
                "$id": user.id,
                "name": user.name,
                "registration": seconds(user.registered_at),
                "status": int(user.status),
                "passwordUpdate": seconds(user.password_updated_at),
                "email": user.email,
                "emailVerification": user.email_verified,
                "prefs": orjson.Fragment(user.preferences),
            }
        )


_CLIENT_FIELDS = (
    Field("osCode", "string", "Short code of the operating system.", "WIN"),
    Field("osName", "string", "Name of the operating system.", "Windows"),
    Field("osVersion", "string", "Version of the operating system.", "10"),
    Field("clientType", "string", "Kind of client.", "browser"),
    Field("clientCode", "string", "Short code of the browser.", "CH"),
    Field("clientName", "string", "Name of the client.", "Chrome"),
    Field("clientVersion", "string", "Version of the client.", "70.0"),
    Field("clientEngine", "string", "Engine of the browser.", "Blink"),
    Field("clientEngineVersion", "string", "Version of the engine.", ""),
    Field("deviceName", "string", "Kind of device.", "desktop"),
    Field("deviceBrand", "string", "Maker of the device.", ""),
    Field("deviceModel", "string", "Model of the device.", ""),
)
_COUNTRY_FIELDS = (
    Field("countryCode", "string", "Country, two lower-case letters; -- when unknown.", "--"),
    Field("countryName", "string", "Country in the language of the request.", "Unknown"),
)


def _client(client: entities.Client) -> dict[str, str]:
    return {
        "osCode": client.os_code,
        "osName": client.os_name,
        "osVersion": client.os_version,
        "clientType": client.client_type,
        "clientCode": client.client_code,
        "clientName": client.client_name,
        "clientVersion": client.client_version,
        "clientEngine": client.client_engine,
        "clientEngineVersion": client.client_engine_version,
        "deviceName": client.device_name,
        "deviceBrand": client.device_brand,
        "deviceModel": client.device_model,
    }


class Session(Model):
    """A login of a user."""

    FIELDS = (
        Field("$id", "string", "Id of the session.", _ID),
        Field("userId", "string", "Id of the user.", _ID),
        Field("expire", "integer", "End of validity, in Unix seconds.", _TIME),
        Field("provider", "string", "How the session came to be.", "email"),
        Field("providerUid", "string", "Identity at the provider.", "ada@example.com"),
        Field("providerToken", "string", "Access token of the provider.", ""),
        Field("ip", "string", "Address from which the session was created.", "127.0.0.1"),
        *_CLIENT_FIELDS,
        *_COUNTRY_FIELDS,
        Field("current", "boolean", "Whether it is the session of this request.", True),
    )

    @classmethod
    def of(cls, session: entities.Session, *, current: bool, country_name: str, provider_token: str = "") -> Session:
        return cls(
            {
                "$id": session.id,
                "userId": session.user_id,
                "expire": seconds(session.expires_at),
                "provider": session.provider,
                "providerUid": session.provider_uid,
                "providerToken": provider_token,
                "ip": session.ip,
                **_client(session.client),
                "countryCode": session.country_code,
                "countryName": country_name,
                "current": current,
            }
        )


class SessionList(Model):
    """Sessions of a user, oldest first."""

    FIELDS = (
        Field("sum", "integer", "Number of sessions.", 1),
        Field("sessions", Session, "The sessions.", is_list=True),
    )

    @classmethod
    def of(cls, sessions: Sequence[Session]) -> SessionList:
        return cls({"sum": len(sessions), "sessions": [session.fragment() for session in sessions]})


class Jwt(Model):
    """A JSON Web Token."""

    FIELDS = (Field("jwt", "string", "The token, valid for 15 minutes.", "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9..."),)


class Log(Model):
    """One entry of the log of a user."""

    FIELDS = (
        Field("event", "string", "Name of the event.", "account.sessions.create"),
        Field("ip", "string", "Address of the caller.", "127.0.0.1"),
        Field("time", "integer", "Moment, in Unix seconds.", _TIME),
        *_CLIENT_FIELDS,
        *_COUNTRY_FIELDS,
    )

    @classmethod
    def of(cls, entry: entities.AuditEntry, client: entities.Client, country_name: str) -> Log:
        return cls(
            {
                "event": entry.event,
                "ip": entry.ip,
                "time": seconds(entry.occurred_at),
                **_client(client),
                "countryCode": entry.country_code,
                "countryName": country_name,
            }
        )


class LogList(Model):
    """The newest entries of the log of a user."""

    FIELDS = (Field("logs", Log, "The entries, newest first.", is_list=True),)

    @classmethod
    def of(cls, logs: Sequence[Log]) -> LogList:
        return cls({"logs": [log.fragment() for log in logs]})


class Rule(Model):
    """One declared attribute of the documents of a collection."""

    FIELDS = (
        Field("$id", "string", "Id of the rule.", _ID),
        Field("$collection", "string", "Always the word rules.", "rules"),
        Field("type", "string", "Type of the values.", "text"),
        Field("key", "string", "Name of the attribute.", "title"),
        Field("label", "string", "Display name.", "Title"),
        Field("default", "string", "Value of a new document that lacks the attribute.", ""),
        Field("array", "boolean", "Whether the attribute holds a list.", False),
        Field("required", "boolean", "Whether a value is needed.", True),
        Field("list", "string", "Allowed collections, for the types document and documentId.", [], is_list=True),
    )

    @classmethod
    def of(cls, attribute: entities.Attribute) -> Rule:
        default = attribute.default
        return cls(
            {
                "$id": attribute.id,
                "$collection": "rules",
                "type": attribute.type,
                "key": attribute.key,
                "label": attribute.label,
                "default": "" if default is None or default == [] else default,
                "array": attribute.array,
                "required": attribute.required,
                "list": attribute.list,
            }
        )


class Collection(Model):
    """A collection with the rules for its documents."""

    FIELDS = (
        Field("$id", "string", "Id of the collection.", _ID),
        Field("$permissions", Permissions, "Who may use the collection."),
        Field("name", "string", "Name.", "Books"),
        Field("dateCreated", "integer", "Creation, in Unix seconds.", _TIME),
        Field("dateUpdated", "integer", "Last update, in Unix seconds.", _TIME),
        Field("rules", Rule, "The rules, in the order given.", is_list=True),
    )

    @classmethod
    def of(cls, collection: entities.Collection) -> Collection:
        return cls(
            {
                "$id": collection.id,
                "$permissions": permissions(collection.permissions),
                "name": collection.name,
                "dateCreated": seconds(collection.created_at),
                "dateUpdated": seconds(collection.updated_at),
                "rules": [Rule.of(attribute).fragment() for attribute in collection.attributes],
            }
        )


class CollectionList(Model):
    """A page of collections."""

    FIELDS = (
        Field("sum", "integer", "Number of all matches.", 1),
        Field("collections", Collection, "One page.", is_list=True),
    )

    @classmethod
    def of(cls, page: entities.Page[entities.Collection]) -> CollectionList:
        return cls({"sum": page.total, "collections": [Collection.of(item).fragment() for item in page.items]})


class Document(Model):
    """A document; its attributes follow at top level."""

    FIELDS = (
        Field("$id", "string", "Id of the document.", _ID),
        Field("$collection", "string", "Id of its collection.", _ID),
        Field("$permissions", Permissions, "Who may read and change it."),
    )
    OPEN = True

    @classmethod
    def of(cls, document: entities.Document, data: str | bytes | None = None) -> Document:
        """The stored text of the attributes is put into the body as it is; `data` replaces it."""
        if isinstance(data, bytes):
            data = data.decode()
        return cls(_document_text(document, _permissions_text(document.permissions), data).encode())


def _permissions_text(granted: entities.Permissions) -> str:
    return orjson.dumps(permissions(granted)).decode()


def _document_text(document: entities.Document, granted: str, data: str | None = None) -> str:
    data = document.data if data is None else data
    rest = "}" if data == "{}" else f",{data[1:]}"
    if document.children:
        members = ",".join(f'"{key}":{_children_text(children)}' for key, children in document.children)
        rest = f"{rest[:-1]},{members}}}"
    return f'{{"$id":"{document.id}","$collection":"{document.collection_id}","$permissions":{granted}{rest}'


def _children_text(children: entities.Document | tuple[entities.Document, ...]) -> str:
    """What an attribute holds. Its key never has to be escaped."""
    if isinstance(children, tuple):
        return f"[{','.join(map(_children_text, children))}]"
    return _document_text(children, _permissions_text(children.permissions))


class DocumentList(Model):
    """A page of documents."""

    FIELDS = (
        Field("sum", "integer", "Number of all matches that the caller may read.", 1),
        Field("documents", Document, "One page.", is_list=True),
    )

    @classmethod
    def of(cls, page: entities.Page[entities.Document]) -> DocumentList:
        # Documents of a page share few pairs of role lists, and the engine hands out equal ones as one object.
        known: dict[int, str] = {}
        texts = []
        for document in page.items:
            granted = known.get(id(document.permissions))
            if granted is None:
                granted = known[id(document.permissions)] = _permissions_text(document.permissions)
            texts.append(_document_text(document, granted))
        return cls(f'{{"sum":{page.total},"documents":[{",".join(texts)}]}}'.encode())


class File(Model):
    """A stored file."""

    FIELDS = (
        Field("$id", "string", "Id of the file.", _ID),
        Field("$permissions", Permissions, "Who may read and change it."),
        Field("name", "string", "File name.", "photo.png"),
        Field("dateCreated", "integer", "Upload, in Unix seconds.", _TIME),
        Field("signature", "string", "MD5 of the content.", "9e107d9d372bb6826bd81d3542a419d6"),
        Field("mimeType", "string", "Media type, detected from the content.", "image/png"),
        Field("sizeOriginal", "integer", "Size in bytes.", 20480),
    )

    @classmethod
    def of(cls, file: entities.File) -> File:
        return cls(
            {
                "$id": file.id,
                "$permissions": permissions(file.permissions),
                "name": file.name,
                "dateCreated": seconds(file.created_at),
                "signature": file.signature,
                "mimeType": file.mime_type,
                "sizeOriginal": file.size,
            }
        )


class FileList(Model):
    """A page of files."""

    FIELDS = (
        Field("sum", "integer", "Number of all matches that the caller may read.", 1),
        Field("files", File, "One page.", is_list=True),
    )

    @classmethod
    def of(cls, page: entities.Page[entities.File]) -> FileList:
        return cls({"sum": page.total, "files": [File.of(item).fragment() for item in page.items]})


class FunctionPermissions(Model):
    """Who may run a function."""

    FIELDS = (Field("execute", "string", "Roles that may run it.", ["role:member"], is_list=True),)


class Variables(Model):
    """Environment variables of a function."""

    OPEN = True


class Function(Model):
    """A function."""

    FIELDS = (
        Field("$id", "string", "Id of the function.", _ID),
        Field("$permissions", FunctionPermissions, "Who may run the function."),
        Field("name", "string", "Name.", "resize"),
        Field("dateCreated", "integer", "Creation, in Unix seconds.", _TIME),
        Field("dateUpdated", "integer", "Last update, in Unix seconds.", _TIME),
        Field("status", "string", "Always disabled; it has no effect.", "disabled"),
        Field("runtime", "string", "Key of the runtime.", "python-3.9"),
        Field("tag", "string", "Id of the active tag; empty when there is none.", _ID),
        Field("vars", Variables, "Environment variables."),
        Field("events", "string", "Events that trigger the function.", ["account.create"], is_list=True),
        Field("schedule", "string", "CRON expression; empty when there is none.", "0 4 * * *"),
        Field("scheduleNext", "integer", "Next planned run, in Unix seconds; 0 for none.", 0),
        Field("schedulePrevious", "integer", "Last planned run, in Unix seconds; 0 for none.", 0),
        Field("timeout", "integer", "Longest run, in seconds.", 15),
    )

    @classmethod
    def of(cls, function: entities.Function) -> Function:
        return cls(
            {
                "$id": function.id,
                "$permissions": {"execute": function.execute},
                "name": function.name,
                "dateCreated": seconds(function.created_at),
                "dateUpdated": seconds(function.updated_at),
                "status": "disabled",
                "runtime": function.runtime,
                "tag": function.deployment_id,
                "vars": dict(function.variables),
                "events": function.events,
                "schedule": function.schedule,
                "scheduleNext": seconds(function.schedule_next),
                "schedulePrevious": seconds(function.schedule_previous),
                "timeout": function.timeout,
            }
        )


class FunctionList(Model):
    """A page of functions."""

    FIELDS = (
        Field("sum", "integer", "Number of all matches.", 1),
        Field("functions", Function, "One page.", is_list=True),
    )

    @classmethod
    def of(cls, page: entities.Page[entities.Function]) -> FunctionList:
        return cls({"sum": page.total, "functions": [Function.of(item).fragment() for item in page.items]})


class Tag(Model):
    """Uploaded code of a function."""

    FIELDS = (
        Field("$id", "string", "Id of the tag.", _ID),
        Field("functionId", "string", "Id of its function.", _ID),
        Field("dateCreated", "integer", "Upload, in Unix seconds.", _TIME),
        Field("command", "string", "Command that starts the code.", "python main.py"),
        Field("size", "integer", "Size of the archive in bytes.", 24655),
    )

    @classmethod
    def of(cls, deployment: entities.Deployment) -> Tag:
        return cls(
            {
                "$id": deployment.id,
                "functionId": deployment.function_id,
                "dateCreated": seconds(deployment.created_at),
                "command": deployment.command,
                "size": deployment.size,
            }
        )


class TagList(Model):
    """A page of tags."""

    FIELDS = (
        Field("sum", "integer", "Number of all matches.", 1),
        Field("tags", Tag, "One page.", is_list=True),
    )

    @classmethod
    def of(cls, page: entities.Page[entities.Deployment]) -> TagList:
        return cls({"sum": page.total, "tags": [Tag.of(item).fragment() for item in page.items]})


class Execution(Model):
    """One run of a function."""

    FIELDS = (
        Field("$id", "string", "Id of the execution.", _ID),
        Field("$permissions", Permissions, "Who may read it."),
        Field("functionId", "string", "Id of the function.", _ID),
        Field("dateCreated", "integer", "Creation, in Unix seconds.", _TIME),
        Field("trigger", "string", "http, schedule or event.", "http"),
        Field("status", "string", "waiting, processing, completed or failed.", "completed"),
        Field("exitCode", "integer", "Exit code; 0 until the end, 124 on timeout.", 0),
        Field("stdout", "string", "Last 4,000 characters of standard output.", ""),
        Field("stderr", "string", "Last 4,000 characters of standard error.", ""),
        Field("time", "number", "Duration in seconds; 0 until the end.", 0.2),
    )

    @classmethod
    def of(cls, execution: entities.Execution) -> Execution:
        return cls(
            {
                "$id": execution.id,
                "$permissions": permissions(execution.permissions),
                "functionId": execution.function_id,
                "dateCreated": seconds(execution.created_at),
                "trigger": execution.trigger,
                "status": execution.status.value,
                "exitCode": execution.exit_code,
                "stdout": execution.stdout,
                "stderr": execution.stderr,
                "time": execution.duration,
            }
        )


class ExecutionList(Model):
    """A page of executions."""

    FIELDS = (
        Field("sum", "integer", "Number of all matches that the caller may read.", 1),
        Field("executions", Execution, "One page.", is_list=True),
    )

    @classmethod
    def of(cls, page: entities.Page[entities.Execution]) -> ExecutionList:
        return cls({"sum": page.total, "executions": [Execution.of(item).fragment() for item in page.items]})


class Status(Model):
    """The state of a part of the server."""

    FIELDS = (Field("status", "string", "The letters OK.", "OK"),)


class Version(Model):
    """The dialect that the server speaks."""

    FIELDS = (Field("version", "string", "Release of the dialect.", "0.11.2"),)


class Time(Model):
    """The clock of the server."""

    FIELDS = (
        Field("remote", "integer", "Unix seconds according to a time server.", _TIME),
        Field("local", "integer", "Unix seconds according to this server.", _TIME),
        Field("diff", "integer", "Remote minus local.", 0),
    )


class QueueSize(Model):
    """The length of a queue."""

    FIELDS = (Field("size", "integer", "Jobs that wait.", 0),)


class AntiVirus(Model):
    """The state of the virus scanner."""

    FIELDS = (
        Field("status", "string", "disabled, online or offline.", "disabled"),
        Field("version", "string", "Version of the scanner.", ""),
    )


class UserList(Model):
    """A page of users."""

    FIELDS = (
        Field("sum", "integer", "Number of all matches.", 1),
        Field("users", User, "One page.", is_list=True),
    )

    @classmethod
    def of(cls, page: entities.Page[entities.User]) -> UserList:
        return cls({"sum": page.total, "users": [User.of(item).fragment() for item in page.items]})


class Team(Model):
    """A team."""

    FIELDS = (
        Field("$id", "string", "Id of the team.", _ID),
        Field("name", "string", "Name.", "Gardeners"),
        Field("dateCreated", "integer", "Creation, in Unix seconds.", _TIME),
        Field("sum", "integer", "Number of members; who has only been invited does not count.", 1),
    )

    @classmethod
    def of(cls, team: entities.Team) -> Team:
        return cls({"$id": team.id, "name": team.name, "dateCreated": seconds(team.created_at), "sum": team.total})


class TeamList(Model):
    """A page of teams."""

    FIELDS = (
        Field("sum", "integer", "Number of all matches that the caller may read.", 1),
        Field("teams", Team, "One page.", is_list=True),
    )

    @classmethod
    def of(cls, page: entities.Page[entities.Team]) -> TeamList:
        return cls({"sum": page.total, "teams": [Team.of(item).fragment() for item in page.items]})


class Token(Model):
    """A secret that was mailed to a user."""

    FIELDS = (
        Field("$id", "string", "Id of the token.", _ID),
        Field("userId", "string", "Id of the user.", _ID),
        Field("secret", "string", "The secret; empty for clients.", ""),
        Field("expire", "integer", "End of validity, in Unix seconds.", _TIME),
    )

    @classmethod
    def of(cls, token: entities.Token, secret: str = "") -> Token:
        return cls({"$id": token.id, "userId": token.user_id, "secret": secret, "expire": seconds(token.expires_at)})


class Membership(Model):
    """A member of a team, or somebody who has been invited."""

    FIELDS = (
        Field("$id", "string", "Id of the membership.", _ID),
        Field("userId", "string", "Id of the user.", _ID),
        Field("teamId", "string", "Id of the team.", _ID),
        Field("name", "string", "Name of the user.", "Ada Example"),
        Field("email", "string", "Address of the user.", "ada@example.com"),
        Field("invited", "integer", "Invitation, in Unix seconds.", _TIME),
        Field("joined", "integer", "Acceptance, in Unix seconds; 0 until then.", _TIME),
        Field("confirm", "boolean", "Whether the user has joined.", True),
        Field("roles", "string", "Roles in the team, in the order given.", ["owner"], is_list=True),
    )

    @classmethod
    def of(cls, member: entities.Member) -> Membership:
        membership = member.membership
        return cls(
            {
                "$id": membership.id,
                "userId": membership.user_id,
                "teamId": membership.team_id,
                "name": member.name,
                "email": member.email,
                "invited": seconds(membership.invited_at),
                "joined": seconds(membership.joined_at),
                "confirm": membership.confirmed,
                "roles": membership.roles,
            }
        )


class MembershipList(Model):
    """A page of the memberships of a team."""

    FIELDS = (
        Field("sum", "integer", "Number of all matches.", 1),
        Field("memberships", Membership, "One page.", is_list=True),
    )

    @classmethod
    def of(cls, page: entities.Page[entities.Member]) -> MembershipList:
        return cls({"sum": page.total, "memberships": [Membership.of(item).fragment() for item in page.items]})
