"""Random conversations: the embedded server answers whatever the real one answers."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from faktory_async.server import Broker, EmbeddedServer
from tests.conformance._machine import Twins, twins_of
from tests.conformance._twins import Address, TwinsDifferError
from tests.real import RealServer

# Without a number of examples, the same ones each time; with one, others each time.
EXAMPLES = int(os.environ.get("CONFORMANCE_EXAMPLES", "0"))


@pytest.fixture(scope="module")
def own_real_server(real_server_executable: None) -> Iterator[RealServer]:
    """Start a server that hears the machine alone: it compares counters too."""
    with RealServer() as server:
        yield server


@contextmanager
def embedded(spoil: Callable[[Broker], None] | None = None) -> Generator[Address]:
    """Run an embedded server in a thread of its own."""

    async def make() -> EmbeddedServer:
        return EmbeddedServer()

    with start_blocking_portal() as portal:
        server = portal.call(make)
        if spoil is not None:
            spoil(server._broker)
        with portal.wrap_async_context_manager(server):
            yield Address(server.host, server.port)


def drive(machine: type[Twins], examples: int, *, shrink: bool = True) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES or examples,
            stateful_step_count=50,
            phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
            derandomize=not EXAMPLES,
            database=None,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


def acknowledges_nothing(broker: Broker) -> None:
    broker.acknowledge = lambda jid: None  # type: ignore[method-assign]  # the defect


def flushes_nothing(broker: Broker) -> None:
    broker.flush = lambda: None  # type: ignore[method-assign]  # the defect


def buries_nothing(broker: Broker) -> None:
    broker.bury = lambda payload, now: None  # type: ignore[method-assign]  # the defect


def retries_after_days(broker: Broker) -> None:
    broker.rand = lambda limit: 100_000  # type: ignore[misc]  # the defect


def test_the_embedded_server_agrees_with_the_real_one(own_real_server: RealServer) -> None:
    with embedded() as address:
        machine = twins_of(Address(own_real_server.host, own_real_server.port), address)
        drive(machine, examples=60)
    assert machine.tally["fetched"] > 0
    assert machine.tally["failed"] > 0


def test_two_real_servers_agree(real_server_executable: None) -> None:
    """What is masked and what is asked makes no difference where there is none."""
    with RealServer() as first, RealServer() as second:
        drive(twins_of(Address(first.host, first.port), Address(second.host, second.port)), 15)


@pytest.mark.parametrize(
    "spoil", [acknowledges_nothing, flushes_nothing, buries_nothing, retries_after_days]
)
def test_finds_a_server_that_is_spoiled(spoil: Callable[[Broker], None]) -> None:
    with embedded() as good, embedded(spoil) as bad:
        machine = twins_of(good, bad)
        # What one example spoils the next one finds, elsewhere: hypothesis may call that flaky.
        with pytest.raises((TwinsDifferError, Flaky)):
            drive(machine, examples=500, shrink=False)  # ends with the first one that finds it
    assert machine.tally["differences"] > 0
