"""The machine on which was measured, as far as a reader needs it: no name of it, no path."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path


def measured_here(seconds: float) -> str:
    """Return the line under a section's title: date, machine, and how long the section took."""
    now = datetime.now(UTC).date().isoformat()
    return (
        f"*Measured on {now} in {seconds:.0f} s: {_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB, "
        f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}.*"
    )


def _processor() -> str:
    """Return the processor's model; its architecture where the kernel does not say."""
    cpu = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", cpu.read_text(encoding="utf-8")) if cpu.exists() else None
    return f"{found[1].strip()} ({platform.machine()})" if found else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
