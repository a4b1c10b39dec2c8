"""The judges that all tests of cheats share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cheats.court import Courts


@pytest.fixture(scope="session")
def courts() -> Iterator[Courts]:
    with Courts() as opened:
        yield opened
