"""arcbed: a testbed for Azure Arc-enabled servers."""

__version__ = "0.1.0"
