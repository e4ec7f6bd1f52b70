"""What the README says is done as it says it, from a fresh copy of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from litewrite.config import settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
INSTALL_SECONDS = 300


def section(title: str) -> str:
    """The text below a heading, up to the next one of the same level."""
    match = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert match, f"the README has no section {title!r}"
    return match[1]


def blocks(title: str, language: str) -> list[str]:
    return [block.strip() for block in re.findall(rf"```{language}\n(.*?)```", section(title), re.DOTALL)]


def environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LITEWRITE_", "VIRTUAL_ENV"))}
    return {**kept, **extra}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a fresh clone has it."""
    folder = tmp_path_factory.mktemp("clone") / "litewrite"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source = ROOT / name
        if source.is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return folder


@pytest.fixture(scope="module")
def server(copy: Path) -> Iterator[dict[str, str]]:
    """The server that the first command of the README starts; its variables come from the table of settings."""
    (start, _) = blocks("Start", "sh")
    ready = copy.parent / "ready.json"
    process = subprocess.Popen(
        ["bash", "-c", start],
        cwd=copy,
        env=environment(LITEWRITE_PORT="0", LITEWRITE_READY_FILE=str(ready)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + INSTALL_SECONDS
        while not ready.exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "the server was not ready in time"
            time.sleep(0.1)
        yield json.loads(ready.read_text())
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.timeout(INSTALL_SECONDS + 60)
def test_start_and_first_app(copy: Path, server: dict[str, str]) -> None:
    (_, make_key) = blocks("Start", "sh")
    made = subprocess.run(
        ["bash", "-c", make_key], cwd=copy, env=environment(), capture_output=True, text=True, check=True, timeout=60
    )
    (install,) = blocks("A first app in five minutes", "sh")
    subprocess.run(["bash", "-c", install], cwd=copy, env=environment(), check=True, timeout=INSTALL_SECONDS)
    (program,) = blocks("A first app in five minutes", "python")
    assert "http://127.0.0.1:8700/v1" in program
    done = subprocess.run(
        [copy / ".venv" / "bin" / "python", "-c", program.replace("http://127.0.0.1:8700/v1", server["endpoint"])],
        cwd=copy,
        env=environment(LITEWRITE_KEY=made.stdout.splitlines()[-1]),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "'title': 'Dune'" in done.stdout
    assert "'sum': 1" in done.stdout


def test_embedding(tmp_path: Path) -> None:
    (program,) = blocks("Embed", "python")
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1\n", process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def test_the_checks_are_those_of_the_readme() -> None:
    (command,) = blocks("Develop", "sh")
    install, run = command.rsplit(" && ", 1)
    checks = (ROOT / ".ci" / "run").read_text().splitlines()
    assert install in checks
    assert run in checks
    assert run == ".venv/bin/pytest"


def test_every_setting_is_listed() -> None:
    table = section("Settings")
    for setting in settings():
        assert f"`{setting.variable}`" in table, setting.variable
        if setting.flag:
            assert f"| `{setting.flag}` |" in table, setting.flag
        assert setting.help in table, setting.name


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^\| `([a-z]+)[ `]", section("Commands"), re.MULTILINE))))
def test_commands_exist(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "litewrite", command, "--help"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", sorted(set(re.findall(r"tests\.bench\.(\w+)", README))))
def test_bench_programs_exist(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{program}", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
