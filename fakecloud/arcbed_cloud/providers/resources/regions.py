"""Azure's regions, as ``GET /subscriptions/{id}/locations`` lists them."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import orjson

REGIONS: list[dict[str, Any]] = orjson.loads((files(__package__) / "regions.json").read_bytes())
NAMES: tuple[str, ...] = tuple(region["name"] for region in REGIONS)


def locations(subscription_id: str) -> list[dict[str, Any]]:
    """The ``value`` of the locations list."""

    def reference(name: str) -> dict[str, str]:
        return {"name": name, "id": f"/subscriptions/{subscription_id}/locations/{name}"}

    return [
        {
            "id": f"/subscriptions/{subscription_id}/locations/{region['name']}",
            "name": region["name"],
            "type": "Region",
            "displayName": region["displayName"],
            "regionalDisplayName": f"({region['geographyGroup']}) {region['displayName']}",
            "metadata": {
                "regionType": "Physical",
                "regionCategory": region["category"],
                "geography": region["geography"],
                "geographyGroup": region["geographyGroup"],
                "longitude": region["longitude"],
                "latitude": region["latitude"],
                "physicalLocation": region["physicalLocation"],
                "pairedRegion": [reference(region["paired"])] if region["paired"] else [],
            },
        }
        for region in REGIONS
    ]
