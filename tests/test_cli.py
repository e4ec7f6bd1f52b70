"""The command line, as real processes: what people type and what programs start."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from litewrite import __version__
from litewrite.cli import main
from litewrite.config import settings

posix = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("LITEWRITE_")}
PROGRAM = [sys.executable, "-m", "litewrite"]


def call(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**ENVIRONMENT, **variables},
    )


def succeed(*arguments: str | Path, **variables: str) -> str:
    done = call(*arguments, **variables)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def answer(*arguments: str | Path) -> Any:
    return json.loads(succeed(*arguments, "--json"))


def fail(*arguments: str | Path, code: int = 1, **variables: str) -> str:
    """The sentence with which a command line fails."""
    done = call(*arguments, **variables)
    assert done.returncode == code, done
    assert done.stdout == ""
    if code == 1:
        assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    return done.stderr


class Server:
    """A process of `litewrite serve`."""

    def __init__(self, data: Path, *arguments: str, **variables: str) -> None:
        self.ready = data.parent / f"{data.name}.ready"
        self.process = subprocess.Popen(
            [*PROGRAM, "serve", "--data", str(data), "--port", "0", "--ready-file", str(self.ready), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**ENVIRONMENT, **variables},
        )
        self.info: dict[str, Any] = {}

    def wait(self) -> Server:
        deadline = time.monotonic() + 30
        while not self.ready.exists():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, "the server did not become ready"
            time.sleep(0.005)
        self.info = json.loads(self.ready.read_text())
        return self

    def get(self, path: str, **headers: str) -> int:
        request = urllib.request.Request(
            self.info["endpoint"] + path,
            headers={
                "X-Appwrite-Project": "default",
                **{name.replace("_", "-"): text for name, text in headers.items()},
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def connect(self) -> socket.socket:
        host, port = self.info["url"].removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), timeout=10)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> tuple[int, str, str]:
        output, errors = self.process.communicate(timeout=20)
        return self.process.returncode, output, errors


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def start(data: Path) -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:

        def start(*arguments: str, folder: Path = data, **variables: str) -> Server:
            server = Server(folder, *arguments, **variables)

            def end() -> None:
                if server.process.poll() is None:
                    server.process.kill()
                server.process.communicate()

            stack.callback(end)
            return server

        yield start


def leftovers(data: Path) -> list[str]:
    return sorted(os.listdir(data))


CLOSED = ["blobs", "litewrite.db", "lock", "secret"]


def test_version() -> None:
    assert succeed("version") == f"litewrite {__version__}\n"
    assert succeed("--version") == f"litewrite {__version__}\n"
    assert answer("version")["version"] == __version__


def test_version_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom litewrite.cli import main\nmain(['version'])\n"
        "heavy = {'aiohttp', 'asyncio', 'sqlite3', 'cryptography', 'litewrite.app'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


def test_openapi_is_json_on_standard_output() -> None:
    document = json.loads(succeed("openapi"))
    assert document["openapi"].startswith("3.")
    assert "/v1/account" in document["paths"]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("unknown",),
        ("serve", "--unknown"),
        ("keys",),
        ("keys", "create", "--name", "x"),
        ("keys", "create", "--scopes", "all"),
        ("projects", "create"),
        ("serve", "--port", "many"),
        ("serve", "--port", "70000"),
        ("serve", "--durability", "maybe"),
        ("serve", "--function-slots", "0"),
        ("serve", "--secret", "x"),
    ],
)
def test_wrong_command_lines(arguments: tuple[str, ...]) -> None:
    assert "usage: litewrite" in fail(*arguments, code=2)


def test_a_wrong_setting_is_named() -> None:
    assert "--port must be a whole number, not 'many'" in fail("serve", "--port", "many", code=2)
    assert "LITEWRITE_PORT must be a whole number" in fail("serve", code=2, LITEWRITE_PORT="many")
    assert "LITEWRITE_EXIT_WITH_PARENT must be true or false" in fail(
        "serve", code=2, LITEWRITE_EXIT_WITH_PARENT="perhaps"
    )


def test_every_setting_is_a_flag_with_its_variable() -> None:
    text = " ".join(succeed("serve", "--help").split())
    for setting in settings():
        if setting.flag:
            assert setting.flag in text
            assert setting.variable in text.replace(" ", "")
    assert "--no-rate-limit" in text
    assert "--secret" not in text


def test_commands_make_a_folder_with_its_project(data: Path) -> None:
    output = succeed("keys", "create", "--data", data, "--name", "dev", "--scopes", "all", "--project", "shop")
    assert re.fullmatch(r"[0-9a-f]{256}", output.splitlines()[-1])
    assert [project["id"] for project in answer("projects", "list", "--data", data)] == ["shop"]
    assert leftovers(data) == CLOSED
    assert "There is no project with the id other" in fail("keys", "list", "--data", data, "--project", "other")
    assert [project["id"] for project in answer("projects", "list", "--data", data)] == ["shop"]


def story(data: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Every command, called in this process, and what it said, with what differs each time left out."""
    said = []

    def succeed(*arguments: str | Path) -> str:
        assert main(list(map(str, arguments))) == 0
        output, errors = capsys.readouterr()
        assert errors == ""
        return str(output)

    def answer(*arguments: str | Path) -> Any:
        return json.loads(succeed(*arguments, "--json"))

    def fail(*arguments: str | Path) -> str:
        assert main(list(map(str, arguments))) == 1
        output, errors = capsys.readouterr()
        assert output == ""
        assert errors.count("\n") == 1
        return str(errors)

    def note(text: str) -> str:
        text = re.sub(r"[0-9a-f]{256}", "SECRET", text)
        text = re.sub(r"\b[0-9a-f]{8}(…|\\u2026)", "HINT", text)
        text = re.sub(r"\b[0-9a-f]{13}\b", "ID", text)
        said.append(re.sub(r"\d{4}-\d\d-\d\dT[0-9:+]+", "TIME", text))
        return text

    at = ("--data", data)
    note(succeed("projects", "create", "shop", "--name", "The Shop", *at))
    note(succeed("projects", "create", "depot", "--json", *at))
    note(fail("projects", "create", "shop", *at))
    note(fail("projects", "create", "console", *at))
    note(fail("projects", "create", "a/b", *at))
    note(fail("projects", "create", "", *at))
    note(fail("projects", "create", "long", "--name", "x" * 200, *at))
    note(succeed("projects", "list", *at))
    note(succeed("keys", "list", *at))
    note(succeed("keys", "create", "--name", "all", "--scopes", "all", *at))
    made = answer("keys", "create", "--name", "some", "--scopes", " users.read,files.write,users.read ", *at)
    assert made["scopes"] == ["users.read", "files.write"]
    assert re.fullmatch(r"[0-9a-f]{256}", made["secret"])
    note(json.dumps(made))
    for scopes in ("users.read,nonsense", "", ",", "All"):
        note(fail("keys", "create", "--name", "x", f"--scopes={scopes}", *at))
    for name in ("", "x" * 129, "a\nb"):
        note(fail("keys", "create", f"--name={name}", "--scopes", "all", *at))
    note(fail("keys", "create", "--name", "x", "--scopes", "all", "--project", "nowhere", *at))
    note(succeed("keys", "list", *at))
    listed = answer("keys", "list", *at)
    assert [key["name"] for key in listed] == ["all", "some"]
    assert all(set(key) == {"id", "project", "name", "scopes", "hint", "created_at"} for key in listed)
    note(fail("keys", "delete", listed[0]["id"], "--project", "shop", *at))
    note(succeed("keys", "delete", listed[0]["id"], *at))
    note(fail("keys", "delete", listed[0]["id"], *at))
    note(succeed("keys", "list", "--project", "shop", *at))
    note(succeed("projects", "delete", "shop", *at))
    note(fail("projects", "delete", "shop", *at))
    note(fail("projects", "delete", "console", *at))
    note(succeed("projects", "list", "--json", *at))
    return said


def test_commands_say_the_same_with_and_without_a_server(
    start: Callable[..., Server], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for setting in settings():
        monkeypatch.delenv(setting.variable, raising=False)
    stopped = story(tmp_path / "stopped", capsys)
    server = start(folder=tmp_path / "running").wait()
    assert story(tmp_path / "running", capsys) == stopped
    code, _, errors = server.stop()
    assert (code, errors) == (0, "")
    assert leftovers(tmp_path / "running") == leftovers(tmp_path / "stopped") == CLOSED
    sentences = "\n".join(stopped)
    assert "There is no scope nonsense. There are users.read, users.write," in sentences
    assert "There is no project with the id nowhere" in sentences


def test_a_key_works_at_once_and_ends_at_once(start: Callable[..., Server], data: Path) -> None:
    server = start().wait()
    key = answer("keys", "create", "--data", data, "--name", "dev", "--scopes", "health.read")
    assert server.get("/health", X_Appwrite_Key=key["secret"]) == 200
    succeed("keys", "delete", key["id"], "--data", data)
    assert server.get("/health", X_Appwrite_Key=key["secret"]) == 401


def test_a_command_needs_the_token(start: Callable[..., Server], data: Path) -> None:
    start().wait()
    record = json.loads((data / "control.json").read_text())
    assert (data / "control.json").stat().st_mode & 0o777 == 0o600
    (data / "control.json").write_text(json.dumps({**record, "token": "x" * 43}))
    assert fail("projects", "list", "--data", data) == "litewrite: The token is wrong\n"


def test_serve_says_what_people_need_and_nothing_else(start: Callable[..., Server], data: Path) -> None:
    server = start().wait()
    assert server.info == {
        "url": server.info["url"],
        "endpoint": f"{server.info['url']}/v1",
        "project": "default",
        "pid": server.process.pid,
    }
    assert server.get("/health/version") == 200
    assert server.get("/nothing") == 404
    for noise in (b"\x16\x03\x01\x02\x00\x01\x00", b"no request\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"):
        with closing(server.connect()) as connection:
            connection.sendall(noise)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(4096)
    code, output, errors = server.stop()
    assert (code, errors) == (0, "")
    assert server.info["endpoint"] in output
    assert "default" in output
    assert f"python -m litewrite keys create --name NAME --scopes all --data {data}" in output
    assert re.search(rf"{server.info['url']}/auth/setup#[A-Za-z0-9_-]{{32}}\n", output)
    assert f"python -m litewrite admins create --email ADDRESS --data {data}" in output
    assert output.count("\n") == 7
    assert not server.ready.exists()
    assert leftovers(data) == CLOSED


def test_settings_come_from_flags_before_variables(start: Callable[..., Server]) -> None:
    server = start(LITEWRITE_PROJECT="shop", LITEWRITE_PUBLIC_URL="https://api.example.com").wait()
    assert server.info["project"] == "shop"
    assert "https://api.example.com/v1" in server.stop()[1]
    server = start("--project", "depot", LITEWRITE_PROJECT="shop").wait()
    assert server.info["project"] == "depot"
    server.stop()


def test_a_second_server_names_the_first(start: Callable[..., Server], data: Path) -> None:
    first = start().wait()
    sentence = fail("serve", "--data", data, "--port", "0", "--ready-file", first.ready)
    assert f"A server runs on the data folder {data} already, at {first.info['url']} (process {first.process.pid})" in (
        sentence
    )
    assert first.ready.exists()
    assert first.get("/health/version") == 200


def test_a_port_in_use_is_a_sentence(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        sentence = fail("serve", "--data", data, "--port", port)
    assert f"Another program listens on 127.0.0.1, port {port}" in sentence
    assert leftovers(data) == CLOSED
    assert "no address 192.0.2.1" in fail("serve", "--data", data, "--port", "0", "--host", "192.0.2.1")


def test_bad_places_are_sentences(data: Path, tmp_path: Path) -> None:
    data.write_text("")
    for command in (("serve",), ("projects", "list")):
        assert fail(*command, "--data", data) == f"litewrite: {data} is a file: name a folder for the data\n"
    folder = tmp_path / "other"
    assert "ready file" in fail("serve", "--data", folder, "--port", "0", "--ready-file", tmp_path / "no" / "file")
    assert not folder.exists()
    folder.mkdir()
    (folder / "litewrite.db").write_bytes(b"something else " * 1000)
    (folder / "secret").write_text("s" * 64)
    for command in (("serve", "--port", "0"), ("projects", "list")):
        assert "is no database of litewrite" in fail(*command, "--data", folder)


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_with_open_connections(start: Callable[..., Server], data: Path, number: int) -> None:
    server = start().wait()
    with closing(server.connect()) as idle, closing(server.connect()) as silent, closing(server.connect()) as half:
        idle.sendall(b"GET /v1/health/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in idle.recv(4096)
        half.sendall(b"GET /v1/health/version HT")
        started = time.monotonic()
        code, _, errors = server.stop(number)
        assert time.monotonic() - started < 3
        assert (code, errors) == (0, "")
        assert silent.recv(1) == b""
    assert leftovers(data) == CLOSED
    assert not server.ready.exists()


@posix
def test_stopping_with_a_body_that_does_not_end(start: Callable[..., Server], data: Path) -> None:
    server = start().wait()
    with closing(server.connect()) as slow:
        slow.sendall(
            b"POST /v1/account HTTP/1.1\r\nHost: localhost\r\nX-Appwrite-Project: default\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        time.sleep(0.1)
        started = time.monotonic()
        assert server.stop()[0] == 0
        assert time.monotonic() - started < 5
    assert leftovers(data) == CLOSED


@posix
def test_stopping_finishes_a_running_request(start: Callable[..., Server]) -> None:
    server = start("--password-passes", "20").wait()
    body = json.dumps({"email": "ada@example.com", "password": "password"}).encode()
    with closing(server.connect()) as busy:
        busy.sendall(
            b"POST /v1/account HTTP/1.1\r\nHost: localhost\r\nX-Appwrite-Project: default\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        assert b" 201 " in busy.recv(4096)
    assert server.end()[0] == 0


@posix
def test_a_second_signal_is_the_end(start: Callable[..., Server], data: Path) -> None:
    server = start().wait()
    with closing(server.connect()) as slow:
        slow.sendall(
            b"POST /v1/account HTTP/1.1\r\nHost: localhost\r\nX-Appwrite-Project: default\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.process.poll() is None
        started = time.monotonic()
        assert server.stop(signal.SIGINT)[0] == 128 + signal.SIGINT
        assert time.monotonic() - started < 1
    assert not server.ready.exists()
    start().wait().stop()
    assert leftovers(data) == CLOSED


@posix
def test_stopping_has_a_deadline_that_holds_when_the_loop_is_stuck(data: Path, tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from litewrite import serve\n"
        "from litewrite.cli import main\n"
        "serve.DEADLINE_SECONDS = 0.3\n"
        "def greet(*_):\n"
        "    print('stuck', flush=True)\n"
        "    time.sleep(60)\n"
        "serve._greet = greet\n"
        "main(sys.argv[1:])\n"
    )
    ready = tmp_path / "ready"
    arguments = ["serve", "--data", str(data), "--port", "0", "--ready-file", str(ready)]
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, env=ENVIRONMENT)
    assert process.stdout is not None
    assert process.stdout.readline() == b"stuck\n"
    assert ready.exists()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=5)
    assert process.returncode == 0
    assert not ready.exists()


@posix
def test_a_signal_during_the_start_stops_it(start: Callable[..., Server], data: Path) -> None:
    start().wait().stop()
    for seconds in (0.15, 0.25, 0.35):
        server = start()
        time.sleep(seconds)
        code, _, errors = server.stop()
        # Before Python has come to our code there is nobody to take the signal.
        assert code in (0, -signal.SIGTERM), errors
        assert "Traceback" not in errors
        assert not server.ready.exists()


@posix
def test_a_killed_server_loses_nothing_that_was_answered(start: Callable[..., Server], data: Path) -> None:
    first = start().wait()
    made = [answer("keys", "create", "--data", data, "--name", str(number), "--scopes", "all") for number in range(2)]
    first.process.kill()
    first.end()
    assert first.ready.exists()
    assert (data / "control.json").exists()
    # A command finds that nobody is there any more, and the next server finds what both have written.
    made.append(answer("keys", "create", "--data", data, "--name", "2", "--scopes", "all"))
    assert not (data / "control.json").exists()
    second = start()
    while first.ready.exists() and f'"pid": {first.process.pid}' in first.ready.read_text():
        assert second.process.poll() is None
        time.sleep(0.005)
    second.wait()
    assert second.info["pid"] == second.process.pid
    for key in made:
        assert second.get("/health", X_Appwrite_Key=key["secret"]) == 200
    assert second.stop()[0] == 0
    assert leftovers(data) == CLOSED


@posix
def test_serve_ends_with_its_parent(tmp_path: Path, data: Path) -> None:
    ready = tmp_path / "ready"
    parent = subprocess.Popen(
        [
            *(sys.executable, "-c", "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()", *PROGRAM, "serve"),
            *("--data", str(data), "--port", "0", "--ready-file", str(ready), "--exit-with-parent"),
        ],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not ready.exists():
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    pid = json.loads(ready.read_text())["pid"]
    assert pid != parent.pid
    parent.kill()
    parent.wait()
    while (data / "control.json").exists() or (data / "lock").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not ready.exists()
    assert leftovers(data) == CLOSED


def test_beyond_loopback_there_is_a_warning(start: Callable[..., Server]) -> None:
    server = start("--host", "0.0.0.0", "--log-format", "json").wait()
    code, _, errors = server.stop()
    assert code == 0
    entry = json.loads(errors)
    assert entry["level"] == "warning"
    assert entry["message"].endswith("functions are off, rate limits are on")
    server = start("--host", "0.0.0.0", "--functions", "on", "--no-rate-limit").wait()
    _, _, errors = server.stop()
    assert "WARNING litewrite.serve: listening on 0.0.0.0" in errors
    assert errors.endswith("functions are on, rate limits are off\n")


def test_nobody_has_to_read_the_output(data: Path, start: Callable[..., Server]) -> None:
    server = start()
    assert server.process.stdout is not None
    server.process.stdout.close()
    server.wait()
    assert server.get("/health/version") == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0


def test_doctor(start: Callable[..., Server], data: Path) -> None:
    assert "does not exist yet" in succeed("doctor", "--data", data)
    server = start().wait()
    running = answer("doctor", "--data", data)
    assert all(finding["state"] != "problem" for finding in running["findings"])
    assert any(str(server.process.pid) in finding["text"] for finding in running["findings"])
    server.stop()
    assert "database: sound" in succeed("doctor", "--data", data)
    (data / "secret").chmod(0o644)
    done = call("doctor", "--data", data)
    assert done.returncode == 1
    assert "problem  permissions: 1 files or folders are open to other users" in done.stdout
    assert f"chmod -R go= {data}" in done.stdout
    assert done.stderr == ""
