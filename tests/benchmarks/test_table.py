"""The tables hold what they say: one row per case, and ratios of neighbours only."""

from tests.benchmarks.rates import Rate
from tests.benchmarks.table import Case, Group, Peers, client_groups, summary, worker_groups


def _rate(rate: float, cpu: float) -> Rate:
    return Rate("peer", "case", 1, 10, 10 / rate, rate, cpu)


def test_ratios_are_those_of_one_round() -> None:
    group = Group("title", [Case("ours", "a")], [Case("other", "b")])
    rounds = [
        [_rate(100, 10), _rate(50, 40)],
        [_rate(10, 100), _rate(10, 100)],
        [_rate(300, 5), _rate(100, 10)],
    ]
    assert summary(group, rounds) == [
        "## title",
        "",
        "ours        100 (      10 -      300) /s    10.0 (   5.0 -  100.0) us",
        "other        50 (      10 -      100) /s    40.0 (  10.0 -  100.0) us",
        "",
        "ours : other  rate 2.00 (1.00 - 3.00)  cpu 0.50 (0.25 - 1.00)",
        "",
    ]


def test_peers_that_are_not_given_are_left_out() -> None:
    nobody, all_of_them = Peers(None, None, None), Peers("GO", "NODE", "PY")
    for groups in (client_groups, worker_groups):
        alone = [row.command for group in groups(nobody, 1.0) for row in group.others]
        beside = [row.command for group in groups(all_of_them, 1.0) for row in group.others]
        assert not any(command.startswith(("GO", "NODE", "PY")) for command in alone)
        assert all("tests.benchmarks.rates" in command for command in alone)
        assert {command.split()[0] for command in beside} >= {"GO", "NODE", "PY"}


def test_the_scale_is_that_of_the_jobs_and_not_of_the_clients() -> None:
    [row] = client_groups(Peers(None, None, None), 0.1)[3].ours[:1]
    assert row.command.endswith("push 5000 1000")
