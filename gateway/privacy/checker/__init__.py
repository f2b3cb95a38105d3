"""The independent checker: proves on the finished file what the engine claims to have done.

Other code than the engine on purpose: it reads with pydicom, compiles Table E.1-1 anew and shares no module with
what it judges (a contract of import-linter), so that one mistake cannot hide itself. PS3.15 annex E.
"""
