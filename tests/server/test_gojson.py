"""Reading JSON as Go reads it; the texts were taken from Go 1.26."""

import json
import re
from collections.abc import Callable
from typing import TypeAlias, TypeGuard

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faktory_async.server._gojson import read
from faktory_async.server._goscan import scan
from faktory_async.server._gotree import MAX_DEPTH, InvalidJSONError, Members, Number, Tree, quote

Reader: TypeAlias = Callable[[bytes], Tree]
READERS = [read, scan]

REFUSED = [
    (b"", "unexpected end of JSON input"),
    (b"  ", "unexpected end of JSON input"),
    (b"x", "invalid character 'x' looking for beginning of value"),
    (b"\xff", "invalid character 'ÿ' looking for beginning of value"),
    (b"\x80", r"invalid character '\u0080' looking for beginning of value"),
    (b"\xa0", r"invalid character '\u00a0' looking for beginning of value"),
    (b"'a'", r"invalid character '\'' looking for beginning of value"),
    (b'{"a":"}', "unexpected end of JSON input"),
    (b"[1", "unexpected end of JSON input"),
    (b"[1,", "unexpected end of JSON input"),
    (b"[1,]", "invalid character ']' looking for beginning of value"),
    (b"[1 2]", "invalid character '2' after array element"),
    (b"{", "unexpected end of JSON input"),
    (b"{x", "invalid character 'x' looking for beginning of object key string"),
    (b'{"a"}', "invalid character '}' after object key"),
    (b'{"a":1 "b"', "invalid character '\"' after object key:value pair"),
    (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
    (b"{} x", "invalid character 'x' after top-level value"),
    (b'"a\x00b"', r"invalid character '\x00' in string literal"),
    (b'"a\tb"', r"invalid character '\t' in string literal"),
    (b'"\x7f\x0b"', r"invalid character '\v' in string literal"),
    (b'"\\x"', "invalid character 'x' in string escape code"),
    (b'"\\', "invalid character ' ' in string escape code"),
    (b'"\\u12g4"', r"invalid character 'g' in \u hexadecimal character escape"),
    (b'"\\u12', r"invalid character ' ' in \u hexadecimal character escape"),
    (b"tru", "invalid character ' ' in literal true (expecting 'e')"),
    (b"nulx", "invalid character 'x' in literal null (expecting 'l')"),
    (b"fAlse", "invalid character 'A' in literal false (expecting 'a')"),
    (b"-", "invalid character ' ' in numeric literal"),
    (b"-.5", "invalid character '.' in numeric literal"),
    (b"-e5", "invalid character 'e' in numeric literal"),
    (b"01", "invalid character '1' after top-level value"),
    (b"1.", "invalid character ' ' after decimal point in numeric literal"),
    (b"[1.e5]", "invalid character 'e' after decimal point in numeric literal"),
    (b"1.5.2", "invalid character '.' after top-level value"),
    (b"1e", "invalid character ' ' in exponent of numeric literal"),
    (b"1e-x", "invalid character 'x' in exponent of numeric literal"),
    (b"1E+]", "invalid character ']' in exponent of numeric literal"),
    (b"1e5e5", "invalid character 'e' after top-level value"),
    (b"NaN", "invalid character 'N' looking for beginning of value"),
    (b"+1", "invalid character '+' looking for beginning of value"),
    (b"\xef\xbb\xbf{}", "invalid character 'ï' looking for beginning of value"),
]

READ: list[tuple[bytes, object]] = [
    (b" \t\r\n null ", None),
    (b"true", True),
    (b"false", False),
    (b"-0", 0),
    (b"10.50E+07", 105_000_000.0),
    (b'""', ""),
    ('"é\u2028😀/"'.encode(), "é\u2028😀/"),
    (rb'"\"\\\/\b\f\n\r\t"', '"\\/\b\f\n\r\t'),
    (rb'"\u00e9\uD83D\ude00"', "é😀"),
    (rb'"\ud800"', "\ufffd"),
    (rb'"\udc00\ud800\u0041"', "\ufffd\ufffdA"),
    (rb'"\ud800\ud83d\ude00"', "\ufffd😀"),
    (b'"\xff\xc3"', "\ufffd\ufffd"),
    (b'"\xe2\x82"', "\ufffd\ufffd"),
    (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
    (b"[]", []),
    (b'[1,[],"a"]', [1, [], "a"]),
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("text", "complaint"), REFUSED)
def test_what_is_no_json_is_refused_in_gos_words(
    reader: Reader, text: bytes, complaint: str
) -> None:
    with pytest.raises(InvalidJSONError) as refused:
        reader(text)
    assert refused.value.text == complaint


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("text", "value"), READ)
def test_json_is_read_as_go_reads_it(reader: Reader, text: bytes, value: object) -> None:
    assert plain(reader(text)) == value


@pytest.mark.parametrize("reader", READERS)
def test_numbers_are_kept_as_they_were_written(reader: Reader) -> None:
    tree = reader(b"[-0,1.50E+7]")
    assert isinstance(tree, list)
    assert [number.literal for number in tree if isinstance(number, Number)] == ["-0", "1.50E+7"]


@pytest.mark.parametrize("reader", READERS)
def test_objects_keep_repeated_keys_in_their_order(reader: Reader) -> None:
    tree = reader(rb'{"b":1,"\u0061":{},"b":2}')
    assert isinstance(tree, Members)
    assert [key for key, _ in tree.pairs] == ["b", "a", "b"]
    assert plain(tree) == {"b": 2, "a": {}}


@pytest.mark.parametrize("reader", READERS)
def test_ten_thousand_levels_are_read(reader: Reader) -> None:
    tree = reader(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    for _ in range(MAX_DEPTH - 1):
        assert isinstance(tree, list)
        assert len(tree) == 1
        tree = tree[0]
    assert tree == []


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_one_level_more_is_refused(reader: Reader, opening: bytes) -> None:
    with pytest.raises(InvalidJSONError) as refused:
        reader(opening * (MAX_DEPTH + 1))
    assert refused.value.text == f"invalid character '{chr(opening[0])}' exceeded max depth"


def test_many_brackets_one_after_the_other_are_not_deep() -> None:
    width = 2 * MAX_DEPTH
    tree = read(b'["[",' + b"[]," * width + rb'"\"[["]')
    assert isinstance(tree, list)
    assert len(tree) == width + 2


def plain(tree: Tree) -> object:
    """Return a tree as Python's own reader would give it."""
    if isinstance(tree, Members):
        return {key: plain(value) for key, value in tree.pairs}
    if isinstance(tree, list):
        return [plain(item) for item in tree]
    if isinstance(tree, Number):
        return json.loads(tree.literal)
    return tree


PIECES = [
    *(bytes([char]) for char in b'{}[]":,\\/ \n019.eE+-tfn\x00\x1f\x7f\xff'),
    *(
        b'""',
        b"null",
        b"true",
        b"false",
        b"\\ud800",
        b"\\udc00",
        b"\\u0041",
        b"1e5",
        b"-0",
        b"\xc3\xa9",
    ),
]


def spoilt(drawn: tuple[object, int, bytes]) -> bytes:
    """Return JSON with one byte replaced by something else."""
    value, place, piece = drawn
    data = json.dumps(value).encode()
    return data[:place] + piece + data[place + 1 :]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


def refuse_constant(name: str) -> object:
    raise json.JSONDecodeError(name, "", 0)


def pythons(data: bytes) -> object:
    """Return what Python's reader makes of bytes; what is no character is U+FFFD for both."""
    text = data.decode("utf-8", "surrogateescape")
    return without_surrogates(json.loads(text, parse_constant=refuse_constant))


def without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    if is_list(value):
        return [without_surrogates(item) for item in value]
    if is_dict(value):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return value


def is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def is_dict(value: object) -> TypeGuard[dict[object, object]]:
    return isinstance(value, dict)


@given(json_values, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_what_python_writes_is_read_as_python_reads_it(
    value: object,
    ascii_only: bool,  # noqa: FBT001 - drawn
    indent: int | str | None,
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    data = text.encode("utf-8", "surrogatepass")
    assert plain(read(data)) == plain(scan(data)) == pythons(data)


@given(
    st.binary()
    | st.lists(st.sampled_from(PIECES)).map(b"".join)
    | st.tuples(json_values, st.integers(0, 50), st.sampled_from(PIECES)).map(spoilt)
)
def test_exactly_that_is_refused_which_python_refuses(data: bytes) -> None:
    try:
        expected = pythons(data)
    except json.JSONDecodeError:
        with pytest.raises(InvalidJSONError, match=r"invalid character |unexpected end"):
            read(data)
    else:
        assert plain(read(data)) == plain(scan(data)) == expected


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("a b", '"a b"'),
        ("é😀", '"é😀"'),
        ('"\\', r'"\"\\"'),
        ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        ("\x00\x7f", r'"\x00\x7f"'),
        ("\u200b\xa0", r'"\u200b\u00a0"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("it's", '"it\'s"'),
    ],
)
def test_quotes_as_go_does(text: str, quoted: str) -> None:
    assert quote(text) == quoted
