"""The JSON Schema of a charter, for editors: `python -m trueline.charter.schema_json > docs/charter.schema.json`."""

from __future__ import annotations

import json

from trueline.charter.schema import Charter


def json_schema() -> str:
    """The schema as pretty JSON text."""
    schema = Charter.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Trueline charter, version 1"
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(json_schema(), end="")
