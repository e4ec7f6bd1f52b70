"""Embedding: a whole server as an async context, or on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from functools import partial
from types import TracebackType
from typing import Self

from aiohttp import web

from litewrite.app import REFUSALS as BACKEND_REFUSALS
from litewrite.app import Backend, make_application, open_backend
from litewrite.commands import perform
from litewrite.config import Config
from litewrite.control import ControlServer
from litewrite.data_folder import DataFolder, DataFolderError

__all__ = ["REFUSALS", "Litewrite", "ThreadedServer"]

REFUSALS = (DataFolderError, *BACKEND_REFUSALS)
"""What entering a server raises with a sentence for the operator, besides OSError."""

STOP_SECONDS = 3.5
"""How long running requests may take to finish when the server stops."""


class Litewrite:
    """A server in an asyncio program.

        async with Litewrite(Config(data_dir=folder, port=0)) as server:
            print(server.endpoint)

    Entering opens the data folder and listens; leaving finishes running requests, for 3.5 seconds at most, and closes
    the folder. Raises `FolderInUse` when another process serves the folder, other kinds of `DataFolderError` when it is
    none to be used, `DataRefused` when its data is not for this version, and OSError when the address cannot be
    listened on. With `listen=False` nothing is bound and `application` is for you to mount.
    """

    def __init__(self, config: Config | None = None, *, listen: bool = True, prefix: str = "") -> None:
        self.config = config or Config()
        self._listen = listen
        self._prefix = prefix
        self._stack = contextlib.AsyncExitStack()
        self._backend: Backend | None = None
        self._application: web.Application | None = None
        self._url = ""

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            folder = await stack.enter_async_context(DataFolder(self.config))
            backend = await stack.enter_async_context(open_backend(self.config, folder.path, folder.secret))
            application = make_application(backend, prefix=self._prefix)
            await stack.enter_async_context(ControlServer(folder.path, partial(perform, backend)))
            if self._listen:
                await self._bind(stack, application)
            folder.announce(self._url)
            self._backend, self._application = backend, application
            self._stack = stack.pop_all()
        return self

    async def _bind(self, stack: contextlib.AsyncExitStack, application: web.Application) -> None:
        runner = web.AppRunner(
            application,
            handle_signals=False,
            access_log=None,
            shutdown_timeout=STOP_SECONDS / 2,  # it waits that long, ends what still reads a body, and waits once more
            keepalive_timeout=75,
            auto_decompress=False,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, self.config.host, self.config.port, backlog=1024)
        starting = asyncio.ensure_future(site.start())
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.wait((starting,))  # or nobody would know of the socket
            raise
        host, port = runner.addresses[0][:2]
        self._url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._backend = self._application = None
        await self._stack.aclose()

    @property
    def backend(self) -> Backend:
        if self._backend is None:
            raise RuntimeError("the server is not running: enter it with async with")
        return self._backend

    @property
    def application(self) -> web.Application:
        """The aiohttp application, for `app.add_subapp(prefix, server.application)` with the same `prefix`."""
        if self._application is None:
            raise RuntimeError("the server is not running: enter it with async with")
        return self._application

    @property
    def url(self) -> str:
        """Where the server listens, without a path."""
        return self._url

    @property
    def endpoint(self) -> str:
        """What SDKs take as their endpoint: the URL with `/v1`."""
        return f"{self._url}/v1"

    @property
    def project(self) -> str:
        return self.config.project


class ThreadedServer:
    """A server on a thread and an event loop of its own, for programs with another main loop, such as a GUI.

        with ThreadedServer(Config(data_dir=folder, port=0)) as server:
            print(server.endpoint)

    `start` returns when requests are answered and raises what starting raised; `stop` waits for the thread and raises
    what ended it before or went wrong when it stopped. A stopped server can be started again.
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._server: Litewrite | None = None

    def start(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("the server was started already")
        self._started.clear()
        self._error = None
        self._thread = threading.Thread(target=self._main, name="litewrite-server", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._server is None:
            self.stop()
        return self

    def stop(self) -> None:
        """Stop the server; nothing happens when it does not run."""
        thread, loop, stop = self._thread, self._loop, self._stop
        if thread is None:
            return
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed when the server ended by itself
                loop.call_soon_threadsafe(stop.set)
        thread.join()
        self._thread = self._server = None
        if self._error is not None:
            raise self._error

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with Litewrite(self.config) as server:
            self._server = server
            self._started.set()
            await self._stop.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the server listens, without a path; empty when it does not run."""
        return self._server.url if self._server else ""

    @property
    def endpoint(self) -> str:
        """What SDKs take as their endpoint; empty when the server does not run."""
        return self._server.endpoint if self._server else ""
