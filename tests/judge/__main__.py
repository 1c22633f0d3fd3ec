"""Starts a server and lets sslyze and testssl.sh judge it: ``python -m tests.judge [--accept]``.

Needs both where `make judge` puts them, each with an environment of its own; one that is not there is left
out, and that is said. What a tool finds must be what stands in `golden/`; --accept writes it anew, and then
the difference is to be read before it is committed. Ends with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import difflib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from examples.stage import Stage

TOOLS = Path(__file__).parents[2] / ".judge"
SSLYZE = TOOLS / "bin" / "sslyze"
TESTSSL = TOOLS / "testssl.sh" / "testssl.sh"
GOLDEN = Path(__file__).parent / "golden"
PATIENCE_SECONDS = 900

SSLYZE_SCANS = (
    "sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3", "elliptic_curves", "compression", "ems",
    "fallback", "heartbleed", "openssl_ccs", "reneg", "resum", "robot",
)  # fmt: skip
"""All but those of certificates, which are self-signed here, of HTTP, and --early_data: that one waits for a
server that speaks first. testssl.sh looks at early data."""
NOT_OURS = (
    "scanTime", "scanProblem", "engine_problem", "service", "optimal_proto", "rating", "cert", "intermediate",
    "OCSP", "DNS", "HTTP",
)  # fmt: skip
"""Findings of testssl.sh about the machine that it runs on, HTTP, or the self-signed certificate."""


class Absent(Exception):
    """A tool that is not there, or cannot run here."""


def sslyze(port: int) -> str:
    """What sslyze prints, without times and ports."""
    if not SSLYZE.exists():
        raise Absent("sslyze is not installed")
    options = [f"--{scan}" for scan in SSLYZE_SCANS]
    printed = _run([str(SSLYZE), "--mozilla_config=disable", *options, f"127.0.0.1:{port}"])
    begin, end = printed.find("* SSL 2.0"), printed.find("SCANS COMPLETED")
    if not 0 <= begin < end:
        raise Absent(f"sslyze could not judge: {printed[-500:]}")
    return _tidy(printed[begin:end])


def testssl(port: int) -> str:
    """What testssl.sh finds: name, severity, finding."""
    if not TESTSSL.exists():
        raise Absent("testssl.sh could not be cloned")
    with tempfile.TemporaryDirectory(prefix="e2ee-judge-") as directory:
        found = Path(directory) / "found.json"
        printed = _run([
            "bash", str(TESTSSL), "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none",
            "--ip", "127.0.0.1", "--jsonfile", str(found), "-p", "-s", "-f", "-P", "-S", "-U",
            f"localhost:{port}",
        ])  # fmt: skip
        if not found.exists():
            raise Absent(f"testssl.sh could not run: {printed.strip()[-500:]}")
        records = json.loads(found.read_text("utf-8"))
    ours = [one for one in records if not one["id"].startswith(NOT_OURS)]
    lines = [f"{one['id']}: {one['severity']}: {one['finding'].strip()}" for one in ours]
    if not lines:
        raise Absent(f"testssl.sh could not run: {printed.strip()[-500:]}")
    return _tidy("\n".join(sorted(lines)))


JUDGES: dict[str, Callable[[int], str]] = {"sslyze": sslyze, "testssl": testssl}


def judge(port: int, accept: bool) -> bool:
    """Whether each tool that is there sees what it saw before."""
    well = True
    for name, tool in JUDGES.items():
        golden = GOLDEN / f"{name}.txt"
        try:
            seen = tool(port)
        except Absent as reason:
            print(f"LEFT OUT: {name}: {reason}")
            continue
        if accept:
            golden.write_text(seen, "utf-8")
        before = golden.read_text("utf-8").splitlines()
        difference = list(difflib.unified_diff(before, seen.splitlines(), str(golden), name, lineterm=""))
        print("\n".join(difference) if difference else f"as before: {name}")
        well = well and not difference
    return well


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    return done.stdout


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.judge")
    parser.add_argument("--accept", action="store_true", help="what is seen now becomes what is expected")
    chosen = parser.parse_args()
    with Stage() as stage:
        link = stage.start_server()
        port = int(link.split("/")[2].rsplit(":", 1)[1])
        return 0 if judge(port, chosen.accept) else 1


if __name__ == "__main__":
    sys.exit(main())
