"""What is known of a provider's namespace besides its types: the first-party applications that act for it.

Application ids as the live provider documents of October 2024 show them.
"""

from __future__ import annotations

# Namespace -> application ids in `authorizations`. All of these need registration unless `registration.FREE`
# has them.
NAMESPACES: dict[str, tuple[str, ...]] = {
    "Microsoft.Authorization": (),
    "Microsoft.GuestConfiguration": (),
    "Microsoft.HybridCompute": (
        "8c420feb-03df-47cc-8a05-55df0cf3064b",
        "d2a590e7-6906-4a45-8f41-cecfdca9bca1",
        "5e5e43d4-54da-4211-86a4-c6e7f3715801",
        "d00b5d58-cae5-42ad-ae0a-5a2e6f7ee6c9",
        "c8f5141d-83e0-4e9a-84d0-bb6677e26f64",
        "eec53b1f-b9a4-4479-acf5-6b247c6a49f2",
        "5a8800f2-f31d-4654-9bed-f5b368c703f8",
        "5bab4c7f-51c3-479b-a199-06b31afecc8f",
        "ac9dc5fe-b644-4832-9d03-d9f1ab70c5f7",
    ),
    "Microsoft.HybridConnectivity": (
        "e18cedde-9458-482f-9dd1-558c597ac42e",
        "aacceff9-8ec3-413c-83eb-cb131aaf55c6",
        "9449a792-6831-40e2-9097-29dbc6dd4753",
    ),
    "Microsoft.Insights": (),
    "Microsoft.PolicyInsights": (),
    "Microsoft.Resources": (),
}
