"""One run: its environment, its working folder, and what comes of programs that end badly."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import tarfile
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from litewrite.entities import EPOCH, Deployment, Execution, ExecutionStatus, Function, Permissions
from litewrite.executor.process import Runner
from litewrite.executor.runtimes import RUNTIMES
from litewrite.services.runs import CannotRun, Order, Outcome, Runs, environment, spill

PROJECT = "shop"


def an_order(tmp_path: Path, source: str = "", *, command: str = "python main.py", **settings: object) -> Order:
    archive = tmp_path / "code.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo("./main.py")
        content = source.encode()
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    function = Function(
        id="f1",
        project_id=PROJECT,
        name="resize",
        execute=(),
        runtime="python-3.9",
        deployment_id="d1",
        variables={},
        events=(),
        schedule="",
        timeout=20,
        created_at=EPOCH,
        updated_at=EPOCH,
    )
    return Order(
        execution=Execution(
            id="61d5c1a2b3c4d",
            project_id=PROJECT,
            function_id="f1",
            permissions=Permissions(),
            trigger="http",
            status=ExecutionStatus.PROCESSING,
            created_at=EPOCH,
        ),
        function=replace(function, **settings),  # type: ignore[arg-type]
        deployment=Deployment("d1", PROJECT, "f1", command, archive.stat().st_size, "code/shop/x", EPOCH),
        archive=archive,
    )


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    async with Runner() as runner:
        made = Runs(runner, tmp_path / "runs", timeout=900, memory=256 * 1024 * 1024, processes=20)
        yield made
        made.close()


def left(tmp_path: Path) -> list[str]:
    folder = tmp_path / "runs"
    return os.listdir(folder) if folder.exists() else []


# The environment


def test_all_twelve_are_set(tmp_path: Path) -> None:
    variables = environment(an_order(tmp_path), RUNTIMES["php-8.0"])
    assert variables == {
        "APPWRITE_FUNCTION_ID": "f1",
        "APPWRITE_FUNCTION_NAME": "resize",
        "APPWRITE_FUNCTION_TAG": "d1",
        "APPWRITE_FUNCTION_TRIGGER": "http",
        "APPWRITE_FUNCTION_RUNTIME_NAME": "PHP",
        "APPWRITE_FUNCTION_RUNTIME_VERSION": "8.0",
        "APPWRITE_FUNCTION_EVENT": "",
        "APPWRITE_FUNCTION_EVENT_DATA": "",
        "APPWRITE_FUNCTION_DATA": "",
        "APPWRITE_FUNCTION_USER_ID": "",
        "APPWRITE_FUNCTION_JWT": "",
        "APPWRITE_FUNCTION_PROJECT_ID": PROJECT,
    }


def test_variables_are_texts_with_plain_names(tmp_path: Path) -> None:
    order = an_order(
        tmp_path,
        name="a\0b",
        variables={
            "MODE": "fast",
            "A B=C": "x",
            "d.e-f_1": 5,
            "flag": True,
            "none": None,
            "list": [1, "ü"],
            "=": "lost",
            "APPWRITE_FUNCTION_ID": "mine",
        },
    )
    variables = environment(order, RUNTIMES["python-3.9"])
    own = {name: value for name, value in variables.items() if not name.startswith("APPWRITE_")}
    assert own == {"MODE": "fast", "ABC": "x", "d.e-f_1": "5", "flag": "true", "none": "", "list": '[1,"ü"]'}
    assert variables["APPWRITE_FUNCTION_ID"] == "f1"
    assert variables["APPWRITE_FUNCTION_NAME"] == "ab"


def test_large_values_become_files(tmp_path: Path) -> None:
    fits, large = "x" * 100_000, "ü" * 50_001
    kept = spill({"A": fits, "B": large, "C": ""}, tmp_path / "values")
    file = Path(kept.pop("B_FILE"))
    assert kept == {"A": fits, "B": "", "C": ""}
    assert file.read_text("utf-8") == large
    assert file.parent == tmp_path / "values"


def test_small_values_need_no_folder(tmp_path: Path) -> None:
    assert spill({"A": "x"}, tmp_path / "values") == {"A": "x"}
    assert not (tmp_path / "values").exists()


# Running


async def test_a_program_runs_and_leaves_nothing(runs: Runs, tmp_path: Path) -> None:
    source = "import os\nopen('made', 'w').write('x')\nprint(os.path.basename(os.getcwd()), oct(os.stat('..').st_mode))"
    outcome = await runs.carry_out(an_order(tmp_path, source))
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, "code 0o40700\n", "")
    assert 0 < outcome.duration < 20
    assert outcome.deployment_id == "d1"
    assert left(tmp_path) == []


async def test_a_large_variable_arrives_as_a_file(runs: Runs, tmp_path: Path) -> None:
    source = "import os\nprint(repr(os.environ['BIG']), len(open(os.environ['BIG_FILE']).read()))"
    outcome = await runs.carry_out(an_order(tmp_path, source, variables={"BIG": "x" * 200_000}))
    assert (outcome.stdout, outcome.stderr) == ("'' 200000\n", "")


async def test_too_many_large_variables_are_told(runs: Runs, tmp_path: Path) -> None:
    variables = {f"V{number}": "x" * 99_000 for number in range(100)}
    outcome = await runs.carry_out(an_order(tmp_path, "print(1)", variables=variables))
    assert outcome.exit_code == 1
    assert "could not start" in outcome.stderr


async def test_a_limit_is_told_behind_the_output(runs: Runs, tmp_path: Path) -> None:
    source = (
        "import sys, time\nprint('begun', file=sys.stderr, flush=True)\n"
        "held = bytearray(400 * 1024 * 1024)\ntime.sleep(15)"
    )
    outcome = await runs.carry_out(an_order(tmp_path, source))
    assert outcome.exit_code == 137
    assert outcome.stderr == "begun\n\nThe run was ended: more than 256 MB of memory."


async def test_a_limit_of_processes(runs: Runs, tmp_path: Path) -> None:
    source = "import subprocess, sys, time\nfor _ in range(40): subprocess.Popen(['sleep', '15'])\ntime.sleep(15)"
    outcome = await runs.carry_out(an_order(tmp_path, source))
    assert (outcome.exit_code, outcome.stderr) == (137, "The run was ended: more than 20 processes.")


async def test_a_timeout_above_the_servers_own_is_cut(tmp_path: Path) -> None:
    async with Runner() as runner:
        runs = Runs(runner, tmp_path / "runs", timeout=0.5, memory=2**28, processes=20)
        outcome = await runs.carry_out(an_order(tmp_path, "import time; time.sleep(15)"))
        runs.close()
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (124, "", "")
    assert 0.5 <= outcome.duration < 5


@pytest.mark.parametrize(
    ("settings", "command", "reason"),
    [
        ({}, "python 'main.py", "The command has a single quote that is not closed."),
        ({}, "   ", "The command is empty."),
        ({"runtime": "cobol-1.0"}, "cobol x", "The runtime cobol-1.0 is not supported."),
    ],
)
async def test_what_cannot_start(
    runs: Runs, tmp_path: Path, settings: dict[str, str], command: str, reason: str
) -> None:
    with pytest.raises(CannotRun) as caught:
        await runs.carry_out(an_order(tmp_path, command=command, **settings))
    assert str(caught.value) == reason
    assert left(tmp_path) == []


async def test_a_missing_interpreter_is_named(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(CannotRun) as caught:
        await runs.carry_out(an_order(tmp_path, runtime="swift-5.5", command="swift run"))
    assert "swift-5.5" in str(caught.value)
    assert "install the Swift toolchain" in str(caught.value)


async def test_a_bad_archive_is_told(runs: Runs, tmp_path: Path) -> None:
    order = an_order(tmp_path)
    order.archive.write_bytes(b"this is no archive")
    with pytest.raises(CannotRun, match="not a valid gzip file"):
        await runs.carry_out(order)
    assert left(tmp_path) == []


async def test_a_vanished_archive_is_told(runs: Runs, tmp_path: Path) -> None:
    order = an_order(tmp_path)
    order.archive.unlink()
    with pytest.raises(CannotRun, match="could not be unpacked"):
        await runs.carry_out(order)


async def test_a_program_that_does_not_exist(runs: Runs, tmp_path: Path) -> None:
    outcome = await runs.carry_out(an_order(tmp_path, command="./no-such-program"))
    assert outcome.exit_code == 1
    assert outcome.stderr == "could not start './no-such-program': no such program"


async def test_cancelling_ends_the_program(runs: Runs, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    source = f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(30)"
    task = asyncio.create_task(runs.carry_out(an_order(tmp_path, source)))
    deadline = time.monotonic() + 20
    while not (mark.exists() and mark.read_text()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    pid = int(mark.read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert left(tmp_path) == []


async def test_folders_that_were_closed_are_removed(runs: Runs, tmp_path: Path) -> None:
    source = (
        "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').close()\nos.symlink('/', 'a/root')\n"
        "os.chmod('a/b', 0)\nos.chmod('a', 0)\nos.chmod('..', 0o500)"
    )
    outcome = await runs.carry_out(an_order(tmp_path, source))
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert left(tmp_path) == []


async def test_what_a_crash_left_is_swept(runs: Runs, tmp_path: Path) -> None:
    await runs.sweep()
    (tmp_path / "runs" / "61d5c1a2b3c4d" / "code").mkdir(parents=True)
    (tmp_path / "runs" / "stray").write_text("x")
    await runs.sweep()
    assert left(tmp_path) == []


async def test_the_configured_interpreter_is_used(tmp_path: Path) -> None:
    wrapper = tmp_path / "my-python"
    wrapper.write_text(f'#!/bin/sh\nMARK=wrapped exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    async with Runner() as runner:
        runs = Runs(runner, tmp_path / "runs", python=str(wrapper), timeout=60, memory=2**28, processes=20)
        outcome = await runs.carry_out(an_order(tmp_path, "import os; print(os.environ['MARK'])"))
        runs.close()
    assert outcome.stdout == "wrapped\n"


async def test_runs_go_side_by_side(runs: Runs, tmp_path: Path) -> None:
    order = an_order(tmp_path, "import time; time.sleep(0.5)")
    began = time.monotonic()
    outcomes = await asyncio.gather(
        *(runs.carry_out(replace(order, execution=replace(order.execution, id=f"e{n}"))) for n in range(4))
    )
    assert [outcome.exit_code for outcome in outcomes] == [0] * 4
    assert time.monotonic() - began < 8


def test_a_failure_has_an_exit_code() -> None:
    assert Outcome.failure("No.") == Outcome(1, "", "No.", 0.0, "")
