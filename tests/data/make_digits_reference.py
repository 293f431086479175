"""Writes digits_reference.json beside this file: what PyTorch in float64 makes of examples/assets/digits_cnn.onnx.

Needs the packages that examples/assets/train_digits.py names (numpy, onnx, torch).

  samples     the first 8 test images: label, logits, cross-entropy and its gradient by the input (64 numbers, C order)
  clean       1 where the model is right, for all 360
  attacks     Linf, bounds [0, 1], untargeted, eps 0.1, cross-entropy, start at the clean image. `robust` is 1 where the
              model is right on the clean image and on the attack's result:
                fgsm      one step of eps
                pgd_last  40 steps of eps / 10, judged at the last iterate only
                pgd_best  the same steps, broken if any iterate is misclassified
              `unsettled` lists the samples whose flag differs when the same attack runs in float32.
"""

import json
import pathlib

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
ASSETS = HERE.parent.parent / "examples" / "assets"
EPS = 0.1
STEPS = 40
SAMPLES = 8


def network(dtype):
    graph = onnx.load(ASSETS / "digits_cnn.onnx").graph
    w = {t.name: torch.tensor(numpy_helper.to_array(t)).to(dtype) for t in graph.initializer}

    def forward(x):
        x = F.relu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"], padding=1))
        x = F.relu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"], padding=1))
        x = F.max_pool2d(x, 2).flatten(1)
        x = F.relu(F.linear(x, w["fc1.weight"], w["fc1.bias"]))
        return F.linear(x, w["fc2.weight"], w["fc2.bias"])

    return forward


def gradient(model, x, y):
    x = x.clone().requires_grad_(True)
    loss = F.cross_entropy(model(x), y, reduction="none")
    (grad,) = torch.autograd.grad(loss.sum(), x)
    return loss.detach(), grad


def attack(model, x, y, steps, step):
    """Whether each sample is still right at the last iterate, and at every iterate including the clean image."""
    adv = x
    last = every = model(x).argmax(1) == y
    clean = last
    for _ in range(steps):
        _, grad = gradient(model, adv, y)
        adv = adv + step * grad.sign()
        adv = torch.max(torch.min(adv, x + EPS), x - EPS).clamp(0, 1)
        last = clean & (model(adv).argmax(1) == y)
        every = every & last
    return last, every


def attacks(dtype, x, y):
    model, x = network(dtype), x.to(dtype)
    fgsm, _ = attack(model, x, y, 1, EPS)
    last, best = attack(model, x, y, STEPS, EPS / 10)
    return {"fgsm": fgsm, "pgd_last": last, "pgd_best": best}


def nine(values):
    return [float(f"{v:.9g}") for v in np.asarray(values).ravel()]


def main():
    torch.set_num_threads(1)
    data = np.load(ASSETS / "digits_test.npz")
    x = torch.from_numpy(data["x"].astype(np.float64))
    y = torch.from_numpy(data["y"])
    model = network(torch.float64)
    logits = model(x)
    loss, grad = gradient(model, x[:SAMPLES], y[:SAMPLES])
    samples = [
        {
            "label": int(y[i]),
            "logits": nine(logits[i]),
            "cross_entropy": float(f"{loss[i]:.9g}"),
            "gradient": nine(grad[i]),
        }
        for i in range(SAMPLES)
    ]
    double, single = attacks(torch.float64, x, y), attacks(torch.float32, x, y)
    record = {
        "model": "examples/assets/digits_cnn.onnx",
        "data": "examples/assets/digits_test.npz",
        "samples": samples,
        "clean": (logits.argmax(1) == y).int().tolist(),
        "attacks": {
            name: {
                "norm": "linf",
                "eps": EPS,
                "steps": 1 if name == "fgsm" else STEPS,
                "rel_step": 1.0 if name == "fgsm" else 0.1,
                "robust_accuracy": double[name].double().mean().item(),
                "robust": double[name].int().tolist(),
                "unsettled": (double[name] != single[name]).nonzero().ravel().tolist(),
            }
            for name in double
        },
    }
    text = json.dumps(record, separators=(",", ":")).replace('"clean"', '\n"clean"').replace("},", "},\n")
    (HERE / "digits_reference.json").write_text(text + "\n")
    for name, entry in record["attacks"].items():
        print(name, entry["robust_accuracy"], "unsettled", entry["unsettled"])


if __name__ == "__main__":
    main()
