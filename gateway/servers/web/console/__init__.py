"""The console: what administrators, auditors, physicians and privacy officers see in a browser; every view is audited.

It changes one thing only: what becomes of objects that are held or in quarantine.
"""
