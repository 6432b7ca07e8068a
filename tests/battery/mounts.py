"""Small file systems of memory, to be filled or made read-only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(at: Path, *, size: str) -> Iterator[Path]:
    """A file system of its own, gone at the end; it takes root to make one."""
    at.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(at))
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def make_read_only(at: Path) -> None:
    """Let nothing on a mounted file system be written, not even by root."""
    mount("-o", "remount,ro", str(at))


def mount(*arguments: str) -> None:
    """Mount, or say why not: without it nothing is known of what happens on a full disk."""
    run = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"this test must mount a tmpfs, as root: {run.stderr.strip()}"


def fill(at: Path) -> Path:
    """Write a file until the file system is full; removing it makes space again."""
    filler = at / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                os.fsync(file.fileno())
    return filler
