"""What a caller of Runner sees: results, output, environment, limits, and that nothing is left running."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from litewrite.executor.process import Command, Result, Runner, base_environment, decode_output

pytestmark = pytest.mark.skipif(os.name != "posix", reason="programs are run on Unix systems only")
Make = Callable[..., Command]

# --- results and output


@pytest.mark.parametrize("code", [0, 1, 3, 124, 255])
async def test_exit_code(runner: Runner, shell: Make, code: int) -> None:
    result = await runner.run(shell(f"exit {code}"))
    assert (result.exit_code, result.timed_out, result.reason) == (code, False, "")
    assert 0 < result.duration < 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
async def test_a_signal_gives_128_and_its_number(runner: Runner, shell: Make, number: signal.Signals) -> None:
    result = await runner.run(shell(f"echo before; kill -{int(number)} $$"))
    assert (result.exit_code, result.stdout, result.reason) == (128 + number, "before\n", "")


async def test_both_outputs_apart_and_unchanged(runner: Runner, python: Make) -> None:
    text = '{"é": "€😀\u0000", "lines": "a\r\nb"}'
    result = await runner.run(
        python(
            """
            import sys
            sys.stdout.buffer.write(sys.argv[1].replace("NUL", chr(0)).encode()); sys.stderr.write("to err")
            """,
            text.replace("\0", "NUL"),
        )
    )
    assert (result.exit_code, result.stdout, result.stderr) == (0, text, "to err")


async def test_duration_is_wall_time(runner: Runner, shell: Make) -> None:
    result = await runner.run(shell("sleep 0.3"))
    assert 0.3 <= result.duration < 1.5


async def test_only_the_end_of_huge_output_is_kept(processes: Any, runner: Runner, python: Make) -> None:
    """About 300 MB to both outputs: fast, in little memory, nothing on disk."""
    run = asyncio.create_task(
        runner.run(
            python(
                """
                import os
                block = b"0123456789abcdef" * 65536
                for _ in range(150):
                    for output in (1, 2):
                        rest = block
                        while rest:
                            rest = rest[os.write(output, rest):]
                os.write(1, b"the end"); os.write(2, b"error end")
                """
            )
        )
    )
    launcher = await processes.launcher_of(runner)
    peak = 0
    while not run.done():
        peak = max(peak, *(processes.resident(pid) for pid in [launcher, *processes.children(launcher)]))
        await asyncio.sleep(0.01)
    result = await run
    assert (result.exit_code, len(result.stdout), len(result.stderr)) == (0, 4000, 4000)
    assert result.stdout.endswith("89abcdefthe end")
    assert result.stderr.endswith("89abcdeferror end")
    assert 0 < peak < 40_000_000


async def test_output_limit(runner: Runner, shell: Make) -> None:
    command = shell("printf 'äöüß€'; printf 12345 >&2")
    for limit, out, err in [
        (0, "", ""),
        (1, "€", "5"),
        (3, "üß€", "345"),
        (5, "äöüß€", "12345"),
        (99, "äöüß€", "12345"),
    ]:
        result = await runner.run(replace(command, output_limit=limit))
        assert (result.stdout, result.stderr) == (out, err)


async def test_the_limit_counts_characters_and_never_halves_one(runner: Runner, python: Make) -> None:
    for lead in ("", "x", "xx", "xxx"):
        command = python(f"import sys; sys.stdout.buffer.write(({lead!r} + '😀' * 30000 + '€').encode())")
        result = await runner.run(command)
        assert result.stdout == "😀" * 3999 + "€"


async def test_bytes_that_are_no_utf8_become_one_character_each(runner: Runner, python: Make) -> None:
    result = await runner.run(
        python(
            r"""
            import sys
            sys.stdout.buffer.write(b"\xea\xe4"); sys.stderr.buffer.write(b"\xff" * 50000)
            """
        )
    )
    assert (result.stdout, result.stderr) == ("êä", "ÿ" * 4000)


@given(st.binary(max_size=60), st.integers(0, 70), st.integers(0, 3))
def test_decoding_gives_every_byte_or_the_text(data: bytes, limit: int, dropped: int) -> None:
    text = decode_output(data[dropped:], cut=dropped > 0, limit=limit)
    assert len(text) <= limit
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        return
    if dropped == 0:
        assert text == whole[len(whole) - min(limit, len(whole)) :]
    else:
        assert whole.endswith(text)


async def test_a_child_that_keeps_the_outputs_open_delays_nothing(runner: Runner, shell: Make) -> None:
    begun = time.monotonic()
    result = await runner.run(shell("sleep 60 & echo done"))
    assert (result.exit_code, result.stdout) == (0, "done\n")
    assert time.monotonic() - begun < 5


async def test_a_stranger_that_keeps_the_outputs_open_does_not_hang_the_result(
    runner: Runner, python: Make, tmp_path: Path
) -> None:
    """A process elsewhere that was handed the program's own stdout."""
    import socket

    server = socket.socket(socket.AF_UNIX)
    with server:
        server.bind(str(tmp_path / "s"))
        server.listen(1)
        run = asyncio.create_task(
            runner.run(
                python(
                    """
                    import socket
                    s = socket.socket(socket.AF_UNIX); s.connect("s")
                    socket.send_fds(s, [b"x"], [1]); s.recv(1); print("done")
                    """
                )
            )
        )
        conn, _ = await asyncio.to_thread(server.accept)
        with conn:
            _, descriptors, _, _ = await asyncio.to_thread(socket.recv_fds, conn, 1, 1)
            conn.sendall(b"x")
            result = await run
    os.close(descriptors[0])
    assert (result.exit_code, result.stdout) == (0, "done\n")


# --- what the program finds


async def test_the_environment_is_exactly_the_one_given(
    runner: Runner, shell: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    env = {"A": "", "B-C.d": "é \n=x", "PATH": "/usr/bin:/bin"}
    result = await runner.run(Command(["env", "-0"], "/", env, 20))
    pairs = dict(pair.split("=", 1) for pair in result.stdout.rstrip("\0").split("\0"))
    assert pairs == env


async def test_base_environment(runner: Runner, tmp_path: Path) -> None:
    env = base_environment(str(tmp_path))
    assert set(env) == {"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL"}
    assert env["PATH"] == os.environ["PATH"]
    assert env["HOME"] == env["TMPDIR"] == str(tmp_path)
    result = await runner.run(Command(["sh", "-c", "echo $HOME $LC_ALL"], str(tmp_path), env, 20))
    assert result.stdout == f"{tmp_path} C.UTF-8\n"


async def test_folder_input_descriptors_signals_and_session(runner: Runner, python: Make, tmp_path: Path) -> None:
    """Nothing of the server, the launcher or the supervisor is inherited."""
    leaked = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        result = await runner.run(
            python(
                """
                import json, os, signal, sys
                status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
                links = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if
                         os.path.lexists(f"/proc/self/fd/{fd}")}
                print(json.dumps({
                    "cwd": os.getcwd(), "input": sys.stdin.read(), "fds": sorted(links), "stdin": links["0"],
                    "session": os.getsid(0) == os.getpgid(0) == os.getpid(),
                    "blocked": int(status["SigBlk"], 16), "term": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
                    "chld": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
                }))
                """
            )
        )
    finally:
        os.close(leaked)
    assert result.stderr == ""
    assert json.loads(result.stdout) == {
        "cwd": str(tmp_path),
        "input": "",
        "fds": ["0", "1", "2"],
        "stdin": "/dev/null",
        "session": True,
        "blocked": 0,
        "term": True,
        "chld": True,
    }


async def test_programs_are_looked_up_in_the_path_that_is_given(runner: Runner, tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho mine\n")
    tool.chmod(0o755)
    found = await runner.run(Command(["tool"], str(tmp_path), {"PATH": str(tool.parent)}, 20))
    relative = await runner.run(Command(["./bin/tool"], str(tmp_path), {}, 20))
    assert (found.stdout, relative.stdout) == ("mine\n", "mine\n")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"argv": ["no-such-program"]}, "no such program"),
        ({"argv": ["./main.py"]}, "no such program"),
        ({"argv": ["/etc/passwd"]}, "Permission denied"),
        ({"argv": ["./not-executable-format"]}, "Exec format error"),
        ({"argv": [""]}, "Permission denied"),
        ({"cwd": "/no/such/folder"}, "No such file or directory (/no/such/folder)"),
        ({"argv": ["sh", "a\0b"]}, "null byte"),
        ({"env": {"A": "x\0y"}}, "null byte"),
        ({"env": {"A=B": "x"}}, "illegal environment variable name"),
        ({"env": {"A": "\ud800"}}, "surrogates not allowed"),
        ({"env": {"A": "x" * 200_000}}, "Argument list too long"),
        ({"env": {"A": "x" * 20_000_000}}, "arguments and environment are too large"),
    ],
)
async def test_what_cannot_be_started(
    runner: Runner, shell: Make, tmp_path: Path, changes: dict[str, object], text: str
) -> None:
    broken = tmp_path / "not-executable-format"
    broken.write_bytes(b"\x00\x01 nothing")
    broken.chmod(0o755)
    command = shell("exit 0")
    result = await runner.run(replace(command, **changes))  # type: ignore[arg-type]
    assert (result.exit_code, result.stdout, result.timed_out) == (1, "", False)
    assert result.reason.startswith("could not start ")
    assert text in result.reason
    assert result.stderr == result.reason
    assert (await runner.run(command)).exit_code == 0


@pytest.mark.parametrize(
    "changes",
    [{"argv": []}, {"timeout": 0}, {"timeout": float("nan")}, {"timeout": float("inf")}, {"output_limit": -1}],
)
def test_commands_that_make_no_sense(shell: Make, changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        replace(shell("true"), **changes)  # type: ignore[arg-type]


# --- time-out, leftovers, cancellation


async def test_the_timeout_kills_the_whole_tree(processes: Any, runner: Runner, python: Make, tmp_path: Path) -> None:
    result = await runner.run(python(processes.daemon + "print('output', flush=True)\nsleep()\n", timeout=1.5))
    assert result == Result(124, "", "", result.duration, True, "")
    assert 1.5 <= result.duration < 2.5
    assert processes.gone(tmp_path)


async def test_the_timeout_ends_a_flood(runner: Runner, shell: Make) -> None:
    result = await runner.run(shell("yes & yes >&2", timeout=0.5))
    assert (result.exit_code, result.stdout, result.stderr, result.timed_out) == (124, "", "", True)
    assert 0.5 <= result.duration < 1.5


async def test_what_is_left_after_a_normal_end_is_killed(
    processes: Any, runner: Runner, python: Make, tmp_path: Path
) -> None:
    result = await runner.run(python(processes.daemon + "print('output')\nsys.exit(7)\n"))
    assert (result.exit_code, result.stdout, result.reason) == (7, "output\n", "")
    assert processes.gone(tmp_path)


async def test_leftovers_of_one_run_are_not_taken_for_those_of_another(
    processes: Any, runner: Runner, python: Make, shell: Make, tmp_path: Path
) -> None:
    """A daemon of a run that goes on survives the end of other runs."""
    long = asyncio.create_task(runner.run(python(processes.daemon + "time.sleep(100)\n")))
    await processes.begun(tmp_path)
    for _ in range(5):
        await runner.run(shell("setsid sleep 100 & exit 0"))
    assert all(processes.is_running(pid) for pid in processes.noted(tmp_path))
    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long
    assert processes.gone(tmp_path)


async def test_cancellation_kills_before_it_goes_on(
    processes: Any, runner: Runner, python: Make, tmp_path: Path
) -> None:
    run = asyncio.create_task(runner.run(python(processes.daemon + "sleep()\n")))
    await processes.begun(tmp_path)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert processes.gone(tmp_path)


async def test_cancellation_at_any_moment(processes: Any, runner: Runner, python: Make, tmp_path: Path) -> None:
    command = python("import time, os; open(f'pid.{os.getpid()}', 'w').write(f'{os.getpid()}\\n'); time.sleep(60)")
    for step in range(24):
        run = asyncio.create_task(runner.run(command))
        await asyncio.sleep(step * 0.001)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    assert (await runner.run(replace(command, timeout=0.5))).timed_out
    assert await asyncio.to_thread(
        processes.wait_until, lambda: not any(processes.is_running(pid) for pid in processes.noted(tmp_path))
    )


async def test_leaving_the_context_ends_everything_quickly(processes: Any, python: Make, tmp_path: Path) -> None:
    async with Runner() as runner:
        run = asyncio.create_task(runner.run(python(processes.daemon + "print('x', flush=True)\nsleep()\n")))
        await processes.begun(tmp_path)
        launcher = await processes.launcher_of(runner)
        begun = time.monotonic()
    assert time.monotonic() - begun < 2.5
    assert processes.gone(tmp_path)
    assert not processes.is_running(launcher)
    result = await run
    assert (result.exit_code, result.reason) == (137, "stopped before its end")
    with pytest.raises(RuntimeError, match="closed"):
        await runner.run(python("pass"))


async def test_a_runner_that_ran_nothing_starts_nothing() -> None:
    async with Runner() as runner:
        assert runner._launcher is None


# --- limits


async def test_memory_limit(runner: Runner, python: Make) -> None:
    source = """
        import os, time
        print("begun", flush=True)
        if os.fork() == 0:
            hog = []
            for _ in range(300):
                hog.append(b"x" * 1_000_000); time.sleep(0.001)
            time.sleep(60)
        os.wait()
        """
    result = await runner.run(python(source, memory_bytes=100 * 1024 * 1024))
    assert (result.exit_code, result.stdout, result.timed_out) == (137, "begun\n", False)
    assert result.reason == "more than 100 MB of memory"
    assert result.duration < 10


async def test_memory_below_the_limit(runner: Runner, python: Make) -> None:
    """Pages that forks share are not counted for each of them."""
    source = """
        import os, time
        hog = b"x" * 30_000_000
        for _ in range(6):
            if os.fork() == 0:
                time.sleep(0.5); os._exit(0)
        for _ in range(6):
            os.wait()
        print(len(hog))
        """
    result = await runner.run(python(source, memory_bytes=500 * 1024 * 1024))
    assert (result.exit_code, result.stdout, result.reason) == (0, "30000000\n", "")


async def test_process_limit_stops_a_fork_bomb(processes: Any, runner: Runner, python: Make, tmp_path: Path) -> None:
    source = """
        import os, time
        for _ in range(12):
            if os.fork() == 0:
                os.setsid()
            time.sleep(0.02)
        time.sleep(60)
        """
    result = await runner.run(python(source, max_processes=40))
    assert (result.exit_code, result.reason) == (137, "more than 40 processes")
    assert result.duration < 10
    launcher = await processes.launcher_of(runner)
    assert await asyncio.to_thread(processes.wait_until, lambda: processes.children(launcher) == [])


async def test_many_processes_one_after_the_other_are_fine(runner: Runner, shell: Make) -> None:
    result = await runner.run(
        shell("i=0; while [ $i -lt 60 ]; do /bin/true; i=$((i+1)); done; echo $i", max_processes=5)
    )
    assert (result.exit_code, result.stdout) == (0, "60\n")


# --- many runs, other loops


async def test_many_runs_at_once(runner: Runner, shell: Make) -> None:
    commands = [shell(f"echo {number}; sleep 0.2; exit {number % 7}") for number in range(40)]
    begun = time.monotonic()
    results = await asyncio.gather(*map(runner.run, commands))
    assert [result.exit_code for result in results] == [number % 7 for number in range(40)]
    assert [result.stdout for result in results] == [f"{number}\n" for number in range(40)]
    assert time.monotonic() - begun < 6


async def test_runs_beyond_the_bound_wait(shell: Make) -> None:
    async with Runner(max_concurrent=2) as runner:
        begun = time.monotonic()
        results = await asyncio.gather(*(runner.run(shell("sleep 0.2")) for _ in range(6)))
    assert time.monotonic() - begun >= 0.6
    assert all(result.duration < 0.6 for result in results)
    with pytest.raises(ValueError):
        Runner(max_concurrent=0)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
async def test_any_loop_in_another_thread(
    processes: Any, factory: Callable[[], asyncio.AbstractEventLoop], python: Make, tmp_path: Path
) -> None:
    async def use() -> list[Result]:
        async with Runner() as runner:
            run = asyncio.create_task(runner.run(python(processes.daemon + "sleep()\n")))
            await processes.begun(tmp_path)
            run.cancel()
            await asyncio.wait([run])
            assert run.cancelled()
            big = python("import os; os.write(1, b'x' * 70000); os._exit(3)", env={"BIG": "y" * 100_000})
            return list(await asyncio.gather(runner.run(big), runner.run(python("while True: pass", timeout=0.3))))

    def thread() -> list[Result]:
        with asyncio.Runner(loop_factory=factory) as loop:
            return loop.run(use())

    plain, timed_out = await asyncio.to_thread(thread)
    assert (plain.exit_code, plain.stdout) == (3, "x" * 4000)
    assert (timed_out.exit_code, timed_out.timed_out) == (124, True)
    assert processes.gone(tmp_path)


async def test_the_loop_is_not_blocked(runner: Runner, python: Make) -> None:
    longest = 0.0

    async def measure() -> None:
        nonlocal longest
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - begun)

    meter = asyncio.create_task(measure())
    await asyncio.gather(*(runner.run(python("print('x' * 100000)")) for _ in range(10)))
    meter.cancel()
    await asyncio.wait([meter])
    assert longest < 0.5


async def test_the_overhead_is_small(runner: Runner, shell: Make) -> None:
    await runner.run(shell("exit 0"))
    fastest = 1.0
    for _ in range(15):
        begun = time.perf_counter()
        result = await runner.run(shell("exit 0"))
        fastest = min(fastest, time.perf_counter() - begun - result.duration)
    assert fastest < 0.015
