from __future__ import annotations

from typing import Any

from flows import config


def test_every_key_has_a_description_and_sections_are_closed() -> None:
    schema = config.json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    sections = [schema, *schema["$defs"].values()]
    objects = [section for section in sections if section.get("type") == "object"]
    assert len(objects) >= 12
    assert all(section["additionalProperties"] is False for section in objects)
    unsaid = [
        f"{section.get('title')}.{key}"
        for section in objects
        for key, value in section["properties"].items()
        if not _description(value, schema)
    ]
    assert unsaid == []


def _description(value: dict[str, Any], schema: dict[str, Any]) -> str:
    if "description" in value:
        return str(value["description"])
    name = value.get("$ref", "").rsplit("/", 1)[-1]
    return str(schema["$defs"].get(name, {}).get("description", ""))
