from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from litewrite.executor.runtimes import (
    RUNTIMES,
    RuntimeMissing,
    find_interpreter,
    own_interpreter,
    resolve_command,
    split_command,
)

PUBLISHED = """
node-14.5 node-15.5 node-16.0 node-17.0 php-7.4 php-8.0 php-8.1 ruby-2.7 ruby-3.0 python-3.8 python-3.9 python-3.10
deno-1.8 deno-1.10 deno-1.11 deno-1.12 deno-1.13 deno-1.14 dart-2.10 dart-2.12 dart-2.13 dart-2.14 dotnet-3.1
dotnet-5.0 java-11.0 java-16.0 java-17.0 swift-5.5
"""
KEYS = PUBLISHED.split()


def program(folder: Path, name: str) -> str:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_table_has_exactly_the_published_keys() -> None:
    assert list(RUNTIMES) == KEYS
    assert len(KEYS) == 28
    for key, runtime in RUNTIMES.items():
        assert runtime.key == key == f"{runtime.language}-{runtime.version}"
        assert runtime.interpreters
        assert runtime.hint


@pytest.mark.parametrize(
    ("key", "name", "version"),
    [
        ("node-16.0", "Node.js", "16.0"),
        ("php-8.0", "PHP", "8.0"),
        ("dotnet-3.1", ".NET", "3.1"),
        ("swift-5.5", "Swift", "5.5"),
    ],
)
def test_names_and_versions_are_those_programs_see(key: str, name: str, version: str) -> None:
    assert (RUNTIMES[key].name, RUNTIMES[key].version) == (name, version)


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        RUNTIMES["x"] = RUNTIMES["php-8.0"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("php index.php", ["php", "index.php"]),
        ("  php \t index.php\n", ["php", "index.php"]),
        ("node 'my file.js' x", ["node", "my file.js", "x"]),
        ('node "my file.js"', ["node", "my file.js"]),
        ("sh -c 'echo \"$HOME\" | cat'", ["sh", "-c", 'echo "$HOME" | cat']),
        ("a ; & | < > $x `id` * # \\ ~", ["a", ";", "&", "|", "<", ">", "$x", "`id`", "*", "#", "\\", "~"]),
        (r'a "say \"hi\" \\ \n"', ["a", r"say \"hi\" \ \n".replace(r"\"", '"')]),
        (r"a 'no \escape'", ["a", r"no \escape"]),
        ("a b'c d'e\"f g\"", ["a", "bc def g"]),
        ("a '' \"\"", ["a", "", ""]),
        ("a\u00a0b", ["a\u00a0b"]),
    ],
)
def test_split_command(command: str, words: list[str]) -> None:
    assert split_command(command) == words


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("", "empty"),
        (" \t\n ", "empty"),
        ("a 'b", "single quote"),
        ('a "b', "double quote"),
        ('a "b\\"', "double quote"),
        ("'' a", "empty word"),
        ("a\0b", "NUL"),
    ],
)
def test_split_command_refuses(command: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        split_command(command)


@given(st.text(alphabet=st.sampled_from("ab '\"\\;$\t\n\0*é"), max_size=40) | st.text(max_size=40))
@example('"\\')
@example("'")
def test_split_command_gives_words_or_value_error(command: str) -> None:
    try:
        words = split_command(command)
    except ValueError:
        return
    assert words
    assert words[0]
    assert all("\0" not in word for word in words)
    assert sum(map(len, words)) <= len(command)


@given(st.lists(st.text(st.characters(exclude_characters="'\0"), max_size=20), min_size=1, max_size=6))
def test_what_is_in_single_quotes_comes_back_unchanged(words: list[str]) -> None:
    words[0] = "x" + words[0]
    assert split_command(" ".join(f"'{word}'" for word in words)) == words


def test_python_is_the_running_interpreter_by_default() -> None:
    assert find_interpreter("python") == sys.executable
    assert own_interpreter() == sys.executable


def test_a_frozen_program_looks_for_python_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_interpreter("python") is None
    plain = program(tmp_path, "python")
    assert find_interpreter("python") == plain
    three = program(tmp_path, "python3")
    assert find_interpreter("python") == three


@pytest.mark.parametrize("executable", ["", "/usr/sbin/some-server"])
def test_an_embedding_program_is_not_taken_for_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert own_interpreter() is None
    assert find_interpreter("python") is None


def test_a_configured_python_counts_and_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = program(tmp_path, "mypython")
    assert find_interpreter("python", mine) == mine
    assert find_interpreter("python", str(tmp_path / "absent")) is None
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert find_interpreter("python", "mypython") == mine


@pytest.mark.parametrize(
    ("key", "installed", "word"),
    [
        ("node-14.5", "nodejs", "node"),
        ("node-17.0", "node", "nodejs"),
        ("php-8.0", "php", "php"),
        ("php-8.0", "php", "php8.0"),
        ("ruby-2.7", "ruby", "ruby2.7"),
        ("java-11.0", "java", "java"),
        ("dotnet-5.0", "dotnet", "dotnet"),
        ("deno-1.8", "deno", "deno"),
        ("dart-2.10", "dart", "dart"),
        ("swift-5.5", "swift", "swift"),
    ],
)
def test_any_usual_name_means_the_interpreter_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, installed: str, word: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = program(tmp_path, installed)
    assert resolve_command(RUNTIMES[key], [word, "x y"]) == [path, "x y"]


@pytest.mark.parametrize("word", ["python", "python3", "python3.9"])
def test_python_by_any_name(word: str) -> None:
    assert resolve_command(RUNTIMES["python-3.9"], [word, "main.py"]) == [sys.executable, "main.py"]


@pytest.mark.parametrize("word", ["./run.sh", "npm", "php", "python2", "/usr/bin/python3"])
def test_other_words_stay(word: str) -> None:
    assert resolve_command(RUNTIMES["python-3.9"], [word, "a"]) == [word, "a"]


def test_a_missing_interpreter_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for runtime in RUNTIMES.values():
        if runtime.language == "python":
            continue
        with pytest.raises(RuntimeMissing, match="install") as caught:
            resolve_command(runtime, [runtime.interpreters[0], "x"])
        assert runtime.key in str(caught.value)
    with pytest.raises(RuntimeMissing, match="configured"):
        resolve_command(RUNTIMES["python-3.8"], ["python"], str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="empty"):
        resolve_command(RUNTIMES["python-3.8"], [])
