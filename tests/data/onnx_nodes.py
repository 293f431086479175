"""Writes onnx_nodes.zip beside this file: ONNX's own backend node tests that have a float input.

Needs onnx and numpy. The package generates the cases: models of one node, inputs, and outputs of a NumPy reference.
A case is two entries:

  NAME.onnx   the model
  NAME.pb     a GraphProto whose initializers are the inputs and the expected outputs, under the names of the graph

Left out, and counted at the end: cases without a float tensor among their inputs, with sequences or optionals, with
a tensor of more than ELEMENTS elements, and the `_expanded` ones (the same cases as graphs of other operators).
"""

import collections
import pathlib
import warnings
import zipfile

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

HERE = pathlib.Path(__file__).parent
ELEMENTS = 3000
FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}


def tensor(value, info):
    """The value as a tensor of its declared type; None where it is no dense tensor of a plain type."""
    if isinstance(value, onnx.TensorProto):
        named = onnx.TensorProto()
        named.CopyFrom(value)
        named.name = info.name
        return named
    if isinstance(value, (list, dict)) or value is None or not info.type.HasField("tensor_type"):
        return None
    return numpy_helper.from_array(np.asarray(value), info.name)


def record(case):
    """(graph of tensors, reason): one of them None."""
    graph = case.model.graph
    # Inputs that a node is given under an empty name are no inputs of the graph.
    inputs, outputs = case.data_sets[0]
    if len(inputs) != len(graph.input) or len(outputs) != len(graph.output):
        return None, "inputs that do not match the graph"
    tensors = []
    for values, infos in ((inputs, graph.input), (outputs, graph.output)):
        for value, info in zip(values, infos):
            made = tensor(value, info)
            if made is None:
                return None, "sequences, maps or optionals"
            if np.prod(made.dims) > ELEMENTS:
                return None, f"a tensor of more than {ELEMENTS} elements"
            tensors.append(made)
    if not any(made.data_type in FLOATS for made in tensors[: len(inputs)]):
        return None, "no float input"
    return onnx.GraphProto(initializer=tensors), None


def main():
    warnings.filterwarnings("ignore")
    left_out = collections.defaultdict(list)
    kept = 0
    with zipfile.ZipFile(HERE / "onnx_nodes.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:

        def put(name, data):
            # A fixed date, so that the same cases give the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED, 9)

        for case in sorted(collect_testcases(None), key=lambda case: case.name):
            if case.name.endswith("_expanded") or "_expanded_" in case.name:
                left_out["expanded"].append(case.name)
                continue
            tensors, reason = record(case)
            if reason:
                left_out[reason].append(case.name)
                continue
            put(f"{case.name}.onnx", case.model.SerializeToString(deterministic=True))
            put(f"{case.name}.pb", tensors.SerializeToString(deterministic=True))
            kept += 1
    print(f"onnx {onnx.__version__}: kept {kept}")
    for reason, names in left_out.items():
        print(f"left out, {reason}: {len(names)}" + ("" if len(names) > 60 else f" ({', '.join(names)})"))


if __name__ == "__main__":
    main()
