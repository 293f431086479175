"""Holds our own files to the schemas under docs/, by a library for all of JSON Schema.

    pip install jsonschema
    evaluate --json report.json; evaluate --json again.json; compare report.json again.json --json comparison.json
    python tests/data/schemas.py report.json comparison.json
"""

import json
import sys
from pathlib import Path

from jsonschema import Draft202012Validator

DOCS = Path(__file__).parents[2] / "docs"


def main(*paths):
    for name, path in zip(("report", "comparison"), paths):
        schema = json.loads((DOCS / f"{name}.schema.json").read_text())
        Draft202012Validator.check_schema(schema)
        record = json.loads(Path(path).read_text())
        validator = Draft202012Validator(schema)
        validator.validate(record)
        # Of every field, a value of another type is refused.
        for holder, key in list(places(record)):
            kept, holder[key] = holder[key], {"wrong": [None]}
            if key not in ("params", "options", "change"):
                assert not validator.is_valid(record), f"{path}: {key} is not described"
            holder[key] = kept
        print(f"{path} is valid")


def places(value):
    """Every field of an object, but for what attacks and models say about themselves."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            if key not in ("params", "options", "change"):
                yield from places(inner)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield from places(value[0])


main(*sys.argv[1:])
