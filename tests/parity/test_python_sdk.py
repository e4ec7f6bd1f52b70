"""The whole story with the published Python SDK of Appwrite 0.11, against a real process that is killed midway."""

from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from appwrite.client import Client
from appwrite.exception import AppwriteException
from appwrite.services.account import Account
from appwrite.services.database import Database
from appwrite.services.functions import Functions
from appwrite.services.health import Health
from appwrite.services.storage import Storage

from tests.parity.serving import ServerProcess, command

PROJECT = "default"
RULES = [
    {"label": "Title", "key": "title", "type": "text", "required": True, "array": False, "default": ""},
    {"label": "Year", "key": "year", "type": "numeric", "required": False, "array": False, "default": 0},
    {"label": "Tags", "key": "tags", "type": "text", "required": False, "array": True, "default": []},
]
FUNCTION = """
import json, os
print(json.dumps({"data": os.environ["APPWRITE_FUNCTION_DATA"], "user": os.environ["APPWRITE_FUNCTION_USER_ID"]}))
"""


def client(endpoint: str, **credentials: str) -> Client:
    made = Client().set_endpoint(endpoint).set_project(PROJECT)
    for name, value in credentials.items():
        getattr(made, f"set_{name}")(value)
    return made


class Person:
    """Somebody who signs up as the web SDK does it, and then uses the Python SDK with a JWT."""

    def __init__(self, endpoint: str, email: str) -> None:
        self._http = requests.Session()
        self._http.headers["X-Appwrite-Project"] = PROJECT
        self._credentials = {"email": email, "password": "password"}
        self.user = self._post(endpoint, "/account", {**self._credentials, "name": "Ada"})
        self.log_in(endpoint)

    def _post(self, endpoint: str, path: str, body: dict[str, Any]) -> Any:
        with self._http.post(endpoint + path, json=body, timeout=30) as answer:
            assert answer.status_code == 201, answer.text
            return answer.json()

    def log_in(self, endpoint: str) -> None:
        self._post(endpoint, "/account/sessions", self._credentials)

    def client(self, endpoint: str) -> Client:
        return client(endpoint, jwt=self._post(endpoint, "/account/jwt", {})["jwt"])

    def close(self) -> None:
        self._http.close()


def code_archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("./main.py")
        entry.size = len(FUNCTION.encode())
        archive.addfile(entry, io.BytesIO(FUNCTION.encode()))
    return buffer.getvalue()


def wait_for(functions: Functions, function_id: str, execution_id: str) -> Any:
    deadline = time.monotonic() + 20
    while True:
        execution = functions.get_execution(function_id, execution_id)
        if execution["status"] in ("completed", "failed"):
            return execution
        assert time.monotonic() < deadline, execution
        time.sleep(0.05)


def test_the_whole_story_survives_a_crash(process: ServerProcess, tmp_path: Path) -> None:
    endpoint = process.endpoint
    printed = command("keys", "create", "--data", str(process.data), "--name", "story", "--scopes", "all")
    secret = printed.splitlines()[-1]
    server = client(endpoint, key=secret)
    assert Health(server).get() == {"status": "OK"}

    ada = Person(endpoint, "ada@example.com")
    mine = ada.client(endpoint)
    assert Account(mine).get()["email"] == "ada@example.com"
    assert Account(mine).update_prefs({"theme": "pink"})["prefs"] == {"theme": "pink"}

    books = Database(server).create_collection("Books", ["*"], ["role:member"], RULES)
    own = [f"user:{ada.user['$id']}"]
    documents = [
        Database(mine).create_document(books["$id"], {"title": f"Book {n}", "year": 1990 + n, "tags": ["a", str(n)]})
        for n in range(10)
    ]
    assert documents[0]["$permissions"] == {"read": own, "write": own}

    picture = tmp_path / "notes.txt"
    picture.write_text("remember the milk\n" * 100)
    with picture.open("rb") as content:
        file = Storage(mine).create_file(content, ["*"])
    assert (file["name"], file["mimeType"], file["sizeOriginal"]) == ("notes.txt", "text/plain", 1800)

    function = Functions(server).create("echo", ["role:member"], "python-3.9", {"MODE": "test"})
    archive = tmp_path / "code.tar.gz"
    archive.write_bytes(code_archive())
    with archive.open("rb") as code:
        tag = Functions(server).create_tag(function["$id"], "python main.py", code)
    assert Functions(server).update_tag(function["$id"], tag["$id"])["tag"] == tag["$id"]
    execution = Functions(mine).create_execution(function["$id"], "hello")
    done = wait_for(Functions(mine), function["$id"], execution["$id"])
    assert done["status"] == "completed", done
    assert json.loads(done["stdout"]) == {"data": "hello", "user": ada.user["$id"]}

    process.kill()
    endpoint = process.start().endpoint

    server = client(endpoint, key=secret)
    mine = ada.client(endpoint)
    assert Account(mine).get_prefs() == {"theme": "pink"}
    newest_first = {"order_field": "year", "order_type": "DESC", "order_cast": "int"}
    listed = Database(mine).list_documents(books["$id"], limit=3, **newest_first)
    assert listed["sum"] == 10
    assert [document["title"] for document in listed["documents"]] == ["Book 9", "Book 8", "Book 7"]
    assert Database(mine).list_documents(books["$id"], filters=["tags=3", "year>1990"])["documents"] == [documents[3]]
    assert Database(mine).get_document(books["$id"], documents[5]["$id"]) == documents[5]
    changed = Database(mine).update_document(books["$id"], documents[5]["$id"], {"title": "Changed"})
    assert changed["year"] == 1995
    Database(mine).delete_document(books["$id"], documents[6]["$id"])
    with pytest.raises(AppwriteException) as missing:
        Database(mine).get_document(books["$id"], documents[6]["$id"])
    assert missing.value.code == 404
    assert Storage(mine).get_file_download(file["$id"]) == picture.read_bytes()
    assert Functions(server).get_execution(function["$id"], execution["$id"]) == done
    assert Functions(server).list_tags(function["$id"])["sum"] == 1

    with pytest.raises(AppwriteException) as refused:
        Database(client(endpoint)).create_document(books["$id"], {"title": "x"})
    assert refused.value.code == 401
    ada.close()
    assert process.stop() == 0
