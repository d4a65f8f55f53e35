"""PID 1 of a machine that is a container: a supervisor of systemd units where systemd itself cannot run.

Python's standard library only: it must run before, without and after the agent.
"""
