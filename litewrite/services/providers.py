"""The credentials of a project at OAuth2 providers. A provider is on when it has both, an app id and a secret.

They are part of the settings of the project, the secret encrypted with the server secret.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from litewrite.db import projects as project_rows
from litewrite.db.engine import Database, Transaction
from litewrite.entities import Project
from litewrite.errors import ArgumentInvalid, ProjectNotFound
from litewrite.oauth import table
from litewrite.security import ServerSecret
from litewrite.services import mock_provider

PROVIDERS = tuple(table.PROVIDERS)
"""Their keys."""
LONGEST_APP_ID = 256
LONGEST_SECRET = 512
_SETTING = "providers"


class Providers:
    """`with_mock` is whether the mock provider is served; it then needs no credentials."""

    def __init__(self, db: Database, secret: ServerSecret, *, with_mock: bool = False) -> None:
        self._db = db
        self._secret = secret
        self.with_mock = with_mock

    def credentials(self, project: Project, key: str) -> tuple[str, str]:
        """App id and secret, each empty when there is none.

        Raises ValueError when the secret was encrypted with another server secret.
        """
        stored = settings_of(project).get(key, {})
        if key == table.MOCK and self.with_mock and not stored:
            return mock_provider.APP_ID, mock_provider.SECRET
        sealed = stored.get("secret", "")
        return stored.get("app_id", ""), self._secret.decrypt(base64.b64decode(sealed)) if sealed else ""

    def with_credentials(self, project: Project, key: str, app_id: str, secret: str | None) -> Project:
        """The project with other credentials, not yet stored; no secret (None) leaves it as it is."""
        stored = dict(settings_of(project))
        sealed = stored.get(key, {}).get("secret", "") if secret is None else self._seal(secret)
        stored.pop(key, None)
        if app_id or sealed:
            stored[key] = {"app_id": app_id, "secret": sealed}
        return replace(project, settings={**project.settings, _SETTING: stored})

    def _seal(self, secret: str) -> str:
        return base64.b64encode(self._secret.encrypt(secret)).decode() if secret else ""

    async def set(self, project_id: str, key: str, app_id: str, secret: str) -> None:
        """Store credentials, whoever asks; empty ones switch the provider off.

        Raises `ProjectNotFound`, and `ArgumentInvalid` for an unknown provider and for what no provider gives out.
        """
        if key not in table.PROVIDERS:
            raise ArgumentInvalid("provider", f"must be one of {', '.join(PROVIDERS)}")
        for name, value, longest in (("appId", app_id, LONGEST_APP_ID), ("secret", secret, LONGEST_SECRET)):
            if len(value) > longest or not value.isascii():
                raise ArgumentInvalid(name, f"must be a string of at most {longest} ASCII characters")

        def unit(tx: Transaction) -> None:
            project = tx.run(project_rows.get(project_id))
            if project is None:
                raise ProjectNotFound
            tx.stores.projects.update(tx, self.with_credentials(project, key, app_id, secret))

        await self._db.write(unit)


def settings_of(project: Project) -> Mapping[str, Mapping[str, Any]]:
    """What is stored, by provider: `app_id`, and the encrypted `secret` as base64."""
    stored: Mapping[str, Mapping[str, Any]] = project.settings.get(_SETTING, {})
    return stored
