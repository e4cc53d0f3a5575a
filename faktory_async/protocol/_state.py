"""The states of a session and the one table that drives them, for both ends of the wire.

An event is what passes on the wire, whoever sends it, so that no rule can hold for one end only.
"""

from enum import Enum, auto
from typing import Final


class State(Enum):
    """Where a session is."""

    __hash__ = object.__hash__  # Enum's own is written in Python, and the table is asked often

    GREETING = auto()
    """The server is to say HI."""
    GREETED = auto()
    """The client is to say HELLO."""
    IDENTIFYING = auto()
    """The server is to accept or refuse the HELLO."""
    READY = auto()
    """No command is unanswered."""
    BUSY = auto()
    """At least one command is unanswered."""
    CLOSED = auto()
    """Over, as it should be."""
    BROKEN = auto()
    """Over, as it should not be; replies could no longer be matched to commands."""


class Event(Enum):
    """What passes on the wire."""

    __hash__ = object.__hash__

    HI = auto()
    HELLO = auto()
    ACCEPTED = auto()
    REFUSED = auto()
    COMMAND = auto()
    REPLY = auto()
    """A reply after which others are still due."""
    LAST_REPLY = auto()
    END = auto()
    """Only when nothing is unanswered: a server comes to an END after the commands before it."""
    EOF = auto()
    FAULT = auto()
    """Anything that must not happen: a reply nobody asked for, bytes without sense."""


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.GREETING, Event.HI): State.GREETED,
    (State.GREETING, Event.EOF): State.CLOSED,
    (State.GREETED, Event.HELLO): State.IDENTIFYING,
    (State.GREETED, Event.EOF): State.CLOSED,
    (State.IDENTIFYING, Event.ACCEPTED): State.READY,
    (State.IDENTIFYING, Event.REFUSED): State.CLOSED,
    (State.IDENTIFYING, Event.EOF): State.CLOSED,
    (State.READY, Event.COMMAND): State.BUSY,
    (State.READY, Event.END): State.CLOSED,
    (State.READY, Event.EOF): State.CLOSED,
    (State.BUSY, Event.COMMAND): State.BUSY,
    (State.BUSY, Event.REPLY): State.BUSY,
    (State.BUSY, Event.LAST_REPLY): State.READY,
    (State.BUSY, Event.EOF): State.BROKEN,
}
"""Every other event breaks the session; `CLOSED` and `BROKEN` are never left."""


def advance(state: State, event: Event) -> State:
    """Return the state after the event."""
    after = TRANSITIONS.get((state, event))
    if after is not None:
        return after
    return state if state in (State.CLOSED, State.BROKEN) else State.BROKEN
