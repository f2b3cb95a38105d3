"""DICOM server: an own upper-layer transport (PS3.8) with C-ECHO and C-STORE (PS3.7), and room for services.

Own because the receiving path must be fast, bounded against hostile peers and idle at no cost.
"""
