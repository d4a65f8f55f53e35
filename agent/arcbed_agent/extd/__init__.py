"""The extension manager: brings extension handlers to where Azure wants them, and reports how it went."""
