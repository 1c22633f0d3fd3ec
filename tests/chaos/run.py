"""One run: five people talk in bad weather, programs are killed, and in the end all must be as it should.

Alice writes to Bob, who only reads; Carol and Dave write to each other; Erin sends to Bob in one-shots.
Knows the order of a run; what the programs print stands in `talkers`, what is right in `ledger`.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos.house import ChaosHouse, Faults
from tests.chaos.key_use import used_twice
from tests.chaos.ledger import Accepted, Shown, Verdict, judge, total
from tests.chaos.power import PoweredHouse
from tests.chaos.talkers import OneShots, Program, Reader, shown_objects
from tests.chaos.weather import Weather
from tests.chaos.writer import Writer

PEOPLE: Final = {
    "alice": "+15550100101",
    "bob": "+15550100102",
    "carol": "+15550100103",
    "dave": "+15550100104",
    "erin": "+15550100105",
}
STREAMS: Final = (
    ("alice", "bob"), ("erin", "bob"), ("bob", "alice"), ("bob", "erin"),
    ("carol", "dave"), ("dave", "carol"),
)  # fmt: skip
"""Who says something to whom."""
STRIKES_AHEAD: Final = 20
UNREACHABLE: Final = 3
"""What a chat may end with by itself, when it finds no server for half a minute."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`messages` are shared between three writers, who spread them over the time that the proxy takes to
    strike `least_strikes` connections, and write more if they must; `one_shots` come on top.

    A writer rests for `pause` seconds after every 20 lines. `kill_every` is the mean of seconds between two
    kills, 0 for none; with `power`, a power cut is as likely as a kill.
    """

    seed: int
    messages: int = 300
    one_shots: int = 3
    pause: float = 0.0
    kill_every: float = 1.5
    power: bool = False
    least_strikes: int = 0
    weather: Weather | None = None
    keep: Path | None = None
    """A new directory for what a run leaves that has broken a promise: databases, logs, what was shown."""
    faults: Faults = field(default_factory=Faults)


@dataclass(frozen=True, slots=True)
class Report:
    """How it ended. `verdict` and `complaints` must be empty."""

    verdict: Verdict
    complaints: tuple[str, ...]
    accepted: int
    connections: int
    strikes: int
    kills: int
    power_cuts: int
    repeated: int
    seconds: float

    @property
    def good(self) -> bool:
        """Everything was as promised."""
        return self.verdict.good and not self.complaints

    def __str__(self) -> str:
        figures = (
            f"{self.accepted} messages, {self.connections} connections, {self.strikes} struck,"
            f" {self.kills} kills, {self.power_cuts} power cuts, {self.repeated} lines repeated,"
            f" {self.seconds:.0f} s: {self.verdict}"
        )
        return "\n".join([figures, *self.complaints])


class Run:
    """`say` is told what happens, for somebody who watches."""

    def __init__(self, plan: Plan, say: Callable[[str], None] = lambda line: None) -> None:
        self.plan = plan
        self.say = say
        self.chance = random.Random(plan.seed)
        weather = plan.weather or Weather(plan.seed)
        self.house = (PoweredHouse if plan.power else ChaosHouse)(weather.fate, plan.faults)
        self.bob = Reader(self.house, "bob")
        self.alice = self._writer("alice", "bob")
        self.carol = self._writer("carol", "dave")
        self.dave = self._writer("dave", "carol")
        self.erin = OneShots(self.house, "erin", PEOPLE["bob"], plan.one_shots)
        self.server_kills = 0
        self.power_cuts = 0
        self.records: dict[tuple[str, str], list[Accepted]] = {}
        self.last_words: dict[str, list[tuple[str, Shown]]] = {}

    def _writer(self, profile: str, to: str) -> Writer:
        return Writer(self.house, profile, PEOPLE[to], self.plan.pause, self._enough, self._ahead)

    @property
    def programs(self) -> tuple[Program, ...]:
        """Those that run all the time."""
        return self.bob, self.alice, self.carol, self.dave

    def go(self) -> Report:
        """From the registration to the verdict."""
        with self.house:
            self.house.settle_in(**PEOPLE)
            began = time.monotonic()
            self.house.let_loose()
            for program in self.programs:
                program.start()
            self.erin.start()
            try:
                self._trouble()
                self._come_to_rest()
            finally:
                for program in self.programs:
                    program.abandon()
            report = self._report(time.monotonic() - began)
            if self.plan.keep is not None and not report.good:
                self._keep(self.plan.keep)
            return report

    def _keep(self, directory: Path) -> None:
        self.house.stop_server()
        shutil.copytree(self.house.directory, directory, ignore=_no_files)
        for sender, recipient in STREAMS:
            shown = "".join(f"{one}\n" for one in self._shown(sender, recipient))
            (directory / f"{sender}-to-{recipient}.shown").write_text(shown, "utf-8")
        self.say(f"kept in {directory}")

    # --- trouble ------------------------------------------------------------------------------

    def _trouble(self) -> None:
        last = time.monotonic()
        while not all(one.done for one in self.writers):
            time.sleep(self._pause())
            if self.plan.kill_every:
                self._kill_one()
            if time.monotonic() - last > 10:
                last = time.monotonic()
                self.say(self._progress())

    def _pause(self) -> float:
        every = self.plan.kill_every
        return min(self.chance.expovariate(1 / every), 5 * every) if every else 0.1

    def _enough(self, kept: int) -> bool:
        """For one of the three writers."""
        return 3 * kept >= self.plan.messages and len(self.house.proxy.struck) >= self.plan.least_strikes

    def _ahead(self, kept: int) -> bool:
        """Whether one of the three has more than his share of the strikes so far, and of some to come."""
        strikes = self.plan.least_strikes
        share = (len(self.house.proxy.struck) + STRIKES_AHEAD) / strikes if strikes else 1.0
        return 3 * kept > share * self.plan.messages

    @property
    def writers(self) -> tuple[Writer | OneShots, ...]:
        """Everybody who has something to say."""
        return self.alice, self.carol, self.dave, self.erin

    def _kill_one(self) -> None:
        house = self.house
        if isinstance(house, PoweredHouse) and self.chance.random() < 0.5:
            self.power_cuts += 1
            # Half of them lose all that was not synced, the others a part of it.
            seed = self.chance.choice((0, self.chance.randrange(1, 2**32)))
            self.chance.choice((house.cut_server, house.cut_clients))(seed)
            return
        victims: list[Program | OneShots | None] = [None, self.erin, *self.programs]
        victim = self.chance.choice(victims)
        if victim is not None:
            victim.kill()
            return
        self.server_kills += 1
        self.house.stop_server(signal.SIGKILL)
        time.sleep(self.chance.choice((0.0, 0.0, 0.5, 1.5)))
        self.house.start_server()

    def _progress(self) -> str:
        proxy = self.house.proxy
        kept = sum(len(one.kept) for one in self.writers)
        struck = f"{len(proxy.struck)} of {proxy.connections} struck"
        return f"{kept} kept, {len(self.bob.shown)} shown to bob, {struck}"

    # --- rest ---------------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        """Good weather; what is in the outboxes goes; then everybody reads what there is."""
        self.say(f"calm: {self._progress()}")
        self.house.proxy.calm()
        with ThreadPoolExecutor(len(PEOPLE)) as pool:
            list(pool.map(Program.end, self.programs))
            list(pool.map(self._say_goodbye, PEOPLE))
            received = pool.map(lambda profile: self.house.objects(profile, "receive"), PEOPLE)
            for profile, objects in zip(PEOPLE, received, strict=True):
                self.last_words[profile] = shown_objects(objects)

    def _say_goodbye(self, profile: str) -> None:
        """What waits in the outbox goes first. Whatever has happened to a session: this can be read."""
        for sender, recipient in STREAMS:
            if sender == profile:
                text = f"goodbye of {sender} to {recipient}"
                (sent,) = self.house.objects(sender, "send", PEOPLE[recipient], "-m", text)
                if sent["state"] not in ("stored", "delivered"):
                    raise AssertionError(f"{sender} cannot send to {recipient}: {sent}")
        waiting = self.house.objects(profile, "outbox")
        if waiting:
            raise AssertionError(f"{len(waiting)} messages of {profile} are still in the outbox")

    # --- the verdict --------------------------------------------------------------------------

    def _report(self, seconds: float) -> Report:
        proxy, accepted, verdicts = self.house.proxy, 0, []
        with ThreadPoolExecutor(2) as pool:
            found = pool.map(lambda stream: self.house.accepted(stream[0], PEOPLE[stream[1]]), STREAMS)
            self.records = dict(zip(STREAMS, found, strict=True))
        for stream, sent in self.records.items():
            accepted += len(sent)
            verdicts.append(judge(sent, self._shown(*stream)))
        return Report(
            verdict=total(verdicts),
            complaints=tuple(self._complaints()),
            accepted=accepted,
            connections=proxy.connections,
            strikes=len(proxy.struck),
            kills=self.server_kills + self.erin.killed + sum(one.killed for one in self.programs),
            power_cuts=self.power_cuts,
            repeated=sum(one.repeated for stream in STREAMS for one in self._shown(*stream)),
            seconds=seconds,
        )

    def _shown(self, sender: str, recipient: str) -> list[Shown]:
        """Everything that one has seen of another, in order. Bob's reader sees several people."""
        live: list[Shown] = []
        if recipient == "bob":
            live = self.bob.of(PEOPLE[sender])
        elif recipient in ("carol", "dave"):
            live = (self.carol if recipient == "carol" else self.dave).shown
        return live + [one for who, one in self.last_words[recipient] if who == PEOPLE[sender]]

    def _complaints(self) -> Iterator[str]:
        yield from (f"used twice: {one}" for one in used_twice(self.house.given_envelopes()))
        yield from self._forgotten()
        for program in self.programs:
            repeated = sum(one.repeated for stream in STREAMS if stream[1] == program.profile
                           for one in self._shown(*stream))
            ended = program.killed + self.house.cuts
            if repeated > ended:
                yield f"{program.profile} was ended {ended} times and repeated {repeated} lines"
        people: list[Program | OneShots] = [*self.programs, self.erin]
        for one in people:
            wrong = [code for code in one.ended_with if code not in (0, UNREACHABLE)]
            if wrong:
                yield f"{one.profile} has ended with {wrong}: {self.house.log_of(one.profile)[-2000:]}"
        for log in sorted(self.house.directory.glob("*.log")):
            if "Traceback" in log.read_text("utf-8", "replace"):
                yield f"a traceback in {log.name}: {log.read_text('utf-8', 'replace')[-2000:]}"

    def _forgotten(self) -> Iterator[str]:
        """What a sender was told to be in his vault, or to be accepted, is in his records."""
        for writer in self.writers:
            streams = [sent for (who, _), sent in self.records.items() if who == writer.profile]
            known = {one.text for sent in streams for one in sent}
            lost = [text for text in writer.kept if text not in known]
            if lost:
                yield f"{writer.profile} has forgotten {len(lost)} texts, the first being {lost[0]}"


def _no_files(directory: str, names: Sequence[str]) -> list[str]:
    """Sockets, which cannot be copied."""
    paths = {name: Path(directory, name) for name in names}
    return [name for name, path in paths.items() if not (path.is_file() or path.is_dir())]
