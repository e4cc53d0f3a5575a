"""Writing JSON as Go writes it."""

import math
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from faktory_async.server._gojson import read
from faktory_async.server._gotree import MAX_DEPTH, Members, Tree
from faktory_async.server._gowrite import (
    NumberRangeError,
    format_float,
    format_number,
    write,
    write_bytes,
    write_flat,
)

NUMBERS = [
    ("0", "0"),
    ("-0", "-0"),
    ("-0.0", "-0"),
    ("0e5", "0"),
    ("1.0", "1"),
    ("1e2", "100"),
    ("-5", "-5"),
    ("1.50", "1.5"),
    ("0.1", "0.1"),
    ("9007199254740993", "9007199254740992"),
    ("123456789012345678", "123456789012345680"),
    ("9223372036854775807", "9223372036854776000"),
    ("999999999999999", "999999999999999"),
    ("1e16", "10000000000000000"),
    ("1e20", "100000000000000000000"),
    ("123456789012345678901", "123456789012345680000"),
    ("1e21", "1e+21"),
    ("1.5e300", "1.5e+300"),
    ("1e-5", "0.00001"),
    ("0.000001", "0.000001"),
    ("-1.25e-6", "-0.00000125"),
    ("9.99e-7", "9.99e-7"),
    ("1e-7", "1e-7"),
    ("1e-10", "1e-10"),
    ("5e-324", "5e-324"),
    ("1e-400", "0"),
    ("1.7976931348623157e308", "1.7976931348623157e+308"),
]


@pytest.mark.parametrize(("literal", "written"), NUMBERS)
def test_numbers_come_back_as_doubles(literal: str, written: str) -> None:
    assert format_number(literal) == written
    assert write(read(literal.encode())) == written.encode()


@pytest.mark.parametrize("literal", ["1e400", "-1e400", "9" * 400])
def test_a_number_beyond_every_double_is_an_error(literal: str) -> None:
    with pytest.raises(NumberRangeError):
        format_number(literal)


def expected_float(value: float) -> str:
    """Return what Go writes, by another way: shortest digits, laid out by Decimal."""
    decimal = Decimal(repr(value))
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        text = f"{decimal:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    sign, digits, exponent = decimal.normalize().as_tuple()
    assert isinstance(exponent, int)
    mantissa = "".join(map(str, digits))
    fraction = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
    power = exponent + len(mantissa) - 1
    return f"{'-' * sign}{mantissa[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power)}"


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e21)
@example(math.nextafter(1e21, 0))
@example(1e-6)
@example(math.nextafter(1e-6, 0))
@example(-1e16)
def test_a_double_has_its_shortest_digits_in_gos_layout(value: float) -> None:
    text = format_float(value)
    assert text == expected_float(value)
    assert float(text) == value


@given(st.integers())
@example(2**53 + 1)
@example(-(2**63))
def test_an_integer_is_the_double_next_to_it(value: int) -> None:
    try:
        nearest = float(value)
    except OverflowError:
        with pytest.raises(NumberRangeError):
            format_number(str(value))
    else:
        assert format_number(str(value)) == expected_float(nearest)


STRINGS = [
    ("", '""'),
    ("é😀/\x7f", '"é😀/\x7f"'),
    ('"\\', r'"\"\\"'),
    ("\b\f\n\r\t", r'"\b\f\n\r\t"'),
    ("\x00\x0b\x1f", r'"\u0000\u000b\u001f"'),
    ("<a>&'", r'"\u003ca\u003e\u0026' + "'\""),
    ("\u2028\u2029\u2027", r'"\u2028\u2029' + '\u2027"'),
    ("\ufffd", '"\ufffd"'),
]


@pytest.mark.parametrize(("text", "written"), STRINGS)
def test_texts_are_escaped_as_go_does(text: str, written: str) -> None:
    assert write_flat(text).decode() == written
    assert write(text).decode() == written


def test_objects_are_sorted_by_bytes_and_the_last_of_equal_keys_stays() -> None:
    tree = read('{"b":1,"":2,"é":3,"😀":4,"\uff5e":5,"a<":6,"b":[{"z":1,"y":2}]}'.encode())
    text = '{"":2,"a\\u003c":6,"b":[{"y":2,"z":1}],"é":3,"\uff5e":5,"😀":4}'
    assert write(tree).decode() == text


def test_ten_thousand_levels_are_written() -> None:
    half = MAX_DEPTH // 2
    data = b'[{"a":' * half + b"[]" + b"}]" * half
    tree: Tree = []
    for _ in range(half):
        tree = [Members([("a", tree)])]
    assert write(tree) == data


@pytest.mark.parametrize(
    ("data", "written"),
    [
        (b"", b'""'),
        ("aé<".encode(), '"aé\\u003c"'.encode()),
        (b"\xff", rb'"\ufffd"'),
        (b"a\xe2\x82", rb'"a\ufffd\ufffd"'),
        ("\ufffd".encode() + b"\xc3b", '"\ufffd'.encode() + rb'\ufffdb"'),
    ],
)
def test_bytes_that_are_no_text_become_escapes(data: bytes, written: bytes) -> None:
    assert write_bytes(data) == written
