"""Records the first minute: two people register and talk, on two real terminals, into one animated SVG.

    python -m examples.recording docs/first-minute.svg

Starts a server and two shells, types into them what the README says, and draws what the emulated screens
show. Needs what `examples.screen` needs. Knows no messages; times are seconds of the recording.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from pyte.screens import Char

from examples.screen import END, ENTER, Emulator, Terminal
from examples.stage import Stage, program, wait_until

COLUMNS, ROWS = 62, 19
CELL_WIDTH, CELL_HEIGHT, MARGIN = 7.8, 17, 14
LONGEST_PAUSE = 0.9
"""What takes longer than this, is not shown."""
LAST_SECONDS = 5.0
COLOURS = {"default": "#d8dee9", "cyan": "#7fc8d8", "green": "#a3d18e"}
BACKGROUND, PANE = "#2e3440", "#3b4252"


class Tape:
    """Time as the recording has it: waiting is shortened, and something always takes a little."""

    def __init__(self) -> None:
        self.now = 0.0
        self._before = time.monotonic()

    def tick(self, least: float = 0.0) -> float:
        """Go on as the clock has, within bounds."""
        clock = time.monotonic()
        self.now += max(least, min(clock - self._before, LONGEST_PAUSE))
        self._before = clock
        return self.now


@dataclass
class Drawn:
    """One row of a pane as it stood for a while."""

    row: int
    markup: str
    begin: float
    end: float | None = None


@dataclass
class Pane:
    """What one terminal has shown."""

    title: str
    tape: Tape
    drawn: list[Drawn] = field(default_factory=list)
    recording: bool = True
    _present: dict[int, Drawn] = field(default_factory=dict)

    def sample(self, screen: Emulator) -> None:
        """Keep what is different from before."""
        if not self.recording:
            return
        now = self.tape.tick()
        for row in range(ROWS):
            markup = _markup([screen.buffer[row][column] for column in range(COLUMNS)])
            before = self._present.get(row)
            if before is not None and before.markup == markup:
                continue
            if before is not None:
                before.end = now
            if markup:
                self._present[row] = Drawn(row, markup, now)
                self.drawn.append(self._present[row])
            else:
                self._present.pop(row, None)


def _markup(cells: list[Char]) -> str:
    """A row as SVG, in runs of one look; empty for blanks."""
    if all(cell.data in (" ", "") and not cell.reverse for cell in cells):
        return ""
    looks = groupby(cells, key=lambda cell: (cell.fg, cell.bold, cell.reverse))
    return "".join(_span("".join(cell.data for cell in run), *look) for look, run in looks)


def _span(text: str, colour: str, bold: bool, reverse: bool) -> str:
    look = "".join((' class="r"' if reverse else "", ' font-weight="bold"' if bold else ""))
    if colour != "default" and not reverse:
        look += f' fill="{COLOURS.get(colour, COLOURS["default"])}"'
    return f"<tspan{look}>{escape(text)}</tspan>" if look else escape(text)


class Scene(Stage):
    """A server, and a shell for each of two people."""

    def __init__(self) -> None:
        super().__init__()
        self.tape = Tape()
        self.panes: list[Pane] = []
        self._codes_read = 0

    def shell(self, profile: str) -> Terminal:
        """A shell on a terminal, in the directory of the server's state."""
        pane = Pane(profile, self.tape)
        self.panes.append(pane)
        environment = {
            **self.environment, "TERM": "xterm-256color", "PS1": "$ ", "E2EE_PROFILE": profile, "TZ": "UTC",
            "PATH": f"{Path(program('e2ee')).parent}{os.pathsep}{os.environ['PATH']}",
        }  # fmt: skip
        begin = f"cd {shlex.quote(str(self.directory))}; clear; exec sh -i"
        terminal = Terminal(["/bin/sh", "-c", begin], environment, COLUMNS, ROWS,
                            lambda _: pane.sample(terminal.screen))
        terminal.see("$")
        pane.drawn.clear()
        return terminal

    def passcode(self) -> str:
        """The next one that the server writes."""

        def lines() -> list[str]:
            return self.codes.read_text().splitlines() if self.codes.exists() else []

        wait_until("a passcode", lambda: len(lines()) > self._codes_read)
        self._codes_read += 1
        return str(json.loads(lines()[self._codes_read - 1])["code"])


def keys(terminal: Terminal, tape: Tape, text: str) -> None:
    """Type like a person, whose keys come back at once."""
    for at in range(0, len(text), 3):
        terminal.type(text[at : at + 3])
        terminal.read(0.2)
        tape.tick(0.12)
    terminal.type(ENTER)


def register(scene: Scene, terminal: Terminal, number: str) -> None:
    """As the README says."""
    keys(terminal, scene.tape, f'e2ee register "$(cat server/connect-link)" {number}')
    terminal.see("New passphrase:")
    terminal.type(f"example passphrase{ENTER}")
    terminal.see("The same again")
    terminal.type(f"example passphrase{ENTER}")
    terminal.see("Code sent to")
    keys(terminal, scene.tape, scene.passcode())
    terminal.see("Registration PIN")
    terminal.type(ENTER)
    terminal.see("* next:")


def open_chat(scene: Scene, terminal: Terminal, number: str) -> None:
    """With somebody, past the passphrase."""
    keys(terminal, scene.tape, f"e2ee chat {number}")
    terminal.see("Passphrase:")
    terminal.type(f"example passphrase{ENTER}")


def perform(scene: Scene) -> None:
    """Two people register, and talk."""
    alice, bob = scene.shell("alice"), scene.shell("bob")
    register(scene, alice, "+15550100101")
    register(scene, bob, "+15550100102")
    open_chat(scene, alice, "+15550100102")
    alice.see("+15550100102>")
    keys(alice, scene.tape, "Are you there?")
    alice.see("(stored): Are you there?")
    open_chat(scene, bob, "+15550100101")
    bob.see("Are you there?")
    keys(bob, scene.tape, "Yes, and nobody else can read this.")
    alice.see("nobody else can read this.")
    keys(alice, scene.tape, "/verify")
    alice.see("* not verified")
    for terminal in (alice, bob):
        terminal.read(0.5)
    scene.tape.tick(LAST_SECONDS)
    # What follows is not part of it: the terminals are given back in good order.
    for pane in scene.panes:
        pane.recording = False
    for terminal in (alice, bob):
        terminal.type(END)
        terminal.wait_for(at_shell(terminal), "the shell")
        terminal.close()


def at_shell(terminal: Terminal) -> Callable[[], bool]:
    """Whether the shell waits for a command."""
    return lambda: terminal.screen.rows[terminal.screen.cursor.y] == "$"


# --- the picture ------------------------------------------------------------------------------


def svg(panes: list[Pane], length: float) -> str:
    """All panes side by side. Whoever does not animate it sees how it ends."""
    width, height = COLUMNS * CELL_WIDTH + MARGIN, ROWS * CELL_HEIGHT + 2 * MARGIN + CELL_HEIGHT
    total = len(panes) * (width + MARGIN) + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total:.0f} {height + MARGIN:.0f}"'
        ' font-family="ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="13">'
        f'<style>text{{white-space:pre;fill:{COLOURS["default"]}}}.r{{fill:#fff}}</style>'
        f'<rect width="100%" height="100%" fill="{BACKGROUND}">'
        f'<animate id="c" attributeName="x" from="0" to="0" dur="{length:.1f}s" begin="0s;c.end"/></rect>'
    )
    drawn = "".join(
        f'<g transform="translate({MARGIN + number * (width + MARGIN):.0f} {MARGIN})">'
        f'<rect width="{width:.0f}" height="{height - MARGIN:.0f}" rx="6" fill="{PANE}"/>'
        f'<text x="{MARGIN / 2}" y="{CELL_HEIGHT}" font-weight="bold">{pane.title}</text>'
        + "".join(_row(one, length) for one in pane.drawn)
        + "</g>"
        for number, pane in enumerate(panes)
    )
    return f"{head}{drawn}</svg>\n"


def _row(drawn: Drawn, length: float) -> str:
    """A row that is there from its begin to its end, over and over."""
    place = f'x="{MARGIN / 2}" y="{(drawn.row + 2) * CELL_HEIGHT + MARGIN / 2:.0f}"'
    if drawn.end is None:
        when = f'<set attributeName="visibility" to="hidden" begin="c.begin" dur="{drawn.begin:.2f}s"/>'
        return f"<text {place}>{drawn.markup}{when}</text>"
    lasts = min(drawn.end, length) - drawn.begin
    begin = f"c.begin+{drawn.begin:.2f}s"
    when = f'<set attributeName="visibility" to="visible" begin="{begin}" dur="{lasts:.2f}s"/>'
    return f'<text {place} visibility="hidden">{drawn.markup}{when}</text>' if lasts > 0.005 else ""


def main() -> None:
    """Write the recording into the file that is named."""
    with Scene() as scene:
        scene.start_server()
        scene.tape.tick()
        perform(scene)
        Path(sys.argv[1]).write_text(svg(scene.panes, scene.tape.now), "utf-8")


if __name__ == "__main__":
    main()
