"""Holds renderings to schemas that others publish.

    git clone https://github.com/jenkinsci/xunit-plugin
    git clone https://github.com/oasis-tcs/sarif-spec
    pip install xmlschema jsonschema
    python tests/data/renderings.py report.xml report.sarif \\
        xunit-plugin/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd \\
        sarif-spec/sarif-2.1/schema/sarif-schema-2.1.0.json
"""

import json
import sys
from pathlib import Path

import jsonschema
import xmlschema


def main(junit, sarif, junit_schema, sarif_schema):
    xmlschema.XMLSchema(junit_schema).validate(junit)
    schema, log = (json.loads(Path(path).read_text()) for path in (sarif_schema, sarif))
    validator = jsonschema.Draft4Validator
    validator(schema, format_checker=validator.FORMAT_CHECKER).validate(log)
    print("both are valid")


main(*sys.argv[1:])
