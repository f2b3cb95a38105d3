"""What listens, stores, decides and delivers."""

__version__ = "0.1.0"
