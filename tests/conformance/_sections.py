"""The sections of the wire notes: what is known of the bytes a Faktory 1.10.0 server sends.

Every row of the table names the section it proves. A section that no row can prove says why.
"""

from dataclasses import dataclass

__all__ = ["SECTIONS", "Section"]


@dataclass(frozen=True, slots=True)
class Section:
    """A title, and for a section without rows the reason."""

    title: str
    aside: str = ""


SECTIONS = {
    "1": Section("Framing: lines in, replies out, pipelining, panics, limits"),
    "2": Section("Handshake: greeting, HELLO, password"),
    "3.1": Section("The life of a connection and END"),
    "3.2": Section("The limit of 2,000 connections"),
    "3.3": Section("What clients see of a shutdown"),
    "4": Section("All commands in one table"),
    "5.1": Section("PUSH"),
    "5.2": Section("PUSHB"),
    "5.3": Section("FETCH"),
    "5.4": Section("ACK"),
    "5.5": Section("FAIL"),
    "5.6": Section("BEAT"),
    "5.7": Section("INFO"),
    "5.8": Section("FLUSH"),
    "5.9": Section("QUEUE"),
    "5.10": Section("MUTATE"),
    "5.11": Section("TRACK and BATCH on the free edition"),
    "6.1": Section("The fields of a job"),
    "6.2": Section("Validation and its texts"),
    "6.3": Section("Defaults that the server fills in"),
    "6.4": Section("Timestamps"),
    "6.5": Section("What FETCH prints: order, strings, numbers"),
    "7.1": Section("The clockwork of the sets"),
    "7.2": Section("Reservations"),
    "7.3": Section("Failures, retries and the dead set"),
    "7.4": Section("What survives a restart"),
    "8": Section("Workers and heartbeats"),
    "9": Section("Web pages", aside="pages are not part of the protocol"),
    "10": Section("How to run a server", aside="states no reply"),
    "11.1": Section("The default of `retry` that PUSH pollutes"),
    "11.2": Section("Races that kill the server", aside="a defect that no test may provoke"),
    "11.3": Section("Jobs lost when the server is killed", aside="needs a server killed by force"),
    "11.3b": Section("Stalls of the store", aside="needs a store that hangs"),
    "11.3c": Section("Late and repeated reports"),
    "11.3d": Section("MUTATE after the last failure"),
    "11.3e": Section("Scheduled jobs that are equal byte for byte"),
    "11.4": Section("One jid for two jobs"),
    "11.5": Section("Smaller oddities"),
    "12": Section("Where others have met all this", aside="states no reply"),
    "13": Section("Checklists for implementers", aside="repeats what stands elsewhere"),
    "A": Section("Probe lines and their exact replies"),
    "B": Section("The whole history of a job that fails to its end"),
    "C": Section("What was not examined", aside="states no reply"),
}
