"""Violent ends: of the launcher, of a supervisor, of the server. Whichever dies, no program is left running."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from litewrite.executor.process import Command, Runner

pytestmark = pytest.mark.skipif(os.name != "posix", reason="programs are run on Unix systems only")
Make = Callable[..., Command]


async def test_a_killed_launcher_is_replaced(
    processes: Any, runner: Runner, python: Make, shell: Make, tmp_path: Path
) -> None:
    run = asyncio.create_task(runner.run(python(processes.daemon + "sleep()\n")))
    await processes.begun(tmp_path)
    first = await processes.launcher_of(runner)
    os.kill(first, signal.SIGKILL)
    result = await run
    assert (result.exit_code, result.timed_out) == (1, False)
    assert "launcher" in result.reason
    assert processes.gone(tmp_path)
    assert (await runner.run(shell("echo again"))).stdout == "again\n"
    assert await processes.launcher_of(runner) != first


async def test_many_runs_just_after_the_launcher_died(processes: Any, runner: Runner, shell: Make) -> None:
    await runner.run(shell("true"))
    os.kill(await processes.launcher_of(runner), signal.SIGKILL)
    results = await asyncio.gather(*(runner.run(shell("echo x")) for _ in range(8)))
    # Those handed over before the death showed fail with a reason; none hangs, and the next ones succeed.
    assert all(result.stdout == "x\n" or (result.exit_code == 1 and result.reason) for result in results)
    assert (await runner.run(shell("echo x"))).stdout == "x\n"


async def test_a_killed_supervisor_leaves_nothing(
    processes: Any, runner: Runner, python: Make, shell: Make, tmp_path: Path
) -> None:
    run = asyncio.create_task(runner.run(python(processes.daemon + "sleep()\n")))
    await processes.begun(tmp_path)
    launcher = await processes.launcher_of(runner)
    (supervisor,) = processes.children(launcher)
    os.kill(supervisor, signal.SIGKILL)
    result = await run
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.reason
    assert await asyncio.to_thread(processes.wait_until, lambda: processes.gone(tmp_path))
    assert await asyncio.to_thread(processes.wait_until, lambda: processes.children(launcher) == [])
    assert (await runner.run(shell("echo on"))).stdout == "on\n"
    assert await processes.launcher_of(runner) == launcher


async def test_a_program_that_kills_its_supervisor(
    processes: Any, runner: Runner, python: Make, tmp_path: Path
) -> None:
    result = await runner.run(python(processes.daemon + "os.kill(os.getppid(), 9)\nsleep()\n"))
    assert (result.exit_code, bool(result.reason)) == (1, True)
    assert await asyncio.to_thread(processes.wait_until, lambda: processes.gone(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_ordinary_signals_do_not_end_the_launcher(
    processes: Any, runner: Runner, shell: Make, number: int
) -> None:
    """A service manager or a terminal sends them to every process; the server decides when to stop."""
    run = asyncio.create_task(runner.run(shell("sleep 0.5; echo done")))
    launcher = await processes.launcher_of(runner)
    await asyncio.to_thread(processes.wait_until, lambda: bool(processes.children(launcher)))
    (supervisor,) = processes.children(launcher)
    await asyncio.sleep(0.1)
    os.kill(launcher, number)
    os.kill(supervisor, number)
    assert (await run).stdout == "done\n"
    assert processes.is_running(launcher)


@pytest.mark.parametrize("ending", ["os.kill(os.getpid(), 9)", "os._exit(0)"])
def test_nothing_outlives_a_killed_server(processes: Any, tmp_path: Path, ending: str) -> None:
    """A server process of its own, with three runs under way, that ends without any clean-up."""
    (tmp_path / "program.py").write_text(processes.daemon + "sleep()\n")
    source = f"""
        import asyncio, os, pathlib, sys
        from litewrite.executor.process import *

        async def main():
            async with Runner() as runner:
                folders = [pathlib.Path(sys.argv[1], str(number)) for number in range(3)]
                for folder in folders:
                    folder.mkdir()
                    command = Command([sys.executable, "../program.py"], str(folder), base_environment(str(folder)), 60)
                    asyncio.get_running_loop()._keep = asyncio.create_task(runner.run(command))
                    while len([path for path in folder.glob("pid.*") if path.read_text().endswith(chr(10))]) < 4:
                        await asyncio.sleep(0.01)
                pathlib.Path(sys.argv[1], "launcher").write_text(str(runner._launcher._process.pid))
                {ending}

        asyncio.run(main())
        """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(source), str(tmp_path)], timeout=60, check=False)
    assert ended.returncode in (-9, 0)
    launcher = int((tmp_path / "launcher").read_text())
    assert processes.wait_until(lambda: not processes.is_running(launcher))
    for number in range(3):
        assert processes.wait_until(lambda number=number: processes.gone(tmp_path / str(number)))


async def test_an_interpreter_that_cannot_run_the_launcher(
    shell: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    async with Runner(python=str(tmp_path / "absent")) as runner:
        result = await runner.run(shell("echo x"))
        assert (result.exit_code, result.stderr) == (1, result.reason)
        assert "no Python interpreter" in result.reason
    async with Runner(python="/bin/false") as runner:
        for _ in range(3):
            result = await runner.run(shell("echo x"))
            assert result.exit_code == 1
            assert result.reason
    real = Path(sys.base_prefix, "bin", "python3")
    async with Runner(python=str(real)) as runner:
        assert (await runner.run(shell("echo x"))).stdout == "x\n"


async def test_the_launcher_passes_no_descriptor_on(runner: Runner, python: Make) -> None:
    """The supervisor holds the run's socket and pipes; two runs at once do not see each other's."""
    source = "import os; print(len(os.listdir('/proc/self/fd')))"
    results = await asyncio.gather(*(runner.run(python(source)) for _ in range(6)))
    assert {result.stdout for result in results} == {"4\n"}  # three, and the one that lists


async def test_descriptors_are_given_back(processes: Any, runner: Runner, shell: Make) -> None:
    await runner.run(shell("true"))
    launcher = await processes.launcher_of(runner)

    def counts() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{launcher}/fd"))

    before = counts()
    await asyncio.gather(*(runner.run(shell("true")) for _ in range(20)))
    await asyncio.sleep(0.05)
    assert counts() == before
