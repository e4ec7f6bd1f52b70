"""Imports point one way, and each kind of thing stays in its room."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "litewrite"
LEAVES = {"entities", "errors", "permissions", "events", "filters", "security", "config", "reference", "smtp"}
LIBRARIES = {
    "security": {"argon2", "cryptography", "jwt"},
    "smtp": {"aiosmtplib"},
}
"""What the few leaves with a library may import."""

ALLOWED = {
    "http": set(),
    "db": set(),
    "blobs": set(),
    "executor": set(),
    "imaging": set(),
    "realtime": set(),
    "oauth": set(),
    "services": {
        "db",
        "blobs",
        "executor",
        "imaging",
        "outbound",
        "mail",
        "oauth",
        "countries",
        "user_agents",
        "media_types",
    },
    "api": {"http", "services", "realtime"},
}
"""Rooms that each room may import, beside itself and the leaves."""

EXCEPTIONS = {
    ("api/uploads.py", "blobs"),  # hands the bytes of a request to a writer of the blob store as they arrive
    ("api/v0_11/mails.py", "mail"),  # shows mails of the outbox to administrators
    ("api/v0_11/models_mail.py", "mail"),
}
TOP = {"app", "server", "cli", "__main__", "__init__"}
"""What wires the rooms; nothing below imports it."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text())


MODULES = dict(modules())


def room_of(path: str) -> str:
    return path.partition("/")[0].removesuffix(".py")


def imported(tree: ast.Module) -> Iterator[str]:
    """Full names of everything that a module imports, at the top or inside of functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def rooms_imported(tree: ast.Module) -> set[str]:
    names = {name.split(".")[1] for name in imported(tree) if name.startswith("litewrite.")}
    return {name for name in names if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()}


def libraries_imported(tree: ast.Module) -> set[str]:
    return {name.partition(".")[0] for name in imported(tree)} - {"litewrite"} - set(sys.stdlib_module_names)


IN_ROOMS = [path for path in MODULES if room_of(path) in ALLOWED]


@pytest.mark.parametrize("path", IN_ROOMS)
def test_a_room_imports_only_what_lies_below(path: str) -> None:
    room = room_of(path)
    beyond = rooms_imported(MODULES[path]) - LEAVES - ALLOWED[room] - {room}
    assert {name for name in beyond if (path, name) not in EXCEPTIONS} == set()


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_leaves_import_only_the_standard_library_and_each_other(name: str) -> None:
    path = f"{name}.py"
    if path not in MODULES:
        pytest.skip("there is no such leaf yet")
    assert rooms_imported(MODULES[path]) <= LEAVES
    assert libraries_imported(MODULES[path]) <= LIBRARIES.get(name, set())


def test_the_leaf_below_all_others_imports_nothing_of_ours() -> None:
    for name in ("entities", "errors"):
        assert rooms_imported(MODULES[f"{name}.py"]) == set()


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(path) not in TOP])
def test_nothing_below_imports_what_wires_it(path: str) -> None:
    above = rooms_imported(MODULES[path]) & {"app", "server", "cli"}
    if room_of(path) in ALLOWED or room_of(path) in LEAVES:
        assert above == set()


def test_app_is_imported_by_the_server_alone_and_no_room() -> None:
    importing = {room_of(path) for path, tree in MODULES.items() if "app" in rooms_imported(tree)}
    assert importing & (set(ALLOWED) | LEAVES) == set()


@pytest.mark.parametrize("room", ["services", "db", "blobs", "executor", "imaging"])
def test_no_http_below_the_api(room: str) -> None:
    assert [path for path in MODULES if room_of(path) == room and "aiohttp" in libraries_imported(MODULES[path])] == []


def test_dialects_do_not_know_each_other() -> None:
    for path, tree in MODULES.items():
        match = re.match(r"api/(v\d+_\d+)/", path)
        if match:
            others = {name for name in imported(tree) if re.match(r"litewrite\.api\.v\d+_\d+", name)}
            assert {name for name in others if not name.startswith(f"litewrite.api.{match[1]}")} == set(), path


def test_no_dialect_is_known_outside_of_its_folder_but_where_it_is_wired() -> None:
    knowing = {
        path
        for path, tree in MODULES.items()
        if any(re.match(r"litewrite\.api\.v\d+_\d+", name) for name in imported(tree))
    }
    assert {path for path in knowing if not path.startswith("api/v") and room_of(path) in {*ALLOWED, *LEAVES}} == set()


SQL = re.compile(
    r"\bSELECT\b.+\bFROM\b|\bSELECT\s+(\d|count|max|min)|\bINSERT\s+(OR\s+\w+\s+)?INTO\b|\bUPDATE\s+\w+\s+SET\b"
    r"|\bDELETE\s+FROM\b|\bCREATE\s+(TABLE|INDEX)\b|\bPRAGMA\b",
    re.DOTALL,
)


def texts(tree: ast.Module) -> Iterator[str]:
    """Every text of a module that is no documentation."""
    documentation = {
        id(node.value)
        for parent in ast.walk(tree)
        if isinstance(parent, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for node in parent.body
        if isinstance(node, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def test_the_search_for_sql_finds_it() -> None:
    for text in ("SELECT a FROM b", "SELECT 1", "INSERT INTO a", "UPDATE a SET b", "DELETE FROM a", "PRAGMA x"):
        assert SQL.search(text)
        assert list(texts(ast.parse(f"x = {text!r}"))) == [text]
    assert not SQL.search("Update a thing and select from the list")
    assert list(texts(ast.parse('"""SELECT 1"""\nx = 1\n"""SELECT 2"""'))) == []


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(path) != "db"])
def test_sql_is_in_its_room_alone(path: str) -> None:
    assert [text for text in texts(MODULES[path]) if SQL.search(text)] == []
    assert not libraries_imported(MODULES[path]) & {"aiosqlite", "asyncpg"}
    assert "sqlite3" not in {name.partition(".")[0] for name in imported(MODULES[path])}


@pytest.mark.parametrize("path", MODULES)
def test_modules_hold_no_state(path: str) -> None:
    """Two servers may live in one process, so no function changes a global name."""
    assert [node for node in ast.walk(MODULES[path]) if isinstance(node, ast.Global)] == []


@pytest.mark.parametrize("path", [path for path in MODULES if not path.endswith("__init__.py")])
def test_every_module_says_what_lives_there(path: str) -> None:
    assert ast.get_docstring(MODULES[path]), path


def test_there_is_no_drawer_for_everything() -> None:
    assert [path for path in MODULES if re.search(r"(utils|helpers|manager)\.py$", path)] == []
