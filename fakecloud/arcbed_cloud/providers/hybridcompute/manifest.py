"""Where machines can be, and the row of the table that they are, without its verbs.

Source: the provider document of Microsoft.HybridCompute as ARM answered it in October 2024.
"""

from __future__ import annotations

from arcbed_cloud.arm.table import ResourceType, Scope
from arcbed_cloud.providers.hybridcompute.schemas import SCHEMAS
from arcbed_cloud.providers.hybridcompute.versions import API_VERSIONS

NAMESPACE = "Microsoft.HybridCompute"
# One name is spelled in lower case in ARM's own answer.
REGIONS = (
    "West Central US",
    "West US 2",
    "West Europe",
    "Southeast Asia",
    "East US",
    "Australia East",
    "South Central US",
    "East US 2",
    "North Europe",
    "France Central",
    "Japan East",
    "UK South",
    "East Asia",
    "Canada Central",
    "Korea Central",
    "North Central US",
    "West US",
    "West US 3",
    "Central US",
    "UK West",
    "Germany West Central",
    "Brazil South",
    "Switzerland North",
    "UAE North",
    "Central India",
    "Canada East",
    "South Africa North",
    "Sweden Central",
    "Australia Southeast",
    "Norway East",
    "Italy North",
    "South India",
    "Israel Central",
    "japan west",
    "Qatar Central",
    "East US 2 EUAP",
    "Central US EUAP",
)
# The row of the table without its verbs: what validation of machines goes by.
MACHINE_TYPE = ResourceType(
    namespace=NAMESPACE,
    path="machines",
    scope=Scope.GROUP,
    api_versions=API_VERSIONS,
    verbs=(),
    name_parameter="machineName",
    locations=REGIONS,
    name_pattern=r"[a-zA-Z0-9\-_.]{1,54}",
    tracked=True,
    capabilities=(
        "CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, SystemAssignedResourceIdentity, "
        "SupportsTags, SupportsLocation"
    ),
    schemas=SCHEMAS,
)
