"""Trains the two small digit classifiers of the examples and writes them as ONNX, with their test images.

    python3 -m venv .venv
    .venv/bin/pip install numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 scikit-learn==1.9.1 torch==2.15.0
    .venv/bin/python examples/assets/train_digits.py

Writes digits_cnn.onnx (half of every batch is adversarial), digits_cnn_plain.onnx (none is) and digits_test.npz
beside this file, checks the ONNX files with onnxruntime, and prints what README.md records. Seeded and
single-threaded: one machine repeats itself bit for bit; another CPU may round differently and train slightly other weights.
"""

import hashlib
import io
import pathlib
import zipfile

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
SEED = 0
EPOCHS = 60
BATCH = 64
TRAIN_EPS = 0.1
TRAIN_STEPS = 7
REPORT_EPS = (0.05, 0.1, 0.2)


def digits():
    """(x, y) of the training and of the test split; x is f32, [n, 1, 8, 8], k/16 in [0, 1]."""
    data = load_digits()
    x = (data.data / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    y = data.target.astype(np.int64)
    x0, x1, y0, y1 = train_test_split(x, y, test_size=360, stratify=y, random_state=SEED)
    return (x0, y0), (x1, y1)


def network():
    torch.manual_seed(SEED)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def pgd(model, x, y, eps, steps, step, random=None):
    """Linf PGD on the cross-entropy within [0, 1]; the last iterate."""
    adv = x.clone()
    if random is not None:
        adv = (x + eps * (2 * torch.rand(x.shape, generator=random) - 1)).clamp(0, 1)
    for _ in range(steps):
        adv.requires_grad_(True)
        (grad,) = torch.autograd.grad(F.cross_entropy(model(adv), y, reduction="sum"), adv)
        adv = adv.detach() + step * grad.sign()
        adv = torch.max(torch.min(adv, x + eps), x - eps).clamp(0, 1)
    return adv


def train(x, y, adversarial):
    model = network()
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    random = torch.Generator().manual_seed(SEED)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x), generator=random).split(BATCH):
            bx, by = x[rows].clone(), y[rows]
            if adversarial:
                half = len(rows) // 2
                bx[:half] = pgd(model, bx[:half], by[:half], TRAIN_EPS, TRAIN_STEPS, TRAIN_EPS / 4, random)
            optimiser.zero_grad()
            F.cross_entropy(model(bx), by).backward()
            optimiser.step()
        schedule.step()
    return model.eval()


def to_onnx(model, name):
    """The graph, built by hand so that names are stable and nothing else is in the file."""
    layers = {"conv1": 0, "conv2": 2, "fc1": 6, "fc2": 8}
    weights = [
        numpy_helper.from_array(getattr(model[index], part).detach().numpy(), f"{layer}.{part}")
        for layer, index in layers.items()
        for part in ("weight", "bias")
    ]

    def node(op, name, source, out=None, **attributes):
        parameters = [f"{name}.weight", f"{name}.bias"] if name in layers else []
        return helper.make_node(op, [source, *parameters], [out or name], name=name, **attributes)

    conv = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", "conv1", "image", **conv),
        node("Relu", "relu1", "conv1"),
        node("Conv", "conv2", "relu1", **conv),
        node("Relu", "relu2", "conv2"),
        node("MaxPool", "pool", "relu2", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "flatten", "pool", axis=1),
        node("Gemm", "fc1", "flatten", transB=1),
        node("Relu", "relu3", "fc1"),
        node("Gemm", "fc2", "relu3", out="logits", transB=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])
    graph = helper.make_graph(nodes, name, [image], [logits], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="ironbound")
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString()


def save_npz(path, **arrays):
    """np.savez_compressed, but without the time of day: the same arrays give the same bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for key, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            entry = zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, buffer.getvalue(), compresslevel=9)


def describe(path):
    data = path.read_bytes()
    print(f"{path.name}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    (x0, y0), (x1, y1) = digits()
    # k/16 is exact in half precision.
    assert (x1.astype(np.float16).astype(np.float32) == x1).all()
    save_npz(HERE / "digits_test.npz", x=x1.astype(np.float16), y=y1)
    describe(HERE / "digits_test.npz")
    x, y = torch.from_numpy(x1), torch.from_numpy(y1)

    for name, adversarial in (("digits_cnn", True), ("digits_cnn_plain", False)):
        model = train(x0, y0, adversarial)
        path = HERE / f"{name}.onnx"
        path.write_bytes(to_onnx(model, name))
        describe(path)
        want = model(x).detach().numpy()
        (got,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"image": x1})
        print(f"  largest difference between onnxruntime and torch: {np.abs(got - want).max():.2e}")
        print(f"  clean: {(got.argmax(1) == y1).mean():.4f}")
        for eps in REPORT_EPS:
            right = model(pgd(model, x, y, eps, 40, eps / 10)).argmax(1) == y
            print(f"  PGD-40, eps {eps}: {(right & (model(x).argmax(1) == y)).float().mean():.4f}")


if __name__ == "__main__":
    main()
