"""What stories and tests are written with: `Bed`, its `Cloud` and its `Machine`s."""

from arcbed.harness.arm import Answer, Arm, Principal
from arcbed.harness.bed import Bed
from arcbed.harness.cloud import Cloud
from arcbed.harness.contract import CloudOptions
from arcbed.harness.errors import BedError, CheckError, NotCoveredError, NotReadyError, ProcessDiedError
from arcbed.harness.machine import Machine, Token
from arcbed.harness.places import DOCKER, PROCESS
from arcbed.harness.process import Completed

__all__ = [
    "DOCKER",
    "PROCESS",
    "Answer",
    "Arm",
    "Bed",
    "BedError",
    "CheckError",
    "Cloud",
    "CloudOptions",
    "Completed",
    "Machine",
    "NotCoveredError",
    "NotReadyError",
    "Principal",
    "ProcessDiedError",
    "Token",
]
