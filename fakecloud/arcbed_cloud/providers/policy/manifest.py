"""The rows of policy in the table of resource types."""

from __future__ import annotations

from typing import Any

from arcbed_cloud.arm.table import On, ResourceType, Scope, Verb
from arcbed_cloud.providers.policy import schemas
from arcbed_cloud.providers.policy.assignments import PolicyAssignments
from arcbed_cloud.providers.policy.definitions import Definitions
from arcbed_cloud.providers.policy.exemptions import Exemptions
from arcbed_cloud.providers.policy.insights import NAMESPACE, PolicyStates
from arcbed_cloud.providers.policy.remediations import Remediations

AUTHORIZATION = "Microsoft.Authorization"
# 2025-11-01 and 2026-01-01-preview are what version 2.91 of the Azure CLI asks for.
DEFINITION_VERSIONS = [
    "2026-06-01",
    "2025-11-01",
    "2025-03-01",
    "2025-01-01",
    "2024-05-01",
    "2023-04-01",
    "2021-06-01",
    "2020-09-01",
    "2020-03-01",
    "2019-09-01",
    "2019-06-01",
    "2019-01-01",
    "2018-05-01",
]
ASSIGNMENT_VERSIONS = [
    "2026-06-01",
    "2025-11-01",
    "2025-03-01",
    "2025-01-01",
    "2024-05-01",
    "2024-04-01",
    "2023-04-01",
    "2022-06-01",
    "2021-06-01",
    "2020-09-01",
    "2020-03-01",
    "2019-09-01",
    "2019-06-01",
]
EXEMPTION_VERSIONS = [
    "2026-01-01-preview",
    "2024-12-01-preview",
    "2022-07-01-preview",
    "2020-07-01-preview",
]
STATE_VERSIONS = ["2024-10-01", "2019-10-01"]
REMEDIATION_VERSIONS = ["2024-10-01", "2021-10-01", "2019-07-01"]


def _verb(operation_id: str, method: str, handler: Any, success: tuple[int, ...], **more: Any) -> Verb:
    more = {"on": On.ITEM, **more}
    return Verb(operation_id=operation_id, method=method, handler=handler, success=success, **more)


def definitions(handlers: Definitions) -> ResourceType:
    """PolicyDefinitions_*."""
    return _definitions(handlers, "policyDefinitions", "PolicyDefinition", (201,), schemas.DEFINITIONS)


def initiatives(handlers: Definitions) -> ResourceType:
    """PolicySetDefinitions_*."""
    return _definitions(handlers, "policySetDefinitions", "PolicySetDefinition", (200, 201), schemas.SETS)


def _definitions(
    handlers: Definitions, path: str, schema: str, written: tuple[int, ...], known: dict[str, Any]
) -> ResourceType:
    group = f"{schema}s"
    listed: dict[str, Any] = {"answer": f"{schema}ListResult", "parameters": ("$filter", "$top")}
    return ResourceType(
        namespace=AUTHORIZATION,
        path=path,
        scope=Scope.ANY,
        api_versions=DEFINITION_VERSIONS,
        name_pattern=r"[^<>*%&:?.+/\\]{1,128}",
        name_parameter=f"{path[:-1]}Name",
        schemas=known,
        shown=Scope.SUBSCRIPTION,
        verbs=(
            _verb(
                f"{group}_ListBuiltIn",
                "GET",
                handlers.list_all,
                (200,),
                on=On.TENANT_LIST,
                permission="",
                **listed,
            ),
            _verb(f"{group}_List", "GET", handlers.list_all, (200,), on=On.SUBSCRIPTION_LIST, **listed),
            _verb(f"{group}_Get", "GET", handlers.get, (200,), answer=schema, permission=""),
            _verb(
                f"{group}_CreateOrUpdate",
                "PUT",
                handlers.put,
                written,
                body=f"{schema}Parameters",
                answer=schema,
            ),
            _verb(f"{group}_Delete", "DELETE", handlers.delete, (200, 204)),
        ),
    )


def assignments(handlers: PolicyAssignments) -> ResourceType:
    """PolicyAssignments_*."""
    one = {"answer": "PolicyAssignment"}
    listed: dict[str, Any] = {"answer": "PolicyAssignmentListResult", "parameters": ("$filter", "$top")}
    return ResourceType(
        namespace=AUTHORIZATION,
        path="policyAssignments",
        scope=Scope.ANY,
        api_versions=ASSIGNMENT_VERSIONS,
        name_pattern=r"[^<>*%&:?.+/\\]{1,128}",
        name_parameter="policyAssignmentName",
        schemas=schemas.ASSIGNMENTS,
        on_delete=handlers.on_delete,
        verbs=(
            _verb(
                "PolicyAssignments_List", "GET", handlers.list_all, (200,), on=On.SUBSCRIPTION_LIST, **listed
            ),
            _verb(
                "PolicyAssignments_ListForResourceGroup",
                "GET",
                handlers.list_all,
                (200,),
                on=On.GROUP_LIST,
                **listed,
            ),
            _verb("PolicyAssignments_Get", "GET", handlers.get, (200,), **one),
            _verb(
                "PolicyAssignments_Create",
                "PUT",
                handlers.put,
                (201,),
                body="PolicyAssignmentParameters",
                **one,
            ),
            _verb(
                "PolicyAssignments_Update",
                "PATCH",
                handlers.update,
                (200,),
                body="PolicyAssignmentUpdate",
                since="2021-06-01",
                **one,
            ),
            _verb("PolicyAssignments_Delete", "DELETE", handlers.delete, (200, 204), **one),
        ),
    )


def exemptions(handlers: Exemptions) -> ResourceType:
    """PolicyExemptions_*."""
    one = {"answer": "PolicyExemption"}
    listed: dict[str, Any] = {"answer": "PolicyExemptionListResult", "parameters": ("$filter", "$top")}
    return ResourceType(
        namespace=AUTHORIZATION,
        path="policyExemptions",
        scope=Scope.ANY,
        api_versions=EXEMPTION_VERSIONS,
        name_pattern=r"[^<>*%&:?.+/\\]{1,128}",
        name_parameter="policyExemptionName",
        schemas=schemas.EXEMPTIONS,
        verbs=(
            _verb(
                "PolicyExemptions_List", "GET", handlers.list_all, (200,), on=On.SUBSCRIPTION_LIST, **listed
            ),
            _verb(
                "PolicyExemptions_ListForResourceGroup",
                "GET",
                handlers.list_all,
                (200,),
                on=On.GROUP_LIST,
                **listed,
            ),
            _verb("PolicyExemptions_Get", "GET", handlers.get, (200,), **one),
            _verb(
                "PolicyExemptions_CreateOrUpdate",
                "PUT",
                handlers.put,
                (200, 201),
                body="PolicyExemptionParameters",
                **one,
            ),
            _verb("PolicyExemptions_Delete", "DELETE", handlers.delete, (200, 204)),
        ),
    )


def states(handlers: PolicyStates) -> list[ResourceType]:
    """PolicyStates_*: queries are reads to RBAC, whoever may read may ask."""
    read = f"{NAMESPACE}/policyStates"
    options = ("$top", "$filter", "$select", "$orderby", "$from", "$to", "$apply", "$skiptoken", "$expand")
    found = ResourceType(
        namespace=NAMESPACE,
        path="policyStates",
        scope=Scope.ANY,
        api_versions=STATE_VERSIONS,
        name_parameter="policyStatesResource",
        schemas=schemas.STATES,
        verbs=(
            _verb(
                "PolicyStates_ListQueryResultsForResourceGroup",
                "POST",
                handlers.query,
                (200,),
                on=On.ACTION,
                action="queryResults",
                permission=f"{read}/queryResults/read",
                answer="PolicyStatesQueryResults",
                parameters=options,
                logged=False,
            ),
            _verb(
                "PolicyStates_SummarizeForResourceGroup",
                "POST",
                handlers.summarize,
                (200,),
                on=On.ACTION,
                action="summarize",
                permission=f"{read}/summarize/read",
                answer="SummarizeResults",
                parameters=("$filter", "$from", "$to"),
                logged=False,
            ),
            _verb(
                "PolicyStates_TriggerResourceGroupEvaluation",
                "POST",
                handlers.trigger,
                (200, 202),
                on=On.ACTION,
                action="triggerEvaluation",
            ),
        ),
    )
    results = ResourceType(
        namespace=NAMESPACE,
        path="asyncOperationResults",
        scope=Scope.ANY,
        api_versions=STATE_VERSIONS,
        name_parameter="operationId",
        verbs=(_verb("AsyncOperationResults_Get", "GET", handlers.result, (200, 202), permission=""),),
    )
    return [found, results]


def remediations(handlers: Remediations) -> ResourceType:
    """Remediations_*."""
    one = {"answer": "Remediation"}
    return ResourceType(
        namespace=NAMESPACE,
        path="remediations",
        scope=Scope.ANY,
        api_versions=REMEDIATION_VERSIONS,
        name_pattern=r"[^<>*%&:?+/\\]{1,260}",
        name_parameter="remediationName",
        schemas=schemas.REMEDIATIONS,
        verbs=(
            _verb(
                "Remediations_ListForResourceGroup",
                "GET",
                handlers.list_all,
                (200,),
                on=On.GROUP_LIST,
                answer="RemediationListResult",
                parameters=("$filter", "$top"),
            ),
            _verb("Remediations_GetAtResourceGroup", "GET", handlers.get, (200,), **one),
            _verb(
                "Remediations_CreateOrUpdateAtResourceGroup",
                "PUT",
                handlers.put,
                (200, 201),
                body="RemediationParameters",
                **one,
            ),
            _verb("Remediations_DeleteAtResourceGroup", "DELETE", handlers.delete, (200, 204), **one),
            _verb(
                "Remediations_CancelAtResourceGroup",
                "POST",
                handlers.cancel,
                (200,),
                on=On.ACTION,
                action="cancel",
                **one,
            ),
            _verb(
                "Remediations_ListDeploymentsAtResourceGroup",
                "POST",
                handlers.deployments,
                (200,),
                on=On.ACTION,
                action="listDeployments",
                answer="RemediationDeploymentsListResult",
                parameters=("$top",),
                logged=False,
            ),
        ),
    )
