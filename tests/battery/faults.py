"""A storage that fails on command: system calls of the server, failed or traced by strace.

`-D` lets strace watch from aside: the server keeps its process id and its parent. A call is
counted per thread, and one thread does all the writing.
"""

from pathlib import Path


def killed_at(call: str, count: int) -> list[str]:
    """A wrapper: SIGKILL at the n-th such call, before it is done."""
    return [*_strace(Path("/dev/null"), call), "-e", f"inject={call}:signal=SIGKILL:when={count}"]


def failing(call: str, error: str, *, at: Path, when: str) -> list[str]:
    """A wrapper: the calls on a file fail with an error; `when` is `3`, or `3+` from then on."""
    inject = f"inject={call}:error={error}:when={when}"
    return [*_strace(Path("/dev/null"), call), "-e", inject, "-P", str(at)]


def slow(call: str, *, ms: int) -> list[str]:
    """A wrapper: each such call begins late, as on a slow disk."""
    inject = f"inject={call}:delay_enter={ms * 1000}"
    return [*_strace(Path("/dev/null"), call), "-e", inject]


def traced(log: Path, *calls: str) -> list[str]:
    """A wrapper: the calls go to a log, with the names of files and the start of what is sent."""
    return [*_strace(log, *calls), "-y", "-s", "16"]


def _strace(log: Path, *calls: str) -> list[str]:
    return ["strace", "-D", "-f", "-qq", "-o", str(log), "-e", f"trace={','.join(calls)}"]
