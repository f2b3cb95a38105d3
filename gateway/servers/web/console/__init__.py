"""The console: what an administrator, auditor or physician sees in a browser. Read-only; every view is audited."""
