"""The search for burned-in text as this worker runs it: the network on its device, the rules of the settings."""

from __future__ import annotations

from pathlib import Path

from gateway.config import Settings
from models.runtime.decoding import Decode, decode_here
from models.runtime.providers import Policy
from models.text_search import device_rules
from models.text_search.detector import TextDetector
from models.text_search.search import TextSearch


def load_pixel_search(settings: Settings, policy: Policy, decode: Decode = decode_here) -> TextSearch:
    """Forbidden where the weights are not the ones examined, Invalid where the hospital's rules cannot be read."""
    own = Path(settings.pixels.device_rules).expanduser() if settings.pixels.device_rules else None
    detector, rules = TextDetector(policy, device=settings.worker.device_number), device_rules.load(own)
    return TextSearch(detector, rules, settings.pixels.max_masked_share, decode=decode)
