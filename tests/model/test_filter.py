"""Which jobs are meant: what means all of them has to say so."""

from typing import Any

import pytest

from faktory_async import UsageError
from faktory_async.model import filter_of

EVERYTHING = [
    "*",
    "**",
    "*?*",
    "*???*",
    "{*}",
    "{*",
    "*}",
    "*{*}*",
    '*"jid"*',
    "*jid*",
    "*j*",
    '*"jid":*"queue":*"jobtype":*',
    '*,"args":[[]*',
    "*[a-z]*",
    "*[0-9]*",
    "*[^x]*",
    "*[^]*",
    r"*\"\j\i\d\"*",
    "*:*",
    '*"created_at":"20*',
    '{"retry":*',
    "?*",
    "*?",
]
SOME = [
    '*"queue":"bulk"*',
    '*"jobtype":"a*',
    r'*"args":\[42\]*',
    '*"args":[[]]*"reserve_for":*',
    '*"custom":*',
    "*é*",
    r"*\**",
    "*[]*",
    '*"created_at":"2026*',
    "*jid*jid*",
    '{"retry":-1,*',
    "*[x*",
]


@pytest.mark.parametrize("inside", ["", "scheduled", "retries", "dead"])
@pytest.mark.parametrize("pattern", EVERYTHING)
def test_a_pattern_that_every_job_matches_needs_the_word(pattern: str, inside: str) -> None:
    with pytest.raises(UsageError, match=r"(everything=True|begin and end it)"):
        filter_of(pattern=pattern, inside=inside)


@pytest.mark.parametrize("pattern", SOME)
def test_a_pattern_that_tells_jobs_apart_is_taken(pattern: str) -> None:
    assert filter_of(pattern=pattern, inside="retries") == {"regexp": pattern}


@pytest.mark.parametrize(
    ("pattern", "inside"), [('*"failure":*', "retries"), ('*"at":"*', "scheduled")]
)
def test_what_all_jobs_of_one_set_have_tells_jobs_of_others_apart(
    pattern: str, inside: str
) -> None:
    with pytest.raises(UsageError, match="everything=True"):
        filter_of(pattern=pattern, inside=inside)
    assert filter_of(pattern=pattern, inside="dead") == {"regexp": pattern}


def test_the_word_means_every_job() -> None:
    assert filter_of(everything=True) == {}


def test_jids_that_can_be_read_only_once_are_the_ones_that_are_meant() -> None:
    once: Any = iter(["12345678", "23456789"])
    assert filter_of(jids=once) == {"jids": ["12345678", "23456789"]}
    nothing: Any = iter([])
    with pytest.raises(UsageError, match="at least one jid"):
        filter_of(jids=nothing)
