"""The jid of a broken job is found, and none that is not the job's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faktory_async.model._salvage import salvage_jid


@pytest.mark.parametrize(
    ("data", "jid"),
    [
        (b'{"jid":"12345678"', "12345678"),
        (b'\n{ "jid"\t:\n"12345678"', "12345678"),
        (b'{"a":1,"jid":"12345678"', "12345678"),
        (b'{"a":"x","jid":"12345678"', "12345678"),
        (b'{"a":"jid","b":"12345678"', ""),
        (b'{"a":{"jid":"nested"}', ""),
        (b'{"a":[{"jid":"nested"}],"jid":"12345678"', "12345678"),
        (b'{"a":"}{\\"jid\\":\\"wrong\\"","jid":"12345678"', "12345678"),
        (b'{"a":"\\\\","jid":"12345678"', "12345678"),
        (b'{"jid":"\\u0031\\n\\"2345678"', '1\n"2345678'),
        (b'{"jid":"1234', ""),
        (b'{"jid":"1234\\', ""),
        (b'{"jid":"\xff2345678"', ""),
        (b'{"jid":5,"a":"x"', ""),
        (b'{"jid":', ""),
        (b'["jid","12345678"', ""),
        (b'[{"jid":"12345678"}', ""),
        (b"", ""),
    ],
)
def test_the_jobs_own_jid_is_found(data: bytes, jid: str) -> None:
    assert salvage_jid(data) == jid


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":"' + b'\\"' * 1_000_000,
        b'{"a":' + b'"" ' * 500_000,
        b'{"a":' + b'"x"' + b" " * 2_000_000 + b"!",
        b"{" * 2_000_000,
    ],
    ids=["escapes", "texts", "spaces", "braces"],
)
def test_hostile_bytes_take_linear_time(data: bytes) -> None:
    # In quadratic time any of these would take hours.
    assert salvage_jid(data) == ""


@given(st.binary())
def test_any_bytes_give_text(data: bytes) -> None:
    assert isinstance(salvage_jid(b'{"jid":' + data), str)
