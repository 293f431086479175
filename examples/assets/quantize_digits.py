"""Quantises the plain digit classifier to 8 bits, as onnxruntime exports it: QuantizeLinear and DequantizeLinear nodes.

    (the environment of train_digits.py, with onnxruntime==1.32.0)
    .venv/bin/python examples/assets/quantize_digits.py

Writes digits_cnn_int8.onnx beside this file, calibrated on the training images, and prints what README.md and
tests/quantised.rs record. It changes no weight of digits_cnn_plain.onnx and draws nothing at random.
"""

import tempfile
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from train_digits import HERE, describe, digits


class Images(CalibrationDataReader):
    def __init__(self, x):
        self.rows = iter(x)

    def get_next(self):
        row = next(self.rows, None)
        return None if row is None else {"image": row[None]}


def main():
    (x0, _), (x1, y1) = digits()
    path = HERE / "digits_cnn_int8.onnx"
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder) / "made.onnx"
        quantize_static(
            HERE / "digits_cnn_plain.onnx",
            made,
            Images(x0),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        model = onnx.load(made)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    describe(path)
    options = onnxruntime.SessionOptions()
    # As the file says, node by node: fused integer kernels round elsewhere.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"image": x1})
    (float_logits,) = onnxruntime.InferenceSession(
        HERE / "digits_cnn_plain.onnx", providers=["CPUExecutionProvider"]
    ).run(None, {"image": x1})
    print(f"  right: {(logits.argmax(1) == y1).sum()} of {len(y1)}")
    print(f"  first logits: {np.round(logits[0], 5).tolist()}")
    print(f"  as the float model predicts: {(logits.argmax(1) == float_logits.argmax(1)).sum()} of {len(y1)}")


if __name__ == "__main__":
    main()
