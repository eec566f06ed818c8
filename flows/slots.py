"""How many stages this machine, or this container, can run side by side."""

from pathlib import Path

MEMORY = 1792 * 2**20
"""Bytes that a stage may need: the largest, a forest of 200 trees, was measured at 1.64 GiB."""
CGROUPS = Path("/sys/fs/cgroup")


def slots() -> int:
    """Return one for each core and each 1.75 GiB of free memory, at least 1.

    Cores are those that this process may use, by affinity and by the quota of its container.
    To be asked before anything runs: what runs has taken its memory already.
    """
    from joblib import cpu_count

    return max(1, min(cpu_count(), free_memory() // MEMORY))


def free_memory(cgroups: Path = CGROUPS) -> int:
    """Return the bytes that are free on the machine and within the container's limit."""
    import psutil

    limit, used = (_number(cgroups / f"memory.{name}") for name in ("max", "current"))
    free: int = psutil.virtual_memory().available
    return free if limit is None else min(free, limit - (used or 0))


def _number(path: Path) -> int | None:
    """Return what a file of cgroups (version 2) says; None where it has or sets no limit."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
