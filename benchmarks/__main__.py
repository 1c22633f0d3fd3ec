"""`make bench`: all of them, one after the other."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = (
    "ratchet", "relay", "offline", "connections", "turns", "one_shot", "start_up", "history", "files",
)  # fmt: skip

for name in BENCHMARKS:
    print(f"\n== {name}\n", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
