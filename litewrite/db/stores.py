"""All stores of one writing connection, by resource: `tx.stores.users.insert(tx, user)`."""

from __future__ import annotations

from litewrite.db.audit import AuditStore
from litewrite.db.collections import CollectionStore
from litewrite.db.deployments import DeploymentStore
from litewrite.db.documents import DocumentStore
from litewrite.db.executions import ExecutionStore
from litewrite.db.files import FileStore
from litewrite.db.function_store import FunctionStore
from litewrite.db.keys import KeyStore
from litewrite.db.outbox import OutboxStore
from litewrite.db.projects import ProjectStore
from litewrite.db.removals import RemovalStore
from litewrite.db.role_lists import RoleLists
from litewrite.db.search import SearchIndex
from litewrite.db.sessions import SessionStore
from litewrite.db.users import UserStore


class Stores:
    """Made once a writing connection. Some remember interned rows; `forget` is called after every rollback."""

    def __init__(self) -> None:
        self.role_lists = RoleLists()
        self.audit = AuditStore()
        self.outbox = OutboxStore()
        self.removals = RemovalStore()
        self.search = SearchIndex()
        self.projects = ProjectStore()
        self.keys = KeyStore()
        self.users = UserStore()
        self.sessions = SessionStore()
        self.collections = CollectionStore()
        self.documents = DocumentStore()
        self.files = FileStore()
        self.functions = FunctionStore()
        self.deployments = DeploymentStore()
        self.executions = ExecutionStore()

    def forget(self) -> None:
        self.role_lists.forget()
        self.audit.forget()
