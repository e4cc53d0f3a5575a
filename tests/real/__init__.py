"""The real Faktory server: built from its pinned source, started and stopped for tests."""

from tests.real._build import RealServerMissingError, faktory_binary, load_generator_binary
from tests.real._process import RealServer, RealServerError
from tests.real._servers import RealServerFactory

__all__ = [
    "RealServer",
    "RealServerError",
    "RealServerFactory",
    "RealServerMissingError",
    "faktory_binary",
    "load_generator_binary",
]
