"""Every async test here runs on asyncio and on trio, on virtual time."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.worker.virtual import BACKENDS, virtual_backend


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Any]]:
    return virtual_backend(request.param)
