"""Runs one command and gives back one result: exit code, output, duration.

Knows no database, no HTTP and no dialect. `runtimes` turns a command text into an argument list, `archive` unpacks the
code, `process` runs it. `launcher`, `supervisor` and `groups` live on the other side of a process border and therefore
import only the standard library.
"""
