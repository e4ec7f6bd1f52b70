"""The rules, one file a resource; no SQL and no HTTP. `Services` hands them to the dialects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litewrite.config import Config
    from litewrite.services.accounts import Accounts
    from litewrite.services.admins import Admins
    from litewrite.services.auth import Auth
    from litewrite.services.avatars import Avatars
    from litewrite.services.collections import Collections
    from litewrite.services.documents import Documents
    from litewrite.services.executions import Executions
    from litewrite.services.files import Files
    from litewrite.services.functions import Functions
    from litewrite.services.health import Health
    from litewrite.services.locale import Locale
    from litewrite.services.mails import Mails
    from litewrite.services.oauth import OAuth
    from litewrite.services.platforms import Platforms
    from litewrite.services.previews import Previews
    from litewrite.services.projects import Keys, Projects
    from litewrite.services.providers import Providers
    from litewrite.services.rate_limits import RateLimits
    from litewrite.services.teams import Teams
    from litewrite.services.tokens import Tokens
    from litewrite.services.usage import Usage
    from litewrite.services.users import Users
    from litewrite.services.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class Services:
    """All services of one server, made and wired in `app.py`."""

    config: Config
    admins: Admins
    projects: Projects
    platforms: Platforms
    keys: Keys
    webhooks: Webhooks
    providers: Providers
    auth: Auth
    accounts: Accounts
    oauth: OAuth
    teams: Teams
    tokens: Tokens
    users: Users
    collections: Collections
    documents: Documents
    files: Files
    previews: Previews
    functions: Functions
    executions: Executions
    usage: Usage
    health: Health
    locale: Locale
    avatars: Avatars
    mails: Mails
    rate_limits: RateLimits
