"""Writes gateway/privacy/data/given_names.txt: frequent given names, for finding names in text that no cue announces.

Use: `python deploy/tools/given_names.py FOLDER`, the folder holding dist.male.first and dist.female.first of the
U.S. Census Bureau (1990; public domain; shipped in the package `names` 0.3.0 on PyPI). Words that reports use for
other things are left out here, so that the list itself stays a plain fact.
"""

from __future__ import annotations

import sys
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "gateway" / "privacy" / "data" / "given_names.txt"
SHARE = 85.0  # of the population, cumulated
_ALSO_WORDS_TEXT = """
AMERICA AMBER AN ANGEL APRIL ART ASIA AUGUST AURORA AUSTIN BABY BEAU BILL BLAIR BO BRANDY BRIDGET BROOK BUCK BUD BUDDY
CANDY CARLTON CAROLINA CARY CHANCE CHARITY CHASE CHASITY CHERRY CHINA CHRISTIAN CLAY CLIFF COLE COLON CONSTANCE CORA
COREY CORY CRYSTAL CURT DAISY DALE DALLAS DAWN DEE DESTINY DICK DION DOC DOLLY DON DOT DREW DUSTY EARL EBONY EDEN
FAITH FELICITY FERN FLORENCE FORREST FOSTER FRANK FRANCE GAIL GALE GARLAND GENE GENEVA GEORGIA GINGER GLEN GOLDEN
GRACE GRANT GUY HARMONY HEATH HEATHER HOLLY HOMER HONG HOPE HOUSTON HUNG HUNTER INDIA IRIS ISRAEL IVORY IVY JACK
JACKSON JADE JAY JET JEWEL JIM JORDAN JOY JUNE JUSTICE KENYA KING KIT KITTY LACY LANCE LANE LAVERNE LEE LILY LINCOLN
LINDEN LONDON LONG LOREN LOVE MA MACK MADISON MAE MAJOR MAN MARINA MARK MARSHALL MASON MAX MAY MELODY MERCY MERLE
MERRY MIGUELINA MILES MIN MINH MISTY MONTANA MYRTLE NICKY NORMA OLIVE OPAL ORA PAIGE PARIS PARKER PAT PATIENCE PEARL
PENNY PEPPER PIERCE PORTER PRECIOUS PRINCE QUEEN QUINN RAY REED RICH RIVER ROB ROBIN ROCKY ROD ROSE ROSEMARY ROYAL
RUBY RUSTY SANDY SAVANNAH SHELBY SIERRA SKY SON SONG STAR STERLING STORM SUMMER SUN SUNNY SUNSHINE SYDNEY TAMPA TERRA
THE TRINITY TROY TRUMAN TUESDAY VAL VAN VICTOR VIOLA VIOLET VIRGINIA WARD WARREN WEDNESDAY WILL WINTER WREN YOUNG
"""
ALSO_WORDS = frozenset(_ALSO_WORDS_TEXT.split())


def frequent(folder: Path) -> list[str]:
    """Names in upper case, those of either list that make up the first share of the population."""
    found = set()
    for name in ("dist.male.first", "dist.female.first"):
        for line in (folder / name).read_text("ascii").splitlines():
            word, _, cumulated, _ = line.split()
            if float(cumulated) <= SHARE and len(word) > 2:
                found.add(word)
    return sorted(found - ALSO_WORDS)


if __name__ == "__main__":
    FILE.write_text("\n".join(frequent(Path(sys.argv[1]))) + "\n", "ascii")
