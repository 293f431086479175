"""APGD on cross-entropy, then targeted APGD over nine classes, in PyTorch: what tests/reference_robustness.rs is held to.

    python tests/data/apgd_reference.py ../shared/reference mnist2x10

Prints per AutoAttack result of a model how many samples stay robust, for three seeds, and which of those AutoAttack broke.
The network is run from its ONNX nodes, those that the small reference models have. Needs torch, onnx and numpy.
"""

import json
import pathlib
import sys

import numpy
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper


class Network:
    def __init__(self, path):
        self.graph = onnx.load(path).graph
        self.constants = {i.name: torch.tensor(numpy_helper.to_array(i)) for i in self.graph.initializer}
        self.input = next(i for i in self.graph.input if i.name not in self.constants)
        self.shape = [d.dim_value for d in self.input.type.tensor_type.shape.dim][1:]

    def __call__(self, x):
        values = dict(self.constants)
        values[self.input.name] = x.reshape(-1, *self.shape)
        for node in self.graph.node:
            at = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            values[node.output[0]] = self.node(node.op_type, [values[i] for i in node.input], at, len(x))
        return values[self.graph.output[0].name]

    @staticmethod
    def node(op, a, at, rows):
        if op == "Constant":
            return torch.tensor(numpy_helper.to_array(at["value"]))
        if op in ("Flatten", "Reshape"):
            return a[0].reshape(rows, -1)
        if op == "Gemm":
            return a[0] @ (a[1].T if at.get("transB") else a[1]) + a[2]
        if op == "MatMul":
            return a[0] @ a[1]
        if op == "Add":
            return a[0] + a[1]
        if op == "Relu":
            return torch.relu(a[0])
        if op == "LeakyRelu":
            return F.leaky_relu(a[0], at.get("alpha", 0.01))
        if op == "Transpose":
            return a[0].permute(*at["perm"])
        if op == "Conv" and at.get("auto_pad") == b"VALID":
            return F.conv2d(a[0], a[1], a[2], stride=at["strides"])
        if op == "MaxPool" and at.get("auto_pad") == b"VALID":
            return F.max_pool2d(a[0], at["kernel_shape"], at["strides"])
        raise SystemExit(f"no {op} here")


def cross_entropy(z, y, target):
    return F.cross_entropy(z, y, reduction="none")


def targeted_dlr(z, y, target):
    ranked, rows = z.sort(1)[0], torch.arange(len(z))
    return -(z[rows, y] - z[rows, target]) / (ranked[:, -1] - (ranked[:, -3] + ranked[:, -4]) / 2 + 1e-12)


def size(d):
    return d.norm(dim=1, keepdim=True)


def apgd(network, norm, eps, x, y, loss, target=None, steps=100, rho=0.75):
    def ask(point):
        point = point.clone().requires_grad_()
        z = network(point)
        losses = loss(z, y, target)
        (gradient,) = torch.autograd.grad(losses.sum(), point)
        return losses.detach(), gradient, z.argmax(1) == y

    def project(z):
        if norm == "linf":
            return torch.min(torch.max(z, x - eps), x + eps).clamp(0, 1)
        return (x + (z - x) * (eps / (size(z - x) + 1e-12)).clamp(max=1)).clamp(0, 1)

    start = 2 * torch.rand_like(x) - 1 if norm == "linf" else torch.randn_like(x)
    whole = start.abs().max(1, keepdim=True)[0] if norm == "linf" else size(start)
    point = (x + eps * start / whole).clamp(0, 1)
    losses, gradient, robust = ask(point)
    best, best_point, best_gradient = losses.clone(), point.clone(), gradient.clone()
    step, before = torch.full((len(x), 1), 2 * eps), point.clone()
    best_before, halved = best.clone(), torch.zeros(len(x), dtype=bool)
    checkpoints, p = [], [0, 22]
    while p[-1] < 100:
        checkpoints.append(-(-p[-1] * steps // 100))
        p.append(p[-1] + max(p[-1] - p[-2] - 3, 6))
    rises, checked = torch.zeros(len(x)), 0
    for at in range(1, steps + 1):
        direction = gradient.sign() if norm == "linf" else gradient / (size(gradient) + 1e-12)
        z = project(point + step * direction)
        if at > 1:
            z = project(point + 0.75 * (z - point) + 0.25 * (point - before))
        before, point = point, z
        last = losses
        losses, gradient, correct = ask(point)
        robust &= correct
        rises += (losses > last).float()
        better = losses > best
        best[better], best_point[better], best_gradient[better] = losses[better], point[better], gradient[better]
        if at in checkpoints:
            halved = (rises < rho * (at - checked)) | (~halved & (best == best_before))
            best_before, checked = best.clone(), at
            rises = torch.zeros(len(x))
            step[halved] /= 2
            point, gradient, losses = point.clone(), gradient.clone(), losses.clone()
            point[halved], gradient[halved], losses[halved] = best_point[halved], best_gradient[halved], best[halved]
    return robust


def main(folder, name):
    torch.set_num_threads(1)
    network = Network(folder / f"models/{name}.onnx")
    data = numpy.load(folder / f"robustness/data/{name}.npz")
    x, y = torch.tensor(data["x"]).reshape(len(data["y"]), -1), torch.tensor(data["y"])
    known = json.loads((folder / f"robustness/{name}.json").read_text())
    for row in (row for row in known["attacks"] if row["attack"] == "autoattack standard"):
        theirs = torch.tensor(row["robust"]) > 0
        for seed in range(3):
            torch.manual_seed(seed)
            robust = network(x).argmax(1) == y
            ranked = network(x).sort(1)[1]
            for place in range(1, 11):
                left = robust.nonzero()[:, 0]
                loss = cross_entropy if place == 1 else targeted_dlr
                target = ranked[left, -place]
                robust[left] = apgd(network, row["norm"], row["eps"], x[left], y[left], loss, target)
            only = (robust & ~theirs).nonzero()[:, 0].tolist()
            print(name, row["norm"], row["eps"], "seed", seed, "robust", int(robust.sum()), end=" ")
            print("AutoAttack", int(theirs.sum()), "only AutoAttack broke", only)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2])
