"""Writes explanations.json: what captum makes of examples/assets/digits_cnn.onnx, in float64.

    pip install captum==0.9.0 onnx==1.23.2 torch==2.15.0
    python tests/data/explanations.py
"""

import json
from pathlib import Path

import captum
import numpy as np
import onnx
import torch
from captum.attr import InputXGradient, IntegratedGradients, Occlusion, Saliency
from onnx import numpy_helper
from torch.nn import functional as F

HERE = Path(__file__).parent
ASSETS = HERE.parents[1] / "examples" / "assets"
SAMPLES = [0, 5, 7]


def network():
    graph = onnx.load(ASSETS / "digits_cnn.onnx").graph
    w = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()).double() for t in graph.initializer}

    class Digits(torch.nn.Module):
        """Modules of their own, as train_digits.py has them."""

        def forward(self, x):
            x = F.relu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"], padding=1))
            x = F.relu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"], padding=1))
            x = F.max_pool2d(x, 2).flatten(1)
            x = F.relu(F.linear(x, w["fc1.weight"], w["fc1.bias"]))
            return F.linear(x, w["fc2.weight"], w["fc2.bias"])

    return Digits().eval()


def main():
    model = network()
    x = np.load(ASSETS / "digits_test.npz")["x"][SAMPLES]
    x = torch.from_numpy(x.astype(np.float64)).requires_grad_()
    target = model(x).argmax(1)
    line = {"baselines": 0.25, "n_steps": 50}
    maps = {
        "gradient": Saliency(model).attribute(x, target=target, abs=False),
        "gradient-x-input": InputXGradient(model).attribute(x, target=target),
        "integrated-gradients:steps=50,baseline=0.25": IntegratedGradients(model).attribute(x, target=target, method="riemann_middle", **line),
        "integrated-gradients:steps=50,baseline=0.25,rule=gauss-legendre": IntegratedGradients(model).attribute(x, target=target, method="gausslegendre", **line),
        "occlusion:window=3,stride=2,fill=0.5": Occlusion(model).attribute(x, (1, 3, 3), strides=(1, 2, 2), target=target, baselines=0.5),
        "occlusion:window=2,stride=1": Occlusion(model).attribute(x, (1, 2, 2), strides=(1, 1, 1), target=target, baselines=0.0),
    }
    table = {"captum": captum.__version__, "samples": SAMPLES, "class": target.tolist()}
    table["maps"] = {name: [list(map(float, one.flatten())) for one in found.detach()] for name, found in maps.items()}
    HERE.joinpath("explanations.json").write_text(json.dumps(table, indent=1).replace("\n    ", " ").replace("\n   ]", "]") + "\n")


main()
