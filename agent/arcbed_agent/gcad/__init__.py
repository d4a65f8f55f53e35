"""The guest configuration agent: pulls assignments, evaluates packages, reports."""
