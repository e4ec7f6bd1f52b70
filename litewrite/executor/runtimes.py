"""The table of runtimes, and how a command text becomes an argument list.

A runtime key stands for its language: whichever version of the interpreter is installed serves all keys of that
language; name and version of the key are only told to the program. No shell is involved anywhere.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

__all__ = [
    "RUNTIMES",
    "Runtime",
    "RuntimeMissing",
    "find_interpreter",
    "own_interpreter",
    "resolve_command",
    "split_command",
]


class RuntimeMissing(Exception):
    """The interpreter of a runtime is not installed; the text says what to install."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """One runtime key: display name and version (as programs see them), language, and the interpreter's usual names."""

    key: str
    name: str
    version: str
    language: str
    interpreters: tuple[str, ...]
    hint: str

    def is_interpreter(self, word: str) -> bool:
        """Whether `word` is a usual name of this runtime's interpreter: `python`, `python3`, `python3.9`, `node` ..."""
        return word in self.interpreters or any(word == name + self.version for name in self.interpreters)


@dataclass(frozen=True, slots=True)
class _Language:
    name: str
    interpreters: tuple[str, ...]
    hint: str
    versions: tuple[str, ...]


_LANGUAGES: Mapping[str, _Language] = MappingProxyType(
    {
        "node": _Language(
            "Node.js",
            ("node", "nodejs"),
            "install Node.js from https://nodejs.org or your package manager",
            ("14.5", "15.5", "16.0", "17.0"),
        ),
        "php": _Language(
            "PHP",
            ("php", "php-cli"),
            "install PHP's command line program (package php-cli, or https://www.php.net)",
            ("7.4", "8.0", "8.1"),
        ),
        "ruby": _Language(
            "Ruby", ("ruby",), "install Ruby from https://www.ruby-lang.org or your package manager", ("2.7", "3.0")
        ),
        "python": _Language(
            "Python",
            ("python", "python3"),
            "install Python 3 from https://www.python.org or name an interpreter in the settings",
            ("3.8", "3.9", "3.10"),
        ),
        "deno": _Language(
            "Deno", ("deno",), "install Deno from https://deno.com", ("1.8", "1.10", "1.11", "1.12", "1.13", "1.14")
        ),
        "dart": _Language(
            "Dart", ("dart",), "install the Dart SDK from https://dart.dev", ("2.10", "2.12", "2.13", "2.14")
        ),
        "dotnet": _Language(
            ".NET", ("dotnet",), "install the .NET SDK from https://dotnet.microsoft.com", ("3.1", "5.0")
        ),
        "java": _Language(
            "Java",
            ("java",),
            "install a Java runtime (package default-jre-headless, or https://adoptium.net)",
            ("11.0", "16.0", "17.0"),
        ),
        "swift": _Language("Swift", ("swift",), "install the Swift toolchain from https://www.swift.org", ("5.5",)),
    }
)

RUNTIMES: Mapping[str, Runtime] = MappingProxyType(
    {
        f"{key}-{version}": Runtime(
            f"{key}-{version}", language.name, version, key, language.interpreters, language.hint
        )
        for key, language in _LANGUAGES.items()
        for version in language.versions
    }
)
"""Every runtime key, in the order of the published list."""


def own_interpreter() -> str | None:
    """Path of the Python interpreter that runs this program, None when the program is frozen or embedded."""
    executable = sys.executable
    if not executable or getattr(sys, "frozen", False):
        return None
    name = os.path.basename(executable).lower()
    return executable if name.startswith(("python", "pypy", "graalpy")) else None


def find_interpreter(language: str, python: str | None = None) -> str | None:
    """Path of the interpreter of `language` (a `Runtime.language`), None when there is none.

    `python` is the configured interpreter for Python, a path or a name on PATH. Without it the interpreter that runs
    this program is taken, or the one on PATH when this program is frozen. A configured interpreter that does not exist
    is not replaced by another one.
    """
    if language == "python":
        if python:
            return shutil.which(python)
        own = own_interpreter()
        if own is not None:
            return own
        names: tuple[str, ...] = ("python3", "python")
    else:
        names = _LANGUAGES[language].interpreters
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return os.path.abspath(found)
    return None


def split_command(command: str) -> list[str]:
    """Splits a command text into words; no shell, no expansion.

    Blanks (space, tab, line break) separate words. Single quotes take everything up to the next one as it is; double
    quotes do the same except that `\\"` and `\\\\` stand for `"` and `\\`. Every other character is ordinary.
    Raises ValueError on an empty command, an unclosed quote, an empty first word, or a NUL character.
    """
    if "\0" in command:
        raise ValueError("The command contains a NUL character.")
    words: list[str] = []
    word: list[str] | None = None
    at, end = 0, len(command)
    while at < end:
        char = command[at]
        at += 1
        if char in " \t\r\n":
            if word is not None:
                words.append("".join(word))
                word = None
            continue
        if word is None:
            word = []
        if char == "'":
            close = command.find("'", at)
            if close < 0:
                raise ValueError("The command has a single quote that is not closed.")
            word.append(command[at:close])
            at = close + 1
        elif char == '"':
            at = _double_quoted(command, at, word)
        else:
            word.append(char)
    if word is not None:
        words.append("".join(word))
    if not words:
        raise ValueError("The command is empty.")
    if not words[0]:
        raise ValueError("The command begins with an empty word.")
    return words


def _double_quoted(command: str, at: int, word: list[str]) -> int:
    """Appends the part from `at` to the closing double quote to `word`; returns the position after the quote."""
    while at < len(command):
        char = command[at]
        if char == '"':
            return at + 1
        if char == "\\" and command[at + 1 : at + 2] in ('"', "\\"):
            at += 1
            char = command[at]
        word.append(char)
        at += 1
    raise ValueError("The command has a double quote that is not closed.")


def resolve_command(runtime: Runtime, argv: Sequence[str], python: str | None = None) -> list[str]:
    """`argv` with its first word replaced by the interpreter's path when it is a usual name of that interpreter.

    Any other first word stays as it is. Raises RuntimeMissing when the interpreter is wanted and not installed, and
    ValueError when `argv` is empty.
    """
    if not argv:
        raise ValueError("The command is empty.")
    if not runtime.is_interpreter(argv[0]):
        return list(argv)
    interpreter = find_interpreter(runtime.language, python)
    if interpreter is None:
        if runtime.language == "python" and python:
            raise RuntimeMissing(
                f"The configured Python interpreter {python!r} does not exist or cannot be run (runtime {runtime.key})."
            )
        raise RuntimeMissing(
            f"The interpreter of runtime {runtime.key} was not found (looked for "
            f"{' and '.join(runtime.interpreters)} on PATH): {runtime.hint}."
        )
    return [interpreter, *argv[1:]]
