"""Programs that measure; none is a test. Each runs from the root of the repository and has `--help`:

    python -m tests.bench.compare     documents over HTTP, beside PocketBase
    python -m tests.bench.startup     import, first answer, memory
    python -m tests.bench.engine      units of work a second, without HTTP

Shared parts: `peers.py` starts and stops the servers, `load.py` runs wrk, `documents.py` has one collection for every
server, `report.py` prints, `command.py` is how a program begins and ends.
"""
