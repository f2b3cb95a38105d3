"""What dxgate sends to: the work queue, and the destinations of reports."""
