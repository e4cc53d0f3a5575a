"""Holding a port without listening on it."""

import gc
import socket

import pytest

from faktory_async.server._ports import vacate


def test_a_port_that_somebody_takes_in_the_very_moment_is_told_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def taken(self: socket.socket, address: object) -> None:
        raise OSError("in use")

    with socket.create_server(("127.0.0.1", 0)) as listening, monkeypatch.context() as patch:
        patch.setattr(socket.socket, "bind", taken)
        with pytest.raises(OSError, match="in use"):
            vacate(listening, shared=False)
    gc.collect()  # a socket left open would warn, and so fail this test


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_is_held_and_listened_on_again(host: str, *, shared: bool) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, 0), family=family)
    except OSError:
        if family is socket.AF_INET:
            raise
        pytest.skip("this machine has no IPv6")
    with listening:
        address = listening.getsockname()[:2]
        with vacate(listening, shared=shared) as held:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
            held.listen()
            with socket.create_connection(address):
                (listening if shared else held).setblocking(True)
                (listening if shared else held).accept()[0].close()
