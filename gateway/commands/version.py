"""`dxgate version`."""

from __future__ import annotations

import argparse
import sys

from gateway import __version__


def version(_arguments: argparse.Namespace) -> int:
    sys.stdout.write(f"dxgate {__version__}\n")
    return 0
