"""Where a Faktory is: what a URL and the environment say, and what an error never says."""

import traceback
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from faktory_async.errors import AddressError
from faktory_async.net import Address, UrlOptions

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
        ("unix:///run/faktory.sock", Address(path="/run/faktory.sock")),
        ("unix://:s3cret@/run/a%20b.sock", Address(path="/run/a b.sock", password="s3cret")),
        ("tcp://h?", Address(host="h")),
        (
            "tcp://h:1/?max_connections=8&command_timeout=2s",
            Address(host="h", port=1, options=UrlOptions(max_connections=8, command_timeout=2.0)),
        ),
        (
            "tcp+tls://h?ca=%2Fetc%2Fca.pem&server_name=other&idle_expiry=1m30s&max_idle=0",
            Address(
                host="h",
                tls=True,
                options=UrlOptions(
                    ca="/etc/ca.pem", server_name="other", idle_expiry=90.0, max_idle=0
                ),
            ),
        ),
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
        (f"tcp://:{SECRET}@h:7419/0", "may follow"),
        (f"tcp://:{SECRET}@h:7419?x=1", "is options"),
        (f"tcp://:{SECRET}@h:7419#x", "may follow"),
        (f"tcp://:{SECRET}@h?max_conections=1", "did you mean max_connections"),
        (f"tcp://:{SECRET}@h?{SECRET}=1", "is options, such as"),
        (f"tcp://:{SECRET}@h?{SECRET}", "is options, such as"),
        (f"tcp://:{SECRET}@h?max_idle={SECRET}", "max_idle cannot be read: a whole number"),
        (f"tcp://:{SECRET}@h?pool_timeout={SECRET}", "pool_timeout cannot be read: a duration"),
        (f"tcp://:{SECRET}@h?pool_timeout=-1", "pool_timeout cannot be read: a duration"),
        (f"tcp+tls://:{SECRET}@h?ca=", "ca cannot be read: it is empty"),
        (f"tcp+tls://:{SECRET}@h?ca=%FF", "is options, such as"),
        (f"tcp://:{SECRET}@h?max_idle=1&max_idle=2", "max_idle twice"),
        (f"unix://:{SECRET}@h/run/f.sock", "names a host"),
        (f"unix://:{SECRET}@", "followed by the path"),
        (f"unix://:{SECRET}@/", "followed by the path"),
        (f"unix://:{SECRET}@/a%00b", "followed by the path"),
        (f"unix://:{SECRET}@/%FF", "UTF-8"),
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
    with pytest.raises(AddressError, match="does not need TLS"):
        Address(path="/run/faktory.sock", tls=True)


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
paths = words.filter(lambda text: "\0" not in text and text.strip("/")).map("/{}".format)
counts = st.none() | st.integers(0, 10**9)
durations = st.none() | st.floats(0, allow_infinity=False)
files = st.none() | words.filter(lambda text: text and "\0" not in text)
options = st.builds(
    UrlOptions,
    max_connections=counts,
    max_reply=counts,
    idle_expiry=durations,
    command_timeout=durations,
    ca=files,
    server_name=files,
)


@given(
    host=hosts,
    port=st.integers(1, 65_535),
    tls=st.booleans(),
    username=st.none() | words.filter(bool),
    password=st.none() | words,
    options=options,
)
def test_the_whole_url_reads_back_as_the_same_address(
    host: str,
    port: int,
    *,
    tls: bool,
    username: str | None,
    password: str | None,
    options: UrlOptions,
) -> None:
    address = Address(
        host=host, port=port, tls=tls, username=username, password=password, options=options
    )
    assert Address.parse(address.secret_url) == address


@given(path=paths, password=st.none() | words, options=options)
def test_the_whole_url_of_a_unix_socket_reads_back_too(
    path: str, password: str | None, options: UrlOptions
) -> None:
    address = Address(path=path, password=password, options=options)
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
        (Address(path="/run/f.sock", password="x"), "unix:///run/f.sock"),
        (Address(options=UrlOptions(max_idle=1)), "tcp://localhost:7419"),
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
        ({"FAKTORY_PROVIDER": "OTHER_URL"}, "names OTHER_URL, which is not set"),
        ({"FAKTORY_PROVIDER": "OTHER", "OTHER": ""}, "names OTHER, which is empty"),
        (
            {"FAKTORY_PROVIDER": "OTHER_URL", "FAKTORY_URL": "tcp://h"},
            "names OTHER_URL, which is not set",
        ),
        ({"FAKTORY_PROVIDER": SECRET}, "names a variable that is not set"),
        ({"FAKTORY_PROVIDER": f"{SECRET}@h"}, "names a variable that is not set"),
        ({"FAKTORY_PROVIDER": f"HTTP_{SECRET}_URL"}, "names a variable that is not set"),
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


def test_a_password_apart_goes_before_the_urls_own() -> None:
    assert Address.resolve("tcp://:a@h", "b") == Address(host="h", password="b")
    assert Address.resolve(Address(username="me"), "b") == Address(username="me", password="b")
    assert Address.resolve("tcp://:a@h") == Address(host="h", password="a")


def test_an_address_or_a_url_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKTORY_URL", "tcp://from-the-environment")
    assert Address.resolve("tcp://h") == Address(host="h")
    address = Address(host="mine")
    assert Address.resolve(address) is address
