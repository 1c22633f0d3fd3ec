"""`make demo`: a real server, two real clients, one of them offline for a while.

With `--chat` the keyboard is handed over at the end, against an echo bot.
"""

from __future__ import annotations

import subprocess
import sys

from examples.echo_bot import EchoBot
from examples.stage import Chat, Stage, StageError, program, wait_until

ALICE = "+15550100101"
BOB = "+15550100102"
ROBOT = "+15550100103"
SECRET = "The key is under the third flower pot."


def say(text: str) -> None:
    """A line of the narrator."""
    print(f"\n{text}", flush=True)


def show_disk(stage: Stage) -> None:
    """What the server holds for those who are away."""
    waiting = stage.waiting()
    say("On the server's disk wait her two texts, and perhaps a receipt: it cannot tell which is which.")
    print("Opened with the server's own key, they are:", flush=True)
    for envelope in waiting:
        print(f"  server | {len(envelope):5} bytes  …{envelope[-64:-32].hex()}…", flush=True)
    found = stage.find_on_disk(SECRET)
    if found or any(SECRET.encode() in envelope for envelope in waiting):
        raise StageError("the text stands on the server's disk")
    print("  server | the text itself: in none of its files", flush=True)


def converse(stage: Stage) -> None:
    """Alice and Bob talk; Bob goes away and comes back."""
    say("Both are online. Lines with > are typed, lines with | are on the screen:")
    alice, bob = Chat(stage, "alice", BOB), Chat(stage, "bob", ALICE)
    bob.see(ALICE)
    alice.see(BOB)
    alice.type("Hello Bob, can anybody read this on its way?")
    bob.screen.wait_for("can anybody read this")
    bob.type("Only you and I. Even for a quantum computer it is noise.")
    alice.screen.wait_for("it is noise")
    say("Bob leaves; Alice goes on writing:")
    bob.leave()
    alice.type(SECRET)
    alice.type("Water it, too, please.")
    wait_until("two stored envelopes", lambda: len(stage.waiting()) >= 2)
    show_disk(stage)
    say("Bob comes back and asks for what he missed:")
    bob = Chat(stage, "bob")
    bob.type("3")
    bob.screen.wait_for("Water it, too")
    bob.type("5")
    bob.leave()
    alice.leave()
    wait_until("an empty mailbox", lambda: not stage.waiting())
    say("It was delivered once, in order, and the server's mailbox is empty again.")


def hand_over(stage: Stage, link: str) -> None:
    """The reader as Alice, an echo bot on the other side."""
    stage.register("robot", link, ROBOT)
    bot = EchoBot(Chat(stage, "robot", ALICE, show=False))
    say(f"Now it is your turn: you are Alice, and {ROBOT} answers. /quit ends it.")
    subprocess.run([program("e2ee"), "--profile", "alice", "chat", ROBOT], env=stage.environment, check=False)
    bot.stop()


def main(arguments: list[str]) -> int:
    """Run the demonstration; the exit status."""
    interactive = "--chat" in arguments
    if interactive and not sys.stdin.isatty():
        print("make chat needs a terminal; make demo does not", file=sys.stderr)
        return 2
    try:
        with Stage() as stage:
            say("A server starts: twistd e2ee-server")
            link = stage.start_server()
            print(f"  server | {link}", flush=True)
            say("Two people register with the passcodes that it sent:")
            for profile, address in (("alice", ALICE), ("bob", BOB)):
                print(f"  {profile:>6} | {stage.register(profile, link, address)}", flush=True)
            converse(stage)
            if interactive:
                hand_over(stage, link)
    except StageError as error:
        print(f"the demonstration failed: {error}", file=sys.stderr)
        return 1
    say("Everything has been removed again.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
