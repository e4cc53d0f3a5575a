"""`ReplyReader` and `encode_reply`: what is read, what is refused, and at what cost."""

import pytest

from faktory_async.errors import ProtocolError
from faktory_async.protocol import (
    MAX_BULK,
    MAX_LINE,
    NULL,
    OK,
    BulkReply,
    ErrorReply,
    NullReply,
    OversizedReply,
    Reply,
    ReplyReader,
    SimpleReply,
    encode_reply,
)
from faktory_async.protocol._reply import shown
from tests.protocol._counting import CountingBuffer

KINDS: list[tuple[bytes, Reply]] = [
    (b"+OK\r\n", OK),
    (b"+\r\n", SimpleReply("")),
    (b'+HI {"v":2}\r\n', SimpleReply('HI {"v":2}')),
    (b"-ERR unknown command X\r\n", ErrorReply("ERR", "unknown command X")),
    (b"-ERR invalid ACK \r\n", ErrorReply("ERR", "invalid ACK ")),
    (b"-NOTUNIQUE Job not unique\r\n", ErrorReply("NOTUNIQUE", "Job not unique")),
    (b"- \r\n", ErrorReply("", "")),
    (b"$5\r\nhello\r\n", BulkReply(b"hello")),
    (b"$0\r\n\r\n", BulkReply(b"")),
    (b"$6\r\n\r\n+OK\r\r\n", BulkReply(b"\r\n+OK\r")),
    (b"$-1\r\n", NULL),
    # An error echoes what was sent, raw: newlines, a CR before the end, NUL, no UTF-8.
    (b"-ERR Job not found no\npe\r\n", ErrorReply("ERR", "Job not found no\npe")),
    (b"-ERR unknown command FLUSH\r\r\n", ErrorReply("ERR", "unknown command FLUSH\r")),
    (b"-ERR unknown command \n\r\r\r\n", ErrorReply("ERR", "unknown command \n\r\r")),
    (
        b"-ERR unknown command \x00\x01\xff\xfe\r\n",
        ErrorReply("ERR", "unknown command \x00\x01\udcff\udcfe"),
    ),
]

for_each_kind = pytest.mark.parametrize(("sent", "reply"), KINDS, ids=[repr(s) for s, _ in KINDS])


def bytewise(reader: ReplyReader, data: bytes) -> list[Reply]:
    return [reply for byte in data for reply in reader.feed(bytes([byte]))]


@for_each_kind
def test_a_reply_is_read_in_one_piece(sent: bytes, reply: Reply) -> None:
    assert ReplyReader().feed(sent) == [reply]


@for_each_kind
def test_a_reply_is_read_byte_by_byte_and_complete_only_with_the_last(
    sent: bytes, reply: Reply
) -> None:
    reader = ReplyReader()
    assert not reader.pending
    assert bytewise(reader, sent[:-1]) == []
    assert reader.pending
    assert reader.feed(sent[-1:]) == [reply]
    assert not reader.pending


@for_each_kind
def test_a_reply_is_written_as_it_was_read(sent: bytes, reply: Reply) -> None:
    assert encode_reply(reply) == sent


def test_an_error_without_a_text_is_read() -> None:
    assert ReplyReader().feed(b"-ERR\r\n") == [ErrorReply("ERR", "")]


def test_replies_come_in_order_from_one_piece() -> None:
    sent = b"".join(sent for sent, _ in KINDS)
    assert ReplyReader().feed(sent) == [reply for _, reply in KINDS]


def test_a_reply_may_begin_in_one_piece_and_end_in_the_next() -> None:
    reader = ReplyReader()
    assert reader.feed(b"+OK\r\n$5\r\nhe") == [OK]
    assert reader.pending
    assert reader.feed(b"llo\r\n-ERR x\r") == [BulkReply(b"hello")]
    assert reader.feed(b"\n+OK\r\n") == [ErrorReply("ERR", "x"), OK]
    assert not reader.pending


def test_an_ok_is_no_shortcut_within_another_reply() -> None:
    reader = ReplyReader()
    assert reader.feed(b"$5\r\n") == []
    assert reader.feed(b"+OK\r\n") == []
    assert reader.feed(b"\r\n") == [BulkReply(b"+OK\r\n")]
    assert reader.feed(b"-ERR ") == []
    assert reader.feed(b"+OK\r\n") == [ErrorReply("ERR", "+OK")]


def test_nothing_is_read_from_nothing() -> None:
    reader = ReplyReader()
    assert reader.feed(b"") == []
    assert not reader.pending


# -- what no Faktory sends --------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        b"\r\n",
        b":1\r\n",
        b"*1\r\n",
        b"*-1\r\n",
        b"_\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x00\r\n",
        b"\x15\x03\x01\x00\x02\x02\r\n",
        b"$\r\n",
        b"$-2\r\n",
        b"$-0\r\n",
        b"$+1\r\n",
        b"$1.0\r\n",
        b"$ 1\r\n",
        b"$0x1\r\n",
        b"$1_0\r\n",
        b"$\xd9\xa1\r\n",  # an Arabic digit
        b"$9999999999999999999\r\n",
        b"$" + b"9" * 60_000 + b"\r\n",
        b"$-1 \r\n",
        b"$2\r\nabc\r\n",
        b"$2\r\nab\n\r",
        b"$0\r\nx\r\n",
    ],
    ids=lambda garbage: repr(garbage[:30]),
)
def test_what_no_faktory_sends_is_refused_however_it_is_cut(garbage: bytes) -> None:
    with pytest.raises(ProtocolError):
        ReplyReader().feed(garbage)
    with pytest.raises(ProtocolError):
        bytewise(ReplyReader(), garbage)


def test_an_error_about_garbage_shows_its_beginning_only() -> None:
    with pytest.raises(ProtocolError, match=r"HTTP/1\.1 400") as caught:
        ReplyReader().feed(b"HTTP/1.1 400 Bad Request " + b"x" * 1000 + b"\r\n")
    assert len(str(caught.value)) < 120


def raise_kept(reader: ReplyReader) -> None:
    """Raise what the reader had to keep back."""
    if reader.error is not None:
        raise reader.error


def test_replies_before_garbage_in_the_same_piece_are_not_lost() -> None:
    reader = ReplyReader()
    assert reader.feed(b"+OK\r\n$2\r\nab\r\n:1\r\n+OK\r\n") == [OK, BulkReply(b"ab")]
    with pytest.raises(ProtocolError, match=":1"):
        raise_kept(reader)


@pytest.mark.parametrize("sent", [b":1\r\n", b"+OK\r\n:1\r\n", b"$9\r\n0123456789\r\n"])
def test_after_garbage_nothing_is_read_any_more(sent: bytes) -> None:
    reader = ReplyReader()
    for data in (sent, b"", b"+OK\r\n"):
        try:
            assert reader.feed(data) == [OK]
        except ProtocolError:
            continue
        assert data == sent
    with pytest.raises(ProtocolError):
        raise_kept(reader)


def test_there_is_nothing_to_raise_after_good_replies() -> None:
    reader = ReplyReader()
    reader.feed(b"+OK\r\n$5\r\nhel")
    assert reader.error is None
    assert reader.pending


# -- limits -----------------------------------------------------------------------------------


def test_the_limits_are_64_kib_of_line_and_64_mib_of_bulk() -> None:
    assert (MAX_LINE, MAX_BULK) == (65_536, 67_108_864)
    reader = ReplyReader()
    assert reader.feed(b"+" + b"x" * 65_535 + b"\r\n") == [SimpleReply("x" * 65_535)]
    assert reader.feed(b"$67108864\r\n") == []
    for too_much in (b"+" + b"x" * 65_536 + b"\r\n", b"$67108865\r\n"):
        with pytest.raises(ProtocolError):
            ReplyReader().feed(too_much)


@pytest.mark.parametrize("cut", range(1, 13))
def test_a_line_of_exactly_the_limit_is_read_wherever_it_is_cut(cut: int) -> None:
    line = b"+123456789\r\n"
    reader = ReplyReader(max_line=10)
    assert reader.feed(line[:cut]) + reader.feed(line[cut:]) == [SimpleReply("123456789")]


@pytest.mark.parametrize("cut", range(1, 14))
def test_a_longer_line_is_refused_wherever_it_is_cut(cut: int) -> None:
    line = b"+1234567890\r\n"
    reader = ReplyReader(max_line=10)

    def read() -> None:
        reader.feed(line[:cut])
        reader.feed(line[cut:])

    with pytest.raises(ProtocolError, match="more than 10 bytes"):
        read()


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    reader = ReplyReader(max_line=10)
    reader.feed(b"-123456789")
    reader.feed(b"0")  # may still be the CR's place
    with pytest.raises(ProtocolError, match="more than 10 bytes"):
        reader.feed(b"1")


def test_a_newline_does_not_end_a_line_that_is_too_long() -> None:
    with pytest.raises(ProtocolError, match="more than 10 bytes"):
        ReplyReader(max_line=10).feed(b"-ERR\n\n\n\n\n\n\n\n\n")


def test_the_limit_of_lines_does_not_touch_bulks() -> None:
    assert ReplyReader(max_line=2).feed(b"$6\r\nabcdef\r\n") == [BulkReply(b"abcdef")]


@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_a_bulk_of_exactly_the_limit_is_read(step: int) -> None:
    sent = b"$10\r\n0123456789\r\n"
    reader = ReplyReader(max_bulk=10)
    replies = [
        reply for at in range(0, len(sent), step) for reply in reader.feed(sent[at : at + step])
    ]
    assert replies == [BulkReply(b"0123456789")]


def test_a_longer_bulk_is_refused_by_its_length_alone() -> None:
    with pytest.raises(ProtocolError, match="11 bytes; the limit is 10"):
        ReplyReader(max_bulk=10).feed(b"$11\r\n")


# -- what is skipped --------------------------------------------------------------------------


def skipping(*, max_bulk: int) -> ReplyReader:
    return ReplyReader(max_bulk=max_bulk, skip=True)


BIG = b'{"custom":{"jid":"no"},"jid":"12345678","queue":"q"}'


def test_a_longer_bulk_can_be_skipped_with_an_outline_left() -> None:
    reader = skipping(max_bulk=10)
    sent = b"+OK\r\n" + encode_reply(BulkReply(BIG)) + b"$10\r\n0123456789\r\n+OK\r\n"
    oversized = OversizedReply(len(BIG), b'{"jid":"12345678","queue":"q"}')
    replies = [OK, oversized, BulkReply(b"0123456789"), OK]
    assert reader.feed(sent) == replies
    assert not reader.pending
    assert bytewise(reader, sent) == replies
    assert not reader.pending


def test_what_is_skipped_is_pending_until_its_last_byte_and_takes_no_room() -> None:
    reader = skipping(max_bulk=10)
    assert reader.feed(b"$1000000000\r\n") == []
    for _ in range(100):
        assert reader.feed(bytes(10_000)) == []
        assert reader.pending
        assert len(reader._buffer) == 0


def test_a_frequent_reply_is_no_shortcut_within_what_is_skipped() -> None:
    reader = skipping(max_bulk=4)
    assert reader.feed(b"$5\r\n") == []
    assert reader.feed(b"+OK\r\n") == []
    assert reader.feed(b"\r\n") == [OversizedReply(5, b"{}")]


@pytest.mark.parametrize("sent", [b"$11\r\n01234567890ab", b"$11\r\n01234567890\n\r"])
def test_a_skipped_bulk_that_is_longer_than_it_says_is_refused(sent: bytes) -> None:
    for cut in range(1, len(sent)):
        reader = skipping(max_bulk=10)
        pieces = iter([sent[:cut], sent[cut:]])
        with pytest.raises(ProtocolError, match="longer than its length says"):
            list(map(reader.feed, pieces))


def test_what_was_skipped_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="gone"):
        encode_reply(OversizedReply(5, b"{}"))


# -- cost -------------------------------------------------------------------------------------


def counting_reader() -> tuple[ReplyReader, CountingBuffer]:
    reader = ReplyReader()
    reader._buffer = buffer = CountingBuffer()
    return reader, buffer


@pytest.mark.parametrize(
    ("sent", "step"),
    [
        (b"-" + b"x" * 65_000 + b"\r\n", 1),
        (b"-" + b"\r" * 65_000 + b"\r\n", 1),
        (b"-" + b"x" * 65_000 + b"\r\n", 1024),
        (b"$100000\r\n" + b"\r" * 100_000 + b"\r\n", 1),
        (b"$67108864\r\n" + bytes(67_108_864) + b"\r\n", 1024),
        (b"$67108864\r\n" + bytes(67_108_864) + b"\r\n", 65_536),
        (b"+HI\r\n" * 40_000, 200_000),
        (b"+HI\r\n" * 40_000, 7),
        (b"$3\r\nabc\r\n" * 20_000, 180_000),
        (b"$3\r\nabc\r\n" * 20_000, 4096),
    ],
    ids=lambda value: f"{value[:12]!r}" if isinstance(value, bytes) else str(value),
)
def test_reading_is_linear_in_the_bytes_however_they_are_cut(sent: bytes, step: int) -> None:
    reader, buffer = counting_reader()
    count = sum(len(reader.feed(sent[at : at + step])) for at in range(0, len(sent), step))
    assert count == max(1, sent.count(b"+HI"), sent.count(b"$3"))
    assert not reader.pending
    assert len(sent) <= buffer.work <= 4 * len(sent)


# -- words for errors -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (OK, "'+OK'"),
        (SimpleReply("a\nb"), r"'+a\nb'"),
        (SimpleReply("x" * 1000), f"'+{'x' * 40}'"),
        (ErrorReply("ERR", "no"), "'-ERR no'"),
        (ErrorReply("E" * 100, "x" * 1000), f"'-{'E' * 40} {'x' * 40}'"),
        (BulkReply(b"secret"), "a bulk of 6 bytes"),
        (NullReply(), "'$-1'"),
        (OversizedReply(6, b"{}"), "a bulk of 6 bytes, which is over the limit"),
    ],
)
def test_an_error_shows_a_reply_in_a_few_words(reply: Reply, text: str) -> None:
    assert shown(reply) == text
