"""Where a Faktory is: what a URL and the environment say, and what an error never says."""

import traceback
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from faktory_async.errors import AddressError
from faktory_async.net import Address

SECRET: Final = "Xk9-qZ7_wV"
"""No part of any message, whatever stands around it."""


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("tcp://localhost", Address()),
        ("tcp://localhost:7419", Address()),
        ("tcp://localhost/", Address()),
        ("tcp://localhost:", Address()),
        ("TCP://LocalHost:17419", Address(port=17419)),
        ("tcp://127.0.0.1:1", Address(host="127.0.0.1", port=1)),
        ("tcp://h:65535", Address(host="h", port=65535)),
        ("tcp+tls://faktory.example.com", Address(host="faktory.example.com", tls=True)),
        ("tcp://[::1]", Address(host="::1")),
        ("tcp://[::1]:17419", Address(host="::1", port=17419)),
        ("tcp://[fe80::1%eth0]:7419", Address(host="fe80::1%eth0")),
        ("tcp://:s3cret@h", Address(host="h", password="s3cret")),
        ("tcp://me:s3cret@h", Address(host="h", username="me", password="s3cret")),
        ("tcp://me@h", Address(host="h", username="me")),
        ("tcp://@h", Address(host="h")),
        ("tcp://:@h", Address(host="h", password="")),
        ("tcp://:a%2Fb%3Fc%23d%40e%3Af%25@h", Address(host="h", password="a/b?c#d@e:f%")),
        ("tcp://:a:b@h", Address(host="h", password="a:b")),
        ("tcp://:a@b@h", Address(host="h", password="a@b")),
        ("tcp://:100%@h", Address(host="h", password="100%")),
        ("tcp://:a+b@h", Address(host="h", password="a+b")),
        ("tcp://%C3%BC:%E2%82%AC@h", Address(host="h", username="ü", password="€")),
        ("tcp://:€@h", Address(host="h", password="€")),
    ],
)
def test_a_url_is_read(url: str, expected: Address) -> None:
    assert Address.parse(url) == expected


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "begins with tcp:// or tcp.tls://"),
        ("localhost:7419", "begins with"),
        (f"me:{SECRET}@localhost", "begins with"),
        (f"redis://:{SECRET}@localhost", "redis:// is not spoken here"),
        (f"http://:{SECRET}@localhost", "http:// is not spoken here"),
        (f"://:{SECRET}@localhost", "begins with"),
        (f"7tcp://:{SECRET}@localhost", "begins with"),
        (f"tcp://:{SECRET}@", "names no host"),
        ("tcp://", "names no host"),
        ("tcp://:7419", "names no host"),
        (f"tcp://:{SECRET}@h:0", "a port is between 1 and 65535"),
        (f"tcp://:{SECRET}@h:65536", "no readable host and port"),
        (f"tcp://:{SECRET}@h:-1", "no readable host and port"),
        (f"tcp://:{SECRET}@h:port", "no readable host and port"),
        (f"tcp://:{SECRET}@h:7419/0", "nothing may follow"),
        (f"tcp://:{SECRET}@h:7419?x=1", "nothing may follow"),
        (f"tcp://:{SECRET}@h:7419#x", "nothing may follow"),
        (f"tcp://:{SECRET}/x@h", "expected"),
        (f"tcp://:x/{SECRET}@h", "expected"),
        (f"tcp://:12/{SECRET}@h", "percent-encoded"),
        (f"tcp://:{SECRET}#x@h", "expected"),
        (f"tcp://:{SECRET}?x@h", "expected"),
        (f"tcp://:{SECRET}@[::1", "no readable host and port"),
        (f"tcp://:{SECRET}@[nonsense]", "no readable host and port"),
        (f"tcp://:{SECRET}@h\u2100st", "no readable host and port"),
        (f"tcp://:{SECRET} @h", "no spaces or control characters"),
        (f"tcp://:{SECRET}\n@h", "no spaces or control characters"),
        (f"tcp://:{SECRET}@h\x00", "no spaces or control characters"),
        (f"tcp://:{SECRET}%FF@h", "UTF-8"),
        (f"tcp://:{SECRET}\udcff@h", "UTF-8"),
        (f"tcp://%FF:{SECRET}@h", "UTF-8"),
        (f"tcp://:{SECRET}@a..b", "part that is empty or too long"),
        (f"tcp://:{SECRET}@.h", "part that is empty or too long"),
        (f"tcp://:{SECRET}@{'x' * 64}.com", "part that is empty or too long"),
    ],
)
def test_what_is_no_url_is_explained_without_the_password(url: str, text: str) -> None:
    with pytest.raises(AddressError, match=text) as caught:
        Address.parse(url)
    assert isinstance(caught.value, ValueError)
    assert SECRET not in everything_about(caught.value)


@pytest.mark.parametrize("port", [-1, 0, 65_536])
def test_an_address_built_by_hand_is_checked_too(port: int) -> None:
    with pytest.raises(AddressError, match="between 1 and 65535"):
        Address(port=port)
    with pytest.raises(AddressError, match="empty or too long"):
        Address(host="a..b")


def everything_about(error: BaseException) -> str:
    shown = "".join(traceback.format_exception(error))
    chain: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        chain += [str(cause), repr(cause), repr(vars(cause))]
        cause = None if cause.__suppress_context__ else cause.__cause__ or cause.__context__
    # The source lines of a traceback show this file, not what was parsed.
    return shown.replace(f'"{SECRET}"', "") + "".join(chain)


passwords = st.text(st.characters(codec="utf-8"), max_size=12).map(
    lambda around: around[:6] + SECRET + around[6:]
)


@given(
    before=st.sampled_from(["tcp://:", "tcp+tls://me:", "redis://:", ":", "tcp:/:", "://", ""]),
    password=passwords,
    after=st.sampled_from(["@h", "@", "@h:x", "@[::1", "@h/", "@h?", "", "@h:99999", "@h:0"]),
)
@example(before="tcp://:", password=f"{SECRET}/", after="@h")
@example(before="tcp://", password=f"{SECRET}]", after="@h")
def test_whatever_is_wrong_no_error_shows_the_password(
    before: str, password: str, after: str
) -> None:
    try:
        address = Address.parse(f"{before}{password}{after}")
    except AddressError as caught:
        shown = everything_about(caught)
    else:
        assume(address.password is not None)  # or what was meant as one is read as the host
        shown = f"{address!s} {address!r}"
    assert SECRET.lower() not in shown.lower()


hosts = st.one_of(
    st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,5}){0,2}", fullmatch=True),
    st.ip_addresses().map(str),
)
words = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    host=hosts,
    port=st.integers(1, 65_535),
    tls=st.booleans(),
    username=st.none() | words.filter(bool),
    password=st.none() | words,
)
def test_the_whole_url_reads_back_as_the_same_address(
    host: str, port: int, *, tls: bool, username: str | None, password: str | None
) -> None:
    address = Address(host=host, port=port, tls=tls, username=username, password=password)
    assert Address.parse(address.secret_url) == address


@given(password=passwords)
def test_no_view_of_an_address_shows_its_password(password: str) -> None:
    address = Address(password=password, username="me")
    # Rich asks for `__rich_repr__`, and every struct has one.
    views = [str(address), repr(address), address.url, f"{address}"]
    views += [repr(part) for part in address.__rich_repr__()]
    assert SECRET not in "".join(views)
    assert quote(SECRET) in address.secret_url


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (Address(), "tcp://localhost:7419"),
        (Address(host="::1", tls=True), "tcp+tls://[::1]:7419"),
        (Address(host="h", port=1, username="me", password="x"), "tcp://h:1"),
    ],
)
def test_an_address_is_shown_as_its_url_without_secrets(address: Address, url: str) -> None:
    assert str(address) == address.url == url
    assert repr(address) == f"Address({url!r})"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (Address(), "tcp://localhost:7419"),
        (Address(username="me"), "tcp://me@localhost:7419"),
        (Address(password=""), "tcp://:@localhost:7419"),
        (Address(username="a@b", password="c:d/"), "tcp://a%40b:c%3Ad%2F@localhost:7419"),
    ],
)
def test_the_whole_url_holds_what_another_process_needs(address: Address, url: str) -> None:
    assert address.secret_url == url


# -- the environment ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Address()),
        ({"FAKTORY_URL": ""}, Address()),
        ({"FAKTORY_URL": "tcp://h:1"}, Address(host="h", port=1)),
        ({"FAKTORY_PROVIDER": "OTHER", "OTHER": "tcp://o"}, Address(host="o")),
        (
            {"FAKTORY_PROVIDER": "OTHER", "OTHER": "tcp://o", "FAKTORY_URL": "tcp://h"},
            Address(host="o"),
        ),
        ({"FAKTORY_PROVIDER": "", "FAKTORY_URL": "tcp://h"}, Address(host="h")),
        ({"FAKTORY_PROVIDER": "FAKTORY_URL", "FAKTORY_URL": "tcp://h"}, Address(host="h")),
    ],
)
def test_the_environment_is_read_as_by_every_client(
    environ: Mapping[str, str], expected: Address
) -> None:
    assert Address.from_environment(environ) == expected


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"FAKTORY_PROVIDER": "OTHER"}, "names OTHER, which is not set"),
        ({"FAKTORY_PROVIDER": "OTHER", "OTHER": ""}, "names OTHER, which is not set"),
        (
            {"FAKTORY_PROVIDER": "OTHER", "FAKTORY_URL": "tcp://h"},
            "names OTHER, which is not set",
        ),
        ({"FAKTORY_PROVIDER": f"tcp://:{SECRET}@h"}, "holds the name of a variable, not a URL"),
        ({"FAKTORY_PROVIDER": f"me:{SECRET}@h"}, "holds the name of a variable, not a URL"),
        ({"FAKTORY_URL": f"redis://:{SECRET}@h"}, "FAKTORY_URL: redis:// is not spoken"),
        ({"FAKTORY_PROVIDER": "OTHER", "OTHER": f":{SECRET}@h"}, "OTHER: a URL begins with"),
    ],
)
def test_an_environment_that_names_no_address_is_explained_without_the_password(
    environ: Mapping[str, str], text: str
) -> None:
    with pytest.raises(AddressError, match=text) as caught:
        Address.from_environment(environ)
    assert SECRET not in everything_about(caught.value)


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAKTORY_PROVIDER", raising=False)
    monkeypatch.setenv("FAKTORY_URL", "tcp://from-the-environment")
    assert Address.resolve(None) == Address(host="from-the-environment")


def test_an_address_or_a_url_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKTORY_URL", "tcp://from-the-environment")
    assert Address.resolve("tcp://h") == Address(host="h")
    address = Address(host="mine")
    assert Address.resolve(address) is address
