"""Measures the search for burned-in text: recall, masked area and time on synthetic ultrasound frames, as Markdown.

Use: `python deploy/bench/bench_pixels.py [seeds] [picture ...]`. Frames of 1024 x 768, a sector of speckle on black,
seven strings each in several fonts; a string counts where 95 % of its ink lies in a mask. Named pictures (any that
Pillow or pydicom reads): their masked share is told. Times are wall time and, after the stroke, CPU time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pydicom
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # first, for tests/models must not hide models
from harness.burned_text import Mask, scan, written
from harness.searched import as_file, detector, search, shot

from models.text_search import tophat
from models.text_search.frames import Shown
from models.text_search.look import look
from models.text_search.rectangle import covered

Detect = Callable[[np.ndarray], Mask]
AROUND = 12  # pixels around a string in which a mask is no false one


def _network(frame: np.ndarray) -> Mask:
    return covered([line.box for line in detector().lines(frame)], *frame.shape)


def _top_hat(frame: np.ndarray) -> Mask:
    rows = tophat.rows_of_glyphs(frame, (tophat.STRONG, tophat.WEAK), dark=frame)
    return covered([row.box for row in rows], *frame.shape)


def _look(frame: np.ndarray) -> Mask:
    return covered([one.box for one in look(Shown(frame, frame, frame), [], detector()).found], *frame.shape)


DETECTORS: dict[str, Detect] = {"network alone": _network, "top-hat alone": _top_hat, "one look": _look}


def _recall(seeds: int) -> None:
    print("| text | " + " | ".join(f"{name}: recall, false in tissue" for name in DETECTORS) + " |")
    print("|---|" + "---|" * len(DETECTORS))
    for over in ("margin", "tissue"):
        for grey in (255, 110):
            for size in (9, 12, 16, 24):
                made = [written(seed, size, grey, over) for seed in range(seeds)]
                cells = []
                for detect in DETECTORS.values():
                    masks = [detect(one.frame) for one in made]
                    hits = [m[ink].mean() >= 0.95 for one, m in zip(made, masks, strict=True) for ink in one.inks]
                    false = [
                        (m & ~_near(one.inks) & one.sector).sum() / one.sector.sum()
                        for one, m in zip(made, masks, strict=True)
                    ]
                    cells.append(f"{np.mean(hits):.2f}, {np.mean(false):.2%}")
                told = "bright" if grey == 255 else "dim"
                print(f"| {size} px {told} over {over} | " + " | ".join(cells) + " |", flush=True)


def _near(inks: tuple[Mask, ...]) -> Mask:
    near = np.zeros_like(inks[0])
    for ink in inks:
        down, right = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
        if down.size:
            rows = slice(max(0, down[0] - AROUND), down[-1] + AROUND)
            near[rows, max(0, right[0] - AROUND) : right[-1] + AROUND] = True
    return near


def _timed(work: Callable[[], object], rounds: int = 5) -> str:
    work()
    wall, cpu = [], []
    for _ in range(rounds):
        started, spent = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - spent)
    return f"{median(wall) * 1e3:.0f} / {median(cpu) * 1e3:.0f}"


def _times() -> None:
    without, _ = scan(np.random.default_rng(1))
    with_text = written(1, 16, 255, "margin").frame
    cine = np.stack([scan(np.random.default_rng(seed))[0] for seed in range(24)])
    clean, masked, moving = (as_file(shot(pixels)) for pixels in (without, with_text, cine))
    print("\n| work | ms |\n|---|---|")
    works: dict[str, Callable[[], object]] = {
        "one look at a frame of 1024 x 768": lambda: _look(without),
        "object of one frame without text, searched": lambda: search().search(clean, None),
        "object of one frame with text, searched, masked and searched again": lambda: search().search(masked, None),
        "cine of 24 frames without text, searched": lambda: search().search(moving, None),
    }
    for name, work in works.items():
        print(f"| {name} | {_timed(work, 3)} |", flush=True)


def _pictures(paths: list[str]) -> None:
    if not paths:
        return
    print("\n| picture | masked | doubtful rows |\n|---|---|---|")
    shares = []
    for path in paths:
        frame = (
            pydicom.dcmread(path).pixel_array if path.endswith(".dcm") else np.asarray(Image.open(path).convert("L"))
        )
        seen = look(Shown(frame, frame, frame), [], detector())
        shares.append(covered([one.box for one in seen.found], *frame.shape).mean())
        print(f"| {Path(path).name} | {shares[-1]:.2%} | {len(seen.doubtful)} |", flush=True)
    print(f"| mean of {len(shares)} | {np.mean(shares):.2%} | |")


if __name__ == "__main__":
    _recall(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
    _times()
    _pictures(sys.argv[2:])
