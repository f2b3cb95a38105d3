"""A command is done by who logged in, whomever sudo has made of that person."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from gateway.commands import output

NAMES = {0: "root", 1001: "anna", 1002: "dxgate"}


@pytest.mark.parametrize(
    ("uid", "said", "name"),
    [
        (1001, ("4294967295", ""), "anna"),
        (0, ("1001", ""), "anna"),
        (1002, ("1001", "1002"), "anna"),
        (0, ("4294967295", "1001"), "anna"),
        (1002, ("4294967295", "1001"), "dxgate"),  # anybody may set a variable; only root's word is as good as root
        (0, ("65534", "no number"), "root"),
        (0, ("", ""), "root"),
        (0, ("1009", ""), "1009"),
    ],
)
def test_sudo_makes_no_second_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, said: tuple[str, str], name: str
) -> None:
    """The kernel's login counts; without one root is whom sudo names, and everybody else is who runs the command."""
    login, sudo = said
    (tmp_path / "loginuid").write_text(login)
    monkeypatch.setattr(output, "_LOGIN", tmp_path / "loginuid")
    monkeypatch.setattr(os, "getuid", lambda: uid)
    monkeypatch.setenv("SUDO_UID", sudo)
    monkeypatch.setattr(pwd, "getpwuid", lambda one: pwd.struct_passwd((NAMES[one], "", one, 0, "", "", "")))
    assert output.actor() == f"cli:{name}"
