"""Subscription and its notifications on the wire (R4 Subscription; Subscriptions R5 Backport 1.1.0 for R4)."""
