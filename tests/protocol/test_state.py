"""The table of states, every pair of it."""

from itertools import product

import pytest

from faktory_async.protocol import TRANSITIONS, Event, State, advance

OVER = {State.CLOSED, State.BROKEN}
ALLOWED = {
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


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_pair_goes_where_it_should(state: State, event: Event) -> None:
    expected = state if state in OVER else ALLOWED.get((state, event), State.BROKEN)
    assert advance(state, event) is expected


def test_the_table_holds_only_what_is_allowed() -> None:
    assert TRANSITIONS == ALLOWED


def test_a_fault_breaks_every_session_that_is_not_over() -> None:
    assert {advance(state, Event.FAULT) for state in set(State) - OVER} == {State.BROKEN}


def test_every_state_can_be_reached() -> None:
    reached, last = {State.GREETING}, set[State]()
    while reached != last:
        last = set(reached)
        reached |= {advance(state, event) for state, event in product(last, Event)}
    assert reached == set(State)
