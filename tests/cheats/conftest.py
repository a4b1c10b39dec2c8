"""The judges that all tests of cheats share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.cheats.court import Courts


@pytest.fixture(scope="session")
def courts() -> Iterator[Courts]:
    """The judge's own arithmetic on one thread: small tensors gain nothing from more, and cores are for workers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with Courts() as opened:
        yield opened
    torch.set_num_threads(before)
