"""The table from error categories to C-STORE statuses."""

from __future__ import annotations

import pytest

from gateway.domain.errors import Category, Conflict, GatewayError
from gateway.servers.dicom.status import STORE_STATUS, store_status


def test_every_category_has_a_status():
    """The table names every category once, and no success among them."""
    assert set(STORE_STATUS) == set(Category)
    assert 0 not in STORE_STATUS.values()


@pytest.mark.parametrize(
    ("error", "status"), [(Conflict("x"), 0xA900), (GatewayError("x"), 0x0110), (KeyError("x"), 0x0110)]
)
def test_errors_find_their_status(error, status):
    """An error of the tree is answered by its category, any other as a processing failure."""
    assert store_status(error) == status
