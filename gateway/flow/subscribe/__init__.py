"""Steps of subscriptions: who wants to hear of a write, and telling him (R4 Subscription; Backport 1.1.0)."""
