"""What the bodies about projects and their settings look like in Appwrite 0.11."""

from __future__ import annotations

from typing import Any

from litewrite import entities
from litewrite.http.model import Field, Model
from litewrite.services.project_access import MASK
from litewrite.services.projects import ProjectRecord
from litewrite.services.providers import PROVIDERS

_ID = "61d5c1a2b3c4d"

DETAIL_NAMES = {
    "description": "description",
    "logo": "logo",
    "url": "url",
    "legal_name": "legalName",
    "legal_country": "legalCountry",
    "legal_state": "legalState",
    "legal_city": "legalCity",
    "legal_address": "legalAddress",
    "legal_tax_id": "legalTaxId",
}
AUTH_NAMES = {
    "email-password": "usersAuthEmailPassword",
    "magic-url": "usersAuthMagicURL",
    "anonymous": "usersAuthAnonymous",
    "invites": "usersAuthInvites",
    "jwt": "usersAuthJWT",
    "phone": "usersAuthPhone",
}


class Platform(Model):
    """A client that may call a project: a web page, or an app."""

    FIELDS = (
        Field("$id", "string", "Id of the platform.", _ID),
        Field("name", "string", "Name for people.", "My app"),
        Field("type", "string", "Kind of platform.", "web"),
        Field("key", "string", "Bundle id or package name of an app, or a whole origin.", "com.example.app"),
        Field("store", "string", "Id in an app store.", ""),
        Field("hostname", "string", "Host name of a web page.", "app.example.com"),
        Field("httpUser", "string", "Always empty.", ""),
        Field("httpPass", "string", "Always empty.", ""),
    )

    @classmethod
    def of(cls, platform: entities.Platform) -> Platform:
        return cls(
            {
                "$id": platform.id,
                "name": platform.name,
                "type": platform.type,
                "key": platform.key,
                "store": platform.store,
                "hostname": platform.hostname,
                "httpUser": "",
                "httpPass": "",
            }
        )


class PlatformList(Model):
    """All platforms of a project."""

    FIELDS = (
        Field("sum", "integer", "How many there are.", 1),
        Field("platforms", Platform, "The platforms, oldest first.", is_list=True),
    )

    @classmethod
    def of(cls, platforms: tuple[entities.Platform, ...]) -> PlatformList:
        return cls({"sum": len(platforms), "platforms": [Platform.of(platform).body for platform in platforms]})


class Key(Model):
    """An API key."""

    FIELDS = (
        Field("$id", "string", "Id of the key.", _ID),
        Field("name", "string", "Name for people.", "Server key"),
        Field("scopes", "string", "What the key allows.", ["users.read"], is_list=True),
        Field(
            "secret",
            "string",
            "What is sent as X-Appwrite-Key: whole in the answer that makes the key, then its first 8 characters.",
            "919c2d18…",
        ),
    )

    @classmethod
    def of(cls, key: entities.Key, secret: str = "") -> Key:
        return cls({"$id": key.id, "name": key.name, "scopes": key.scopes, "secret": secret or f"{key.hint}…"})


class KeyList(Model):
    """All API keys of a project."""

    FIELDS = (
        Field("sum", "integer", "How many there are.", 1),
        Field("keys", Key, "The keys, oldest first.", is_list=True),
    )

    @classmethod
    def of(cls, keys: tuple[entities.Key, ...]) -> KeyList:
        return cls({"sum": len(keys), "keys": [Key.of(key).body for key in keys]})


class Webhook(Model):
    """A URL that is told of events."""

    FIELDS = (
        Field("$id", "string", "Id of the webhook.", _ID),
        Field("name", "string", "Name for people.", "My hook"),
        Field("url", "string", "Where events are sent.", "https://example.com/hook"),
        Field("events", "string", "Names of the events.", ["account.create"], is_list=True),
        Field("security", "boolean", "Whether the certificate of the target is verified.", True),
        Field("httpUser", "string", "User for basic authentication.", ""),
        Field("httpPass", "string", "Password for it: as given in the answer to a change, then a mask.", ""),
    )

    @classmethod
    def of(cls, webhook: entities.Webhook, password: str = "") -> Webhook:
        return cls(
            {
                "$id": webhook.id,
                "name": webhook.name,
                "url": webhook.url,
                "events": webhook.events,
                "security": webhook.verify_tls,
                "httpUser": webhook.http_user,
                "httpPass": password or (MASK if webhook.http_password else ""),
            }
        )


class WebhookList(Model):
    """All webhooks of a project."""

    FIELDS = (
        Field("sum", "integer", "How many there are.", 1),
        Field("webhooks", Webhook, "The webhooks, oldest first.", is_list=True),
    )

    @classmethod
    def of(cls, webhooks: tuple[entities.Webhook, ...]) -> WebhookList:
        return cls({"sum": len(webhooks), "webhooks": [Webhook.of(webhook).body for webhook in webhooks]})


def _provider_fields(provider: str) -> tuple[str, str]:
    name = f"usersOauth2{provider[:1].upper()}{provider[1:]}"
    return f"{name}Appid", f"{name}Secret"


_PROVIDER_FIELDS = {provider: _provider_fields(provider) for provider in PROVIDERS}


def _describe_provider(provider: str) -> tuple[Field, Field]:
    app_id, secret = _PROVIDER_FIELDS[provider]
    return (
        Field(app_id, "string", f"App id at the OAuth2 provider {provider}.", ""),
        Field(secret, "string", f"Secret at the OAuth2 provider {provider}; a mask in lists.", ""),
    )


class Project(Model):
    """A project with its settings."""

    FIELDS = (
        Field("$id", "string", "Id of the project.", _ID),
        Field("name", "string", "Name, also in mails.", "My project"),
        Field("description", "string", "What it is for.", ""),
        Field("teamId", "string", "The console team that owns it.", _ID),
        Field("logo", "string", "Id of a logo.", ""),
        Field("url", "string", "Web site, where an OAuth2 login returns to by default.", "https://example.com"),
        Field("legalName", "string", "Name of the company.", ""),
        Field("legalCountry", "string", "Its country.", ""),
        Field("legalState", "string", "Its state.", ""),
        Field("legalCity", "string", "Its city.", ""),
        Field("legalAddress", "string", "Its address.", ""),
        Field("legalTaxId", "string", "Its tax number.", ""),
        Field("usersAuthLimit", "integer", "The most users it may have; 0 for no limit.", 0),
        Field("platforms", Platform, "Clients that may call.", is_list=True),
        Field("webhooks", Webhook, "Webhooks.", is_list=True),
        Field("keys", Key, "API keys.", is_list=True),
        Field("domains", "object", "Always empty.", [], is_list=True),
        Field("tasks", "object", "Always empty.", [], is_list=True),
        *(field for provider in PROVIDERS for field in _describe_provider(provider)),
        *(
            Field(name, "boolean", f"Whether the way of logging in {method} is on.", True)
            for method, name in AUTH_NAMES.items()
        ),
    )

    @classmethod
    def of(cls, record: ProjectRecord) -> Project:
        project = record.project
        body: dict[str, Any] = {
            "$id": project.id,
            "name": project.name,
            "teamId": project.team_id,
            **{name: project.settings.get(detail, "") for detail, name in DETAIL_NAMES.items()},
            "usersAuthLimit": project.user_limit,
            "platforms": [Platform.of(platform).body for platform in record.platforms],
            "webhooks": [Webhook.of(webhook).body for webhook in record.webhooks],
            "keys": [Key.of(key).body for key in record.keys],
            "domains": [],
            "tasks": [],
        }
        for provider, (app_id, secret) in _PROVIDER_FIELDS.items():
            body[app_id], body[secret] = record.providers.get(provider, ("", ""))
        for method, name in AUTH_NAMES.items():
            body[name] = project.auth_enabled(method)
        return cls(body)


class ProjectList(Model):
    """A page of projects."""

    FIELDS = (
        Field("sum", "integer", "How many match.", 1),
        Field("projects", Project, "The projects of the page.", is_list=True),
    )

    @classmethod
    def of(cls, page: entities.Page[ProjectRecord]) -> ProjectList:
        return cls({"sum": page.total, "projects": [Project.of(record).body for record in page.items]})
