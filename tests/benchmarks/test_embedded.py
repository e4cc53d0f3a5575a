"""The benchmarks of the embedded server still run; what they measure is read by people."""

import sys

import pytest

from tests.benchmarks import embedded
from tests.benchmarks.embedded import LOOPS, Server, running


@pytest.mark.parametrize("kind", LOOPS)
def test_a_case_measures_an_embedded_server(kind: str) -> None:
    with running(kind) as server:
        empty = server.memory()
        assert embedded.push_in_bulk(server, 2_500) > 0
        assert embedded.memory(server, 20_000, scheduled=True) > empty > 1
        assert 0 <= embedded.idle(server, 3, seconds=2.1, warm_up=0.1) < 1


def test_a_refused_job_is_no_measurement() -> None:
    with (
        running("asyncio") as server,
        embedded.Wire(server.address) as wire,
        pytest.raises(AssertionError, match="in place of"),
    ):
        wire.push_bulk(b'PUSHB [{"jid":"short"}]\r\n')


@pytest.mark.parametrize("case", ["load", "pushb"])
@pytest.mark.usefixtures("real_server_executable")
def test_the_command_compares_rates_with_those_of_the_real_server(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["embedded", case, "--rounds", "1", "--size", "2000"])
    embedded.main()
    rates, *ratios = capsys.readouterr().out.splitlines()
    assert rates.count("jobs/s") == 3
    assert [line.partition(":")[0] for line in ratios] == list(LOOPS)


@pytest.mark.usefixtures("real_server_executable")
def test_the_command_shows_memory_and_waiting_clients(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(server: Server, clients: int, seconds: float) -> float:
        assert (clients, seconds) == (4, 0.5)
        return server.cpu()

    monkeypatch.setattr(embedded, "idle", measured)
    for arguments in (["memory", "--size", "1000"], ["idle", "--size", "4", "--seconds", "0.5"]):
        monkeypatch.setattr(sys, "argv", ["embedded", *arguments])
        embedded.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert lines[0].startswith("real: 1000 queued jobs in ")
    assert lines[-1].startswith("uvloop: 4 clients in FETCH take ")
