"""Keyed hashes of the search index: what is remembered of them."""

from __future__ import annotations

from gateway.storage.index_hash import IndexHash


def test_long_systems_are_not_remembered() -> None:
    """What is kept of addresses of code systems is bounded in bytes; a long one has its hash all the same."""
    hashed = IndexHash(lambda label: label.encode().ljust(32)[:32])
    short, long = "http://loinc.org", "http://example.org/" + "x" * 1000
    assert hashed.system("token", short) == hashed("token", short)
    assert hashed.system("token", long) == hashed("token", long)
    assert list(hashed._systems) == [("token", short)]
