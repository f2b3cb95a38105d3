"""Measures the privacy room: header de-identification, sealing, and both for one CT slice, as a Markdown table.

Use: `python deploy/bench/bench_privacy.py [rounds]`. Times are CPU time of this process, the median of rounds,
on a synthetic CT slice of 512 x 512 x 16 bit with about a hundred elements, some nested, some private.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable

from gateway.privacy.dataset import EXPLICIT, encode, encode_item
from gateway.privacy.engine import deidentify, restore
from gateway.privacy.masked_file import replace_pixels
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.rules import INFERENCE, compile_rules
from gateway.privacy.sealing import WrappingKey, open_sealed, seal

SYNTAX = "1.2.840.10008.1.2.1"
CLASS = b"1.2.840.10008.5.1.4.1.1.2"
TEXTS = {
    0x00080005: ("CS", b"ISO_IR 100"),
    0x00080008: ("CS", b"ORIGINAL\\PRIMARY\\AXIAL"),
    0x00080012: ("DA", b"20240229"),
    0x00080013: ("TM", b"101112.000"),
    0x00080016: ("UI", CLASS),
    0x00080018: ("UI", b"1.2.826.0.1.3680043.9.1234.1.3.77"),
    0x00080020: ("DA", b"20240229"),
    0x00080021: ("DA", b"20240229"),
    0x00080022: ("DA", b"20240229"),
    0x00080023: ("DA", b"20240229"),
    0x00080030: ("TM", b"101112.000"),
    0x00080031: ("TM", b"101112.000"),
    0x00080032: ("TM", b"101112.000"),
    0x00080033: ("TM", b"101112.000"),
    0x00080050: ("SH", b"ACC0099871"),
    0x00080060: ("CS", b"CT"),
    0x00080070: ("LO", b"ACME MEDICAL"),
    0x00080080: ("LO", b"GENERAL HOSPITAL"),
    0x00080081: ("ST", b"1 Hospital Road, Town"),
    0x00080090: ("PN", b"Referrer^Rita"),
    0x00081010: ("SH", b"CT01"),
    0x00081030: ("LO", b"CT CHEST WITH CONTRAST"),
    0x0008103E: ("LO", b"AXIAL 5 MM"),
    0x00081050: ("PN", b"Performer^Paul"),
    0x00081070: ("PN", b"Operator^Olga"),
    0x00081090: ("LO", b"SCANNER 9000"),
    0x00100010: ("PN", b"Doe^Jane^Q"),
    0x00100020: ("LO", b"MRN-0012345"),
    0x00100021: ("LO", b"GENERAL"),
    0x00100030: ("DA", b"19610203"),
    0x00100040: ("CS", b"F"),
    0x00101010: ("AS", b"063Y"),
    0x00101020: ("DS", b"1.68"),
    0x00101030: ("DS", b"70.5"),
    0x00104000: ("LT", b"fell in the garden"),
    0x00180015: ("CS", b"CHEST"),
    0x00180022: ("CS", b"HELICAL MODE"),
    0x00180050: ("DS", b"5.000000"),
    0x00180060: ("DS", b"120"),
    0x00180090: ("DS", b"500.0"),
    0x00181000: ("LO", b"SN-778899"),
    0x00181020: ("LO", b"V 9.1"),
    0x00181030: ("LO", b"CHEST ROUTINE"),
    0x00181100: ("DS", b"360.0"),
    0x00181110: ("DS", b"1099.31"),
    0x00181111: ("DS", b"630.0"),
    0x00181120: ("DS", b"0.0"),
    0x00181130: ("DS", b"133.7"),
    0x00181140: ("CS", b"CW"),
    0x00181150: ("IS", b"500"),
    0x00181151: ("IS", b"170"),
    0x00181152: ("IS", b"85"),
    0x00181160: ("SH", b"BODY FILTER"),
    0x00181170: ("IS", b"20"),
    0x00181190: ("DS", b"0.7"),
    0x00181210: ("SH", b"STANDARD"),
    0x00185100: ("CS", b"FFS"),
    0x0020000D: ("UI", b"1.2.826.0.1.3680043.9.1234.1"),
    0x0020000E: ("UI", b"1.2.826.0.1.3680043.9.1234.1.3"),
    0x00200010: ("SH", b"S4711"),
    0x00200011: ("IS", b"3"),
    0x00200012: ("IS", b"1"),
    0x00200013: ("IS", b"77"),
    0x00200032: ("DS", b"-158.135803\\-179.035797\\-75.699997"),
    0x00200037: ("DS", b"1.0\\0.0\\0.0\\0.0\\1.0\\0.0"),
    0x00200052: ("UI", b"1.2.826.0.1.3680043.9.1234.9"),
    0x00201040: ("LO", b"SN"),
    0x00201041: ("DS", b"-77.2040634155"),
    0x00280002: ("US", b"\1\0"),
    0x00280004: ("CS", b"MONOCHROME2"),
    0x00280010: ("US", b"\0\2"),
    0x00280011: ("US", b"\0\2"),
    0x00280030: ("DS", b"0.661468\\0.661468"),
    0x00280100: ("US", b"\x10\0"),
    0x00280101: ("US", b"\x10\0"),
    0x00280102: ("US", b"\x0f\0"),
    0x00280103: ("US", b"\1\0"),
    0x00281050: ("DS", b"40"),
    0x00281051: ("DS", b"400"),
    0x00281052: ("DS", b"-1024"),
    0x00281053: ("DS", b"1"),
    0x00281054: ("LO", b"HU"),
    0x00400244: ("DA", b"20240229"),
    0x00400245: ("TM", b"101112"),
    0x00400253: ("SH", b"PPS1"),
    0x00400254: ("LO", b"CT CHEST"),
    0x00431010: ("LO", b"ACME PRIVATE"),
}


def ct_slice() -> bytes:
    """A CT slice of 526 KB with nested references, a private block and random pixels."""
    reference = encode(0x00081150, "UI", CLASS, EXPLICIT)
    reference += encode(0x00081155, "UI", b"1.2.826.0.1.3680043.9.1234.1.2.1", EXPLICIT)
    private = {0x00431000 + 0x1000 + n: ("LO", b"private %d" % n) for n in range(10)}
    whole = {tag: encode(tag, vr, value, EXPLICIT) for tag, (vr, value) in (TEXTS | private).items()}
    whole[0x00081140] = encode(0x00081140, "SQ", encode_item(reference, EXPLICIT), EXPLICIT)
    whole[0x7FE00010] = encode(0x7FE00010, "OW", os.urandom(524_288), EXPLICIT)
    return b"".join(whole[tag] for tag in sorted(whole))


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """CPU milliseconds of one call: the median over rounds of twenty calls."""
    times = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(20):
            work()
        times.append((time.process_time() - started) / 20)
    return statistics.median(times) * 1e3


def main(rounds: int) -> None:
    """Print the table."""
    data = ct_slice()
    rules = compile_rules(INFERENCE)
    patient = Pseudonymiser(os.urandom(32), os.urandom(32))
    key = WrappingKey("patient", os.urandom(32))

    def engine() -> object:
        return deidentify(data, SYNTAX, rules, lambda _: patient)

    done = deidentify(data, SYNTAX, rules, lambda _: patient)
    blob = b"".join(seal(done.parts, key, b"tenant|1"))
    large = [os.urandom(1 << 20)] * 64

    def both() -> object:
        return seal(deidentify(data, SYNTAX, rules, lambda _: patient).parts, key, b"tenant|1")

    file = b"".join(done.parts)
    pixels = bytes(4096) + data[-524_288 + 4096 :]

    def masked() -> object:
        return replace_pixels(file, pixels)

    sealed = milliseconds(lambda: seal(done.parts, key, b"tenant|1"), rounds)
    size = sum(map(len, done.parts))
    rows = [
        (f"header de-identification, CT slice, {len(TEXTS) + 12} elements", f"{milliseconds(engine, rounds):.3f} ms"),
        ("sealing the slice (AES-256-GCM)", f"{sealed:.3f} ms, {size / sealed / 1e6:.1f} GB/s"),
        ("both", f"{milliseconds(both, rounds):.3f} ms"),
        ("opening the slice", f"{milliseconds(lambda: open_sealed(blob, key.unwrap, b'tenant|1'), rounds):.3f} ms"),
        ("restoring the original", f"{milliseconds(lambda: restore(done.parts, done.removed), rounds):.3f} ms"),
        ("masking a corner of the slice", f"{milliseconds(masked, rounds):.3f} ms"),
        ("sealing 64 MiB", f"{(64 << 20) / milliseconds(lambda: seal(large, key, b't'), 1) / 1e6:.1f} GB/s"),
        ("removed part, packed", f"{len(done.removed)} bytes"),
    ]
    print(f"CT slice of {len(data)} bytes, profile {rules.profile.name}, CPU time, median of {rounds} rounds\n")
    print("| what | measured |\n|---|---|")
    for what, measured in rows:
        print(f"| {what} | {measured} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
