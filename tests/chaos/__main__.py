"""`make chaos`: the long form, with its length and its seed from the environment. Exit 1 if a promise broke.

    E2EE_CHAOS_SEED=…        the seed; by lot, and printed, if not given
    E2EE_CHAOS_MESSAGES=…    messages of all writers together (20,000; with power cuts 2,000)
    E2EE_CHAOS_STRIKES=…     spread over the time in which the proxy strikes so many connections (1,000; 100)
    E2EE_CHAOS_KILL_EVERY=…  mean seconds between two kills or power cuts (20; 8; 0: none)
    E2EE_CHAOS_PAUSE=…       seconds that a writer rests after every 20 lines (0.2)
    E2EE_CHAOS_BYTES=…       typical bytes of a connection before it is struck (4000)
    E2EE_CHAOS_SILENCE=…     the longest black hole in seconds (2)
    E2EE_CHAOS_POWER=1       power cuts as well as kills, where the machine has FUSE (make powerloss)
    E2EE_CHAOS_KEEP=…        a new directory for what is left of a run that has broken a promise
    E2EE_CHAOS_FAULT=WHO:NAME  plants a fault of `tests.chaos.faults`: the run must fail then
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from tests.chaos.house import Faults
from tests.chaos.power import missing
from tests.chaos.run import Plan, Run
from tests.chaos.weather import Weather


def number(name: str, default: float) -> float:
    """From the environment."""
    return float(os.environ.get(f"E2EE_CHAOS_{name}", default))


def plan() -> Plan:
    """What the environment asks for."""
    seed = int(number("SEED", random.SystemRandom().randrange(2**32)))
    who, _, fault = os.environ.get("E2EE_CHAOS_FAULT", "").partition(":")
    power = "E2EE_CHAOS_POWER" in os.environ
    messages = int(number("MESSAGES", 2_000 if power else 20_000))
    return Plan(
        seed=seed,
        messages=messages,
        one_shots=max(1, messages // 200),
        pause=number("PAUSE", 0.2),
        power=power,
        kill_every=number("KILL_EVERY", 8.0 if power else 20.0),
        least_strikes=int(number("STRIKES", 100 if power else 1_000)),
        weather=Weather(seed, int(number("BYTES", 4_000)), number("SILENCE", 2.0)),
        keep=Path(os.environ["E2EE_CHAOS_KEEP"]) if "E2EE_CHAOS_KEEP" in os.environ else None,
        faults=Faults({who: fault} if fault else {}),
    )


def main() -> int:
    """Run, and say how it went; the exit code."""
    chosen = plan()
    reason = missing() if chosen.power else ""
    if reason:
        print(f"SKIPPED: no power can be cut here: {reason}")
        return 0
    print(f"E2EE_CHAOS_SEED={chosen.seed}", flush=True)
    report = Run(chosen, lambda line: print(f"  {line}", flush=True)).go()
    print(report)
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
