"""The search of one object's pixels for text, from the surest knowledge to the least, and the masks that follow.

Rectangles of known devices; outside the scan regions of a cine; what stands still while tissue moves; then the
detectors on every frame, identical ones once. What was found is overwritten and the result is searched again: what is
still read then, or cannot be judged, is a doubt, and the object goes to a person unchanged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Final

import numpy as np
from pydicom.dataset import FileDataset

from gateway.domain.clearance import ALL_FRAMES, Box, PixelFinding
from gateway.domain.errors import Unsupported
from gateway.ports import SearchedPixels
from models.runtime.decoding import Decode, decode_here
from models.text_search import device_rules, motion, regions, tophat
from models.text_search.detector import NAME as NETWORK
from models.text_search.detector import TextDetector
from models.text_search.device_rules import DeviceRule
from models.text_search.frames import Form, Shown, form, opened, shown, stored_frames
from models.text_search.look import Found, Look, even_rows, look
from models.text_search.overwrite import TRANSFER_SYNTAX, Overwritten, overwrite
from models.text_search.preview import preview
from models.text_search.rectangle import Rectangle, covered

DEVICE: Final = "device-rules"
REGIONS: Final = "ultrasound-regions"
PERSON: Final = "person"
MOST_ALONE: Final = 12  # frames that are each searched by themselves; more are a cine
MOST_LOOKS: Final = 40  # at frames of a cine that show something of their own
MOST_BOXES: Final = 1000
ROUNDS: Final = 2  # of masking and searching again
SECONDS: Final = 240.0  # for one object; below a worker's own limit
_SEEN: Final = 16  # grey from which masking takes something away


@dataclass
class _Findings:
    """What one search gathers; boxes are in the object's own pixels."""

    layout: Form
    boxes: list[Box] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    searched: int = 0
    examples: dict[int, list[Shown]] = field(default_factory=dict)  # frames that represent the others
    detectors: set[str] = field(default_factory=set)

    def add(self, found: Sequence[Found], frame: int) -> int:
        """Notes what no box of this frame covers yet; returns how many that were."""
        new = 0
        for one in found:
            box = self._own(one, frame)
            if box.width > 0 and box.height > 0 and not self._known(box):
                self.boxes.append(box)
                new += 1
        return new

    def _own(self, one: Found, frame: int) -> Box:
        """In the object's own rows and columns, which may be more than were shown."""
        by = self.layout.factor
        scaled = Rectangle(*(side * by for side in one.box)).within(self.layout.rows, self.layout.columns)
        place = (scaled.left, scaled.top, scaled.width, scaled.height)
        return Box(frame, *place, one.detector, round(one.confidence, 3))

    def _known(self, box: Box) -> bool:
        """A box that lies in one of the others, up to a pixel on each side of what was shown."""
        slack = self.layout.factor
        return any(
            other.frame in (box.frame, ALL_FRAMES)
            and other.left <= box.left + slack
            and other.top <= box.top + slack
            and other.left + other.width >= box.left + box.width - slack
            and other.top + other.height >= box.top + box.height - slack
            for other in self.boxes
        )

    def shown_boxes(self, frame: int) -> list[Rectangle]:
        """The boxes of one frame, in what is shown of it."""
        by = self.layout.factor
        return [
            Rectangle(box.left // by, box.top // by, -(-(box.left + box.width) // by), -(-(box.top + box.height) // by))
            for box in self.boxes
            if box.frame in (frame, ALL_FRAMES)
        ]


class TextSearch:
    """Implements the PixelSearch port with one network session and the rules of devices."""

    def __init__(
        self,
        detector: TextDetector,
        rules: Sequence[DeviceRule],
        max_masked_share: float,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
        *,
        decode: Decode = decode_here,
    ) -> None:
        self._detector = detector
        self._decode = decode
        self._rules = rules
        self._most = max_masked_share
        self._seconds = seconds
        self._clock = clock

    def search(self, file: bytes, asked: Sequence[Box] | None) -> SearchedPixels:
        """Finds and masks; a person's boxes are masked exactly and nothing is searched for. Invalid: undecodable."""
        dataset = opened(file)
        try:
            layout = form(dataset)
        except Unsupported as error:
            return self._held(_Findings(Form(0, 0, 0, 1, 8, "")), str(error))
        if asked is not None:
            return self._as_asked(dataset, layout, asked)
        findings = self._find(dataset, layout, self._clock() + self._seconds)
        doubt = self._doubt(findings)
        if doubt is not None:
            return self._held(findings, doubt)
        result = self._mask(dataset, findings)
        return self._held(findings, result) if isinstance(result, str) else self._answer(findings, result, None)

    def _as_asked(self, dataset: FileDataset, layout: Form, asked: Sequence[Box]) -> SearchedPixels:
        findings = _Findings(layout, list(asked), searched=layout.frames, detectors={PERSON})
        return self._answer(findings, overwrite(dataset, layout, asked, self._decode), None)

    def _find(self, dataset: FileDataset, layout: Form, until: float) -> _Findings:
        findings = _Findings(layout)
        declared = regions.declared(dataset, layout.rows, layout.columns)
        known = device_rules.rectangles(self._rules, dataset, layout.rows, layout.columns)
        if known:
            findings.detectors.add(DEVICE)
            findings.boxes += [Box(ALL_FRAMES, b.left, b.top, b.width, b.height, DEVICE) for b in known]
        shown_regions = [Rectangle(*(side // layout.factor for side in region)) for region in declared]
        if layout.frames <= MOST_ALONE:
            self._search_alone(dataset, findings, shown_regions, until)
        else:
            self._search_cine(dataset, findings, shown_regions, until)
        return findings

    def _search_alone(
        self, dataset: FileDataset, findings: _Findings, declared: Sequence[Rectangle], until: float
    ) -> None:
        """Every frame by itself; one that was seen before is masked as it was then."""
        seen: dict[bytes, int] = {}
        for number, views in self._views(dataset, findings.layout):
            digest = blake2b(b"".join(view.colour.tobytes() for view in views), digest_size=16).digest()
            if digest in seen:
                again = [replace(box, frame=number) for box in findings.boxes if box.frame == seen[digest]]
                findings.boxes += again
                continue
            seen[digest] = number
            findings.examples[number] = views
            if self._late(findings, until):
                return
            self._look_at(views, number, findings, declared)

    def _search_cine(
        self, dataset: FileDataset, findings: _Findings, declared: Sequence[Rectangle], until: float
    ) -> None:
        """What stands still, a few frames whole, and every frame that shows a row of glyphs of its own.

        A box is masked in all frames: what was written in one may be half faded in the next.
        """
        temporal = motion.Temporal()
        last = findings.layout.frames - 1
        for number, views in self._views(dataset, findings.layout):
            temporal.add(views[0].bright)
            if number in (0, last // 2, last):
                findings.examples[number] = views
        self._note_still(temporal, findings, declared)
        still = [[Shown(grey, grey, grey)] for grey in (temporal.least, temporal.mean)]
        for views in [*still, *findings.examples.values()]:
            if self._late(findings, until):
                return
            self._look_at(views, ALL_FRAMES, findings, declared)
        self._look_at_others(dataset, findings, declared, until)

    def _note_still(self, temporal: motion.Temporal, findings: _Findings, declared: Sequence[Rectangle]) -> None:
        area = motion.moving_area(temporal)
        around: list[Rectangle] = []
        name = REGIONS
        if declared:
            around = motion.outside(covered(declared, *temporal.least.shape))
        elif area is not None:
            name = motion.NAME
            around = motion.outside(area | regions.tissue(temporal.mean, []))
        findings.add([Found(box, name, 1.0) for box in around], ALL_FRAMES)
        if area is not None:
            rows = motion.still_writing(temporal, area)
            findings.add([Found(row.box, motion.NAME, 1.0) for row in rows], ALL_FRAMES)
            findings.detectors.add(motion.NAME)
        if declared:
            findings.detectors.add(REGIONS)

    def _look_at_others(
        self, dataset: FileDataset, findings: _Findings, declared: Sequence[Rectangle], until: float
    ) -> None:
        looks, seen = 0, set()
        for number, views in self._views(dataset, findings.layout):
            digest = blake2b(views[0].colour.tobytes(), digest_size=16).digest()
            if number in findings.examples or digest in seen:
                continue
            seen.add(digest)
            if self._late(findings, until):
                return
            open_to_see = ~covered(findings.shown_boxes(number), *views[0].bright.shape)
            if not any(even_rows(view, open_to_see) for view in views):
                findings.searched += 1
                continue
            looks += 1
            if looks > MOST_LOOKS:
                findings.doubts.append(f"more than {MOST_LOOKS} frames show writing of their own")
                return
            self._look_at(views, ALL_FRAMES, findings, declared)

    def _look_at(self, views: Sequence[Shown], frame: int, findings: _Findings, declared: Sequence[Rectangle]) -> None:
        findings.searched += 1
        findings.detectors |= {NETWORK, tophat.NAME}
        for view in views:
            seen = look(view, declared, self._detector)
            findings.add(seen.found, frame)
            self._note_doubt(seen, frame, findings)

    def _note_doubt(self, seen: Look, frame: int, findings: _Findings) -> None:
        if not seen.doubtful:
            return
        findings.add([Found(box, tophat.NAME, 0.5) for box in seen.doubtful], frame)
        findings.doubts.append("rows of glyphs over tissue that the text detector does not confirm")

    def _late(self, findings: _Findings, until: float) -> bool:
        late = self._clock() > until
        if late:
            findings.doubts.append(f"the search of its frames takes longer than {self._seconds:.0f} s")
        return late

    def _views(self, dataset: FileDataset, layout: Form) -> Iterator[tuple[int, list[Shown]]]:
        for number, values in enumerate(stored_frames(dataset, layout, self._decode)):
            yield number, shown(values, dataset, layout)

    def _doubt(self, findings: _Findings) -> str | None:
        if findings.doubts:
            return findings.doubts[0]
        if len(findings.boxes) > MOST_BOXES:
            return f"more than {MOST_BOXES} places look like text"
        share = _masked_share(findings)
        return f"masks would cover {share:.0%} of what is shown" if share > self._most else None

    def _mask(self, dataset: FileDataset, findings: _Findings) -> Overwritten | str | None:
        """The overwritten pixels after the result was searched again; a doubt where it still shows text."""
        done = overwrite(dataset, findings.layout, findings.boxes, self._decode)
        if not findings.boxes:
            return done
        for _ in range(ROUNDS):
            if not self._remains(_changed(dataset, done), findings):
                return self._doubt(findings) or done
            done = overwrite(dataset, findings.layout, findings.boxes, self._decode)
        return "text can still be read after masking" if self._remains(_changed(dataset, done), findings) else done

    def _remains(self, dataset: FileDataset, findings: _Findings) -> int:
        """Looks again at the frames that represent the others; returns how many new places it has noted."""
        layout = form(dataset)
        declared = regions.declared(dataset, layout.rows, layout.columns)
        shown_regions = [Rectangle(*(side // layout.factor for side in region)) for region in declared]
        cine = layout.frames > MOST_ALONE
        new = 0
        for number, views in self._views(dataset, layout):
            if number not in findings.examples or not findings.shown_boxes(number):
                continue
            for view in views:
                new += findings.add(look(view, shown_regions, self._detector).found, ALL_FRAMES if cine else number)
        return new

    def _held(self, findings: _Findings, doubt: str) -> SearchedPixels:
        picture = None
        if findings.examples:
            most = max(findings.examples, key=lambda number: sum(box.frame == number for box in findings.boxes))
            picture = preview(findings.examples[most][0].colour)
        return self._answer(replace(findings, boxes=findings.boxes[:MOST_BOXES]), None, doubt, picture)

    def _answer(
        self, findings: _Findings, done: Overwritten | None, doubt: str | None, picture: bytes | None = None
    ) -> SearchedPixels:
        finding = PixelFinding(
            frames=findings.layout.frames,
            searched_frames=min(findings.searched, findings.layout.frames),  # averages over time are looked at too
            boxes=tuple(findings.boxes),
            masked_share=round(_masked_share(findings), 4),
            doubt=doubt,
            detectors=tuple(sorted(findings.detectors)),
            provider=self._detector.provider,
        )
        if done is None:
            return SearchedPixels(finding, None, {}, picture)
        return SearchedPixels(finding, done.pixel_data, done.changes, picture)


def _masked_share(findings: _Findings) -> float:
    """Of the frames that represent the others: the share of pixels that are not black anyway and would become so."""
    shares = []
    for number, views in findings.examples.items():
        mask = covered(findings.shown_boxes(number), *views[0].bright.shape)
        shares.append(float((mask & (views[0].bright > _SEEN)).mean()))
    return float(np.mean(shares)) if shares else 0.0


def _changed(dataset: FileDataset, done: Overwritten | None) -> FileDataset:
    """The object as it would be read after masking."""
    assert done is not None  # noqa: S101 - there were boxes to overwrite
    changed = FileDataset("", {}, file_meta=None)
    changed.update(dataset)
    changed.file_meta = type(dataset.file_meta)(dataset.file_meta)
    changed.PixelData = done.pixel_data
    for tag, value in done.changes.items():
        if tag == TRANSFER_SYNTAX:
            changed.file_meta.TransferSyntaxUID = value
        else:
            changed[tag].value = value
    return changed
