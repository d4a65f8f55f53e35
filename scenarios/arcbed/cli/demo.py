"""``arcbed demo``."""


def demo() -> None:
    """Onboard a machine, use its identity, remove it: the main job, shown step by step."""
