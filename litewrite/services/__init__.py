"""The rules, one file a resource; no SQL and no HTTP. `Services` hands them to the dialects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litewrite.config import Config
    from litewrite.services.accounts import Accounts
    from litewrite.services.auth import Auth
    from litewrite.services.collections import Collections
    from litewrite.services.documents import Documents
    from litewrite.services.executions import Executions
    from litewrite.services.files import Files
    from litewrite.services.functions import Functions
    from litewrite.services.health import Health
    from litewrite.services.projects import Keys, Projects
    from litewrite.services.rate_limits import RateLimits


@dataclass(frozen=True, slots=True)
class Services:
    """All services of one server, made and wired in `app.py`."""

    config: Config
    projects: Projects
    keys: Keys
    auth: Auth
    accounts: Accounts
    collections: Collections
    documents: Documents
    files: Files
    functions: Functions
    executions: Executions
    health: Health
    rate_limits: RateLimits
