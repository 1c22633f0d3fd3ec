"""When each message is legal: one table, role × phase × message → next phase.

Knows who may say what, and what follows from it; not numbers, bytes or time. Both sides run the
same table over the same conversation. A connection has one purpose, chosen in `greeted`: asking for
a passcode, registering with it, or logging in. When that purpose is reached or refused, it is
`closing`; only a login goes on, to `ready`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from e2ee.wire import messages as m


class Role(Enum):
    """The two sides of a connection."""

    CLIENT = "client"
    SERVER = "server"


class Phase(Enum):
    """What a connection is about at the moment."""

    GREETING = "greeting"  # nothing has been said
    WELCOMING = "welcoming"  # Hello waits for its answer
    GREETED = "greeted"  # the version is agreed on; the purpose is open
    REGISTERING = "registering"  # RequestCode, Start, Prove or ProvePin waits for its answer
    CONFIRMING = "confirming"  # Started was said: Prove is due
    PIN_DUE = "pin_due"  # PinRequired was said: ProvePin is due
    LOGGING_IN = "logging_in"  # LogIn waits for its answer
    READY = "ready"
    CLOSING = "closing"  # nothing more is said or heard


Transitions = Mapping[type[m.Message], Phase]

_CLIENT_WHEN_READY: Final[Transitions] = dict.fromkeys(
    (
        m.Publish,
        m.LookUp,
        m.FetchBundle,
        m.Send,
        m.Acknowledge,
        m.AcknowledgeNotice,
        m.SetPresence,
        m.SetPin,
        m.RemovePin,
        m.SetIdentity,
        m.DeleteAccount,
        m.OfferFile,
        m.PutChunk,
        m.FetchChunk,
        m.RemoveFile,
        m.Watch,
        m.Ping,
    ),
    Phase.READY,
)
_SERVER_WHEN_READY: Final[Transitions] = dict.fromkeys(
    (
        m.Published,
        m.LookedUp,
        m.Bundle,
        m.StockLow,
        m.Accepted,
        m.StaleDevice,
        m.Push,
        m.Drained,
        m.Notice,
        m.Done,
        m.FileHeld,
        m.Chunk,
        m.Online,
        m.PresenceChanged,
        m.Pong,
        m.Refused,
    ),
    Phase.READY,
)

TABLE: Final[Mapping[Role, Mapping[Phase, Transitions]]] = {
    Role.CLIENT: {
        Phase.GREETING: {m.Hello: Phase.WELCOMING},
        Phase.WELCOMING: {m.Ping: Phase.WELCOMING},
        Phase.GREETED: {
            m.RequestCode: Phase.REGISTERING,
            m.Start: Phase.REGISTERING,
            m.LogIn: Phase.LOGGING_IN,
            m.Ping: Phase.GREETED,
        },
        Phase.REGISTERING: {m.Ping: Phase.REGISTERING},
        Phase.CONFIRMING: {m.Prove: Phase.REGISTERING, m.Ping: Phase.CONFIRMING},
        Phase.PIN_DUE: {m.ProvePin: Phase.REGISTERING, m.Ping: Phase.PIN_DUE},
        Phase.LOGGING_IN: {m.Ping: Phase.LOGGING_IN},
        Phase.READY: _CLIENT_WHEN_READY,
        Phase.CLOSING: {},
    },
    Role.SERVER: {
        Phase.GREETING: {},
        Phase.WELCOMING: {
            m.Welcome: Phase.GREETED,
            m.Refused: Phase.CLOSING,
            m.Pong: Phase.WELCOMING,
        },
        Phase.GREETED: {m.Pong: Phase.GREETED},
        Phase.REGISTERING: {
            m.CodeRequested: Phase.CLOSING,
            m.Started: Phase.CONFIRMING,
            m.Proved: Phase.CLOSING,
            m.PinRequired: Phase.PIN_DUE,
            m.Refused: Phase.CLOSING,
            m.Pong: Phase.REGISTERING,
        },
        Phase.CONFIRMING: {m.Pong: Phase.CONFIRMING},
        Phase.PIN_DUE: {m.Pong: Phase.PIN_DUE},
        Phase.LOGGING_IN: {
            m.LoggedIn: Phase.READY,
            m.Refused: Phase.CLOSING,
            m.Pong: Phase.LOGGING_IN,
        },
        Phase.READY: _SERVER_WHEN_READY,
        Phase.CLOSING: {},
    },
}

ANSWERS: Final[Mapping[type[m.Message], tuple[type[m.Message], ...]]] = {
    m.Hello: (m.Welcome,),
    m.RequestCode: (m.CodeRequested,),
    m.Start: (m.Started,),
    m.Prove: (m.Proved, m.PinRequired),
    m.ProvePin: (m.Proved,),
    m.LogIn: (m.LoggedIn,),
    m.Publish: (m.Published,),
    m.LookUp: (m.LookedUp,),
    m.FetchBundle: (m.Bundle,),
    m.Send: (m.Accepted, m.StaleDevice),
    m.SetPresence: (m.Done,),
    m.SetPin: (m.Done,),
    m.RemovePin: (m.Done,),
    m.SetIdentity: (m.Done,),
    m.DeleteAccount: (m.Done,),
    m.OfferFile: (m.FileHeld,),
    m.PutChunk: (m.FileHeld,),
    m.FetchChunk: (m.Chunk,),
    m.RemoveFile: (m.Done,),
    m.Watch: (m.Online,),
    m.Ping: (m.Pong,),
}
"""Requests, and what may answer each of them; `Refused` with its number may answer any."""


def next_phase(speaker: Role, phase: Phase, message: m.Message) -> Phase | None:
    """The phase after `speaker` has said `message` in `phase`, or None if that is not legal."""
    if isinstance(message, m.Refused) and message.n is None and phase is not Phase.CLOSING:
        # The last word of a server, whatever has been going on.
        return Phase.CLOSING if speaker is Role.SERVER else None
    return TABLE[speaker][phase].get(type(message))


def settled_transitions(speaker: Role, phase: Phase) -> Transitions:
    """Those of TABLE that the type of a message decides alone: all but those of `Refused`.

    For who asks at every message: one look-up in a dictionary.
    """
    return {kind: then for kind, then in TABLE[speaker][phase].items() if kind is not m.Refused}
