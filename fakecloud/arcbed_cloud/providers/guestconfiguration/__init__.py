"""Microsoft.GuestConfiguration: guest assignments on machines, and their reports."""

from __future__ import annotations

from arcbed_cloud.providers.guestconfiguration.assignments import KIND, GuestAssignments

__all__ = ["KIND", "GuestAssignments"]
