"""Looks for inputs that decoders do not bear: ``python -m tests.fuzz [--seconds N] [--keep] [DECODER …]``.

Needs atheris (coverage-guided, libFuzzer). Each decoder runs in a process of its own, for N seconds, on a
copy of the corpus. Ends with 1 after a finding, whose input is added to the corpus: so `make test` fails with
it until it is mended. With --keep the inputs that reach new code are added as well.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.corpus import CORPUS, add
from tests.fuzz.decoders import DECODERS

KEPT_BYTES = 2048
"""Larger inputs reach nothing that smaller ones do not."""


def fuzz(name: str, seconds: int, directory: Path, keep: bool) -> bool:
    """One decoder; whether nothing was found."""
    found, crashes = directory / name, directory / f"{name}-findings"
    found.mkdir()
    crashes.mkdir()
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.fuzz.target", name, str(found), str(CORPUS / name),
            f"-max_total_time={seconds}", f"-artifact_prefix={crashes}/", "-print_final_stats=1",
            "-rss_limit_mb=1024", "-timeout=10",
        ],
        capture_output=True, text=True, errors="replace", timeout=seconds + 120, check=False,
    )  # fmt: skip
    runs = [line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    print(f"{name:22} {runs[0] if runs else '?':>10} inputs", flush=True)
    for path in crashes.iterdir():
        add(name, path.read_bytes())
    if keep:
        for path in found.iterdir():
            if path.stat().st_size <= KEPT_BYTES:
                add(name, path.read_bytes())
    if done.returncode == 0:
        return True
    print("\n".join(done.stderr.splitlines()[-40:]))
    return False


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="for each decoder")
    parser.add_argument("--keep", action="store_true", help="add what reaches new code to the corpus")
    parser.add_argument("decoders", nargs="*", choices=[*DECODERS, []], default=[])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="e2ee-fuzz-") as directory:
        names = chosen.decoders or list(DECODERS)
        well = [fuzz(name, chosen.seconds, Path(directory), chosen.keep) for name in names]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
