"""The testbed's own API: health for everyone, the rest behind a token on a listener of its own."""
