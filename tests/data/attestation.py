"""Holds an attestation to the types that in-toto publishes.

    pip install in-toto-attestation
    evaluate --fail-under 80% --attestation statement.json
    python tests/data/attestation.py statement.json
"""

import json
import sys
from pathlib import Path

from google.protobuf import json_format
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1 import statement_pb2


def main(path):
    text = Path(path).read_text()
    statement = json_format.Parse(text, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    predicate = json.loads(text)["predicate"]
    # Consumers pass over extension fields.
    del predicate["ironbound"]
    result = json_format.ParseDict(predicate, test_result_pb2.TestResult())
    for descriptor in result.configuration:
        ResourceDescriptor.copy_from_pb(descriptor).validate()
    assert result.result in ("PASSED", "WARNED", "FAILED"), result.result
    print(f"{path} is valid: {result.result}")


main(*sys.argv[1:])
