"""A cloud's instance metadata service, for machines that are to find themselves in one."""

from arcbed_cloud.services.imds.instances import Instances
from arcbed_cloud.services.imds.router import PROVIDERS, imds_app

__all__ = ["PROVIDERS", "Instances", "imds_app"]
