"""All stores of one writing connection, by resource: `tx.stores.users.insert(tx, user)`."""

from __future__ import annotations

from litewrite.db.audit import AuditStore
from litewrite.db.collections import CollectionStore
from litewrite.db.deployments import DeploymentStore
from litewrite.db.documents import DocumentStore
from litewrite.db.executions import ExecutionStore
from litewrite.db.files import FileStore
from litewrite.db.functions import FunctionStore
from litewrite.db.identities import IdentityStore
from litewrite.db.keys import KeyStore
from litewrite.db.mails import MailStore
from litewrite.db.memberships import MembershipStore
from litewrite.db.outbox import OutboxStore
from litewrite.db.projects import PlatformStore, ProjectStore
from litewrite.db.removals import RemovalStore
from litewrite.db.role_lists import RoleLists
from litewrite.db.search import SearchIndex
from litewrite.db.sessions import SessionStore
from litewrite.db.teams import TeamStore
from litewrite.db.tokens import TokenStore
from litewrite.db.usage import UsageStore
from litewrite.db.users import UserStore
from litewrite.db.webhooks import WebhookStore


class Stores:
    """Made once a writing connection. Some remember interned rows; `forget` is called after every rollback."""

    def __init__(self) -> None:
        self.role_lists = RoleLists()
        self.audit = AuditStore()
        self.outbox = OutboxStore()
        self.removals = RemovalStore()
        self.search = SearchIndex()
        self.projects = ProjectStore()
        self.platforms = PlatformStore()
        self.keys = KeyStore()
        self.webhooks = WebhookStore()
        self.users = UserStore()
        self.sessions = SessionStore()
        self.identities = IdentityStore()
        self.tokens = TokenStore()
        self.teams = TeamStore()
        self.memberships = MembershipStore()
        self.collections = CollectionStore()
        self.documents = DocumentStore()
        self.files = FileStore()
        self.functions = FunctionStore()
        self.deployments = DeploymentStore()
        self.executions = ExecutionStore()
        self.usage = UsageStore()
        self.mails = MailStore()

    def forget(self) -> None:
        self.role_lists.forget()
        self.audit.forget()
        self.outbox.forget()
