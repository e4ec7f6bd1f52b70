"""A real server process for tests: started by the command a person would type, stopped or killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

START_SECONDS = 30.0


class ServerProcess:
    """`python -m litewrite serve` on a folder, on a free port."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self._arguments = arguments
        self._ready = data.parent / f"{data.name}.ready.json"
        self._process: subprocess.Popen[str] | None = None
        self.info: dict[str, Any] = {}

    def start(self) -> Self:
        self._ready.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "litewrite", "serve", "--data", str(self.data), "--port", "0"),
                *("--no-rate-limit", "--ready-file", str(self._ready), *self._arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._ready.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {self._end()}")
            time.sleep(0.01)
        self.info = json.loads(self._ready.read_text())
        return self

    @property
    def endpoint(self) -> str:
        return str(self.info["endpoint"])

    def kill(self) -> None:
        """End the process as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._end()

    def stop(self) -> int:
        """Ask the process to stop and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)
        return int(self._process.returncode)

    def _end(self) -> str:
        assert self._process is not None
        self._process.kill()
        output, _ = self._process.communicate()
        return output

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._end()


def command(*arguments: str) -> str:
    """Run a litewrite command and return what it printed. Raises CalledProcessError when it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LITEWRITE_")}
    return subprocess.run(
        [sys.executable, "-m", "litewrite", *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    ).stdout
