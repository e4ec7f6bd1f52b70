"""The two ways to find a process tree that the running system does not use find the same one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from litewrite.executor import groups

pytestmark = pytest.mark.skipif(os.name != "posix", reason="programs are run on Unix systems only")

SOURCE = """
import os, sys, time
if os.fork() and os.fork():
    print(flush=True)
time.sleep(60)
"""


@pytest.fixture
def tree(
    processes: Any,
) -> Iterator[int]:
    """A process in a group of its own with at least three processes below it."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", SOURCE], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert processes.wait_until(lambda: len(list(groups.members(process.pid))) == 2)
        yield process.pid
        os.killpg(process.pid, 9)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_scan_of_proc(tree: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = sorted(groups.members(tree))

    monkeypatch.setattr(os.path, "exists", lambda path: not str(path).endswith("/children"))
    monkeypatch.setattr(groups, "_members_by_children", None)
    assert sorted(groups.members(tree)) == expected


@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps")
def test_the_table_of_ps(tree: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = sorted(groups.members(tree))
    weight = groups.weigh(expected)
    monkeypatch.setattr(groups, "_LINUX", False)
    assert sorted(groups.members(tree)) == expected
    assert set(groups.members(os.getpid())) == {tree, *expected}
    assert set(groups.members(1 << 30, tree)) == {tree, *expected}
    assert groups.weigh(expected) >= weight > 100_000
    assert groups.weigh([]) == 0


def test_processes_that_are_gone_are_no_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    groups.end_processes([process.pid])
    groups.end_group(process.pid)
    assert groups.weigh([process.pid]) == 0
    assert list(groups.members(process.pid)) == []
