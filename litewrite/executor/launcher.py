"""The long-lived process that starts programs, so that the server, which has threads, never forks.

It is started with the control socket as standard input. For each run the server passes it the socket of that run; it
forks a supervisor, which talks to the server itself, and forgets about it. It ends with its control socket: supervisors
whose server is gone end their programs, and what is left after a moment is killed from here. Processes whose supervisor
was killed fall to the launcher, which ends them. A supervisor in turn watches a pipe held by the launcher and ends its
program when the launcher is gone, so that either of the two may die without leaving anything behind.

Imports are few because every run is a fork of this process; standard library only.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import time
import traceback

from litewrite.executor import groups, supervisor

__all__ = ["main"]

_STOP_SECONDS = 0.5
_KILL_SECONDS = 1.0


class _Launcher:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._adopt = groups.prepare_adoption()
        self._adopt()
        groups.soften()
        self._wakeup = groups.catch_signals()
        # Held open and never written to: its end tells the supervisors that this process has gone.
        self._alive_reading, self._alive_writing = os.pipe()
        self._supervisors: set[int] = set()

    def serve(self) -> None:
        """Forks supervisors until the server closes the control socket, then leaves no process behind."""
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(self._wakeup, select.POLLIN)
        strays = False
        while True:
            ready = {fd for fd, _ in poller.poll(50 if strays else None)}
            if self._wakeup in ready or strays:
                supervisor.empty(self._wakeup)
                strays = self._sweep(strays)
            if self._control.fileno() in ready:
                conn = self._next_run()
                if conn is None:
                    break
                self._fork(conn)
        self._stop()

    def _next_run(self) -> socket.socket | None:
        """The socket of the next run; None when the server has closed the control socket."""
        while True:
            try:
                data, descriptors, _flags, _address = socket.recv_fds(self._control, 1, 1)
            except ConnectionResetError:
                return None
            if descriptors:
                return socket.socket(fileno=descriptors[0])
            if not data:
                return None
            # A byte without a socket: this process was out of descriptors, and the kernel has closed that run's.

    def _fork(self, conn: socket.socket) -> None:
        with conn:
            try:
                pid = os.fork()
            except OSError as error:
                supervisor.refuse(conn, f"could not start a process: {error.strerror}")
                return
            if pid:
                self._supervisors.add(pid)
                return
            status = 1
            try:
                self._control.close()
                os.close(self._alive_writing)
                self._adopt()
                status = 0 if supervisor.Supervisor(conn, self._alive_reading).run() else 1
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)

    def _sweep(self, strays: bool) -> bool:
        """Reaps, and kills what dead supervisors left behind. True when it must be called again soon."""
        ended = groups.reap()
        if ended is None:
            self._supervisors.clear()
            return False
        # A supervisor that ended well has left nothing; one that did not, and any other child, is worth a search.
        strays = strays or any(code != 0 or pid not in self._supervisors for pid, code in ended.items())
        self._supervisors.difference_update(ended)
        return strays and self._end_strays()

    def _end_strays(self) -> bool:
        kept = set(self._supervisors)
        for pid in self._supervisors:
            kept.update(groups.members(pid))
        strays = [pid for pid in groups.members(os.getpid()) if pid not in kept]
        return groups.end_processes(strays) > 0

    def _stop(self) -> None:
        """Gives the supervisors a moment to end their programs themselves, then kills whatever is left."""
        self._control.close()
        begun = time.monotonic()
        while groups.reap() is not None and time.monotonic() < begun + _STOP_SECONDS:
            time.sleep(0.005)
        while groups.reap() is not None and time.monotonic() < begun + _STOP_SECONDS + _KILL_SECONDS:
            groups.end_processes(groups.members(os.getpid()))
            time.sleep(0.002)


def _detach() -> socket.socket:
    """The control socket, moved away from the standard descriptors, all of which are open afterwards."""
    import fcntl

    control = socket.socket(fileno=fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    while null <= 2:
        null = os.open(os.devnull, os.O_RDWR)
    os.close(null)
    return control


def main() -> None:
    """Serves until the control socket on standard input is closed."""
    launcher = _Launcher(_detach())
    # Objects made so far live as long as the process; not touching them keeps their pages shared with the forks.
    gc.disable()
    gc.freeze()
    launcher.serve()


if __name__ == "__main__":
    main()
