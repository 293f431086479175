"""Makes tests/data/recurrent/: small recurrent classifiers from PyTorch, with its logits and input gradients in f64.

    python tests/data/recurrent.py

Needs torch, onnx and numpy. Per model NAME.onnx and NAME.npz: x (samples, steps, features), labels, logits, and
gradient, that of each sample's cross-entropy with respect to x.
"""

import io
import pathlib

import numpy as np
import onnx
import torch
from torch import nn

FOLDER = pathlib.Path(__file__).parent / "recurrent"
FEATURES, CLASSES, SAMPLES = 3, 4, 18


class Classifier(nn.Module):
    """A recurrent layer and a linear one, on the last output, all outputs or the final states."""

    def __init__(self, cell, hidden, steps, reads, batch_first=True, **options):
        super().__init__()
        self.rnn = cell(FEATURES, hidden, batch_first=batch_first, **options)
        self.batch_first, self.reads = batch_first, reads
        directions = 2 if options.get("bidirectional") else 1
        layers = options.get("num_layers", 1)
        width = {
            "last": hidden * directions,
            "all": hidden * directions * steps,
            "h": hidden * directions * layers,
            "c": 2 * hidden * directions * layers,
        }[reads]
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x):
        y, states = self.rnn(x if self.batch_first else x.transpose(0, 1))
        if not self.batch_first:
            y = y.transpose(0, 1)
        if self.reads == "last":
            z = y[:, -1]
        elif self.reads == "all":
            z = y.flatten(1)
        else:
            states = states if isinstance(states, tuple) else (states,)
            states = states if self.reads == "c" else states[:1]
            z = torch.cat([s.transpose(0, 1).flatten(1) for s in states], 1)
        return self.head(z)


MODELS = {
    "lstm": dict(cell=nn.LSTM, hidden=6, steps=7, reads="last"),
    "lstm_one_step": dict(cell=nn.LSTM, hidden=5, steps=1, reads="last"),
    "lstm_one_step_cell": dict(cell=nn.LSTM, hidden=5, steps=1, reads="c"),
    "lstm_two_steps": dict(cell=nn.LSTM, hidden=4, steps=2, reads="all"),
    "lstm_both_ways": dict(cell=nn.LSTM, hidden=5, steps=7, reads="all", bidirectional=True),
    "lstm_deep": dict(cell=nn.LSTM, hidden=4, steps=16, reads="last", num_layers=2),
    "lstm_deep_both_ways": dict(
        cell=nn.LSTM, hidden=4, steps=7, reads="c", num_layers=2, bidirectional=True
    ),
    "lstm_time_first": dict(cell=nn.LSTM, hidden=4, steps=7, reads="c", batch_first=False),
    "lstm_without_bias": dict(cell=nn.LSTM, hidden=4, steps=7, reads="last", bias=False),
    "gru": dict(cell=nn.GRU, hidden=6, steps=7, reads="last"),
    "gru_one_step": dict(cell=nn.GRU, hidden=5, steps=1, reads="last"),
    "gru_two_steps": dict(cell=nn.GRU, hidden=5, steps=2, reads="all", bidirectional=True),
    "gru_both_ways": dict(cell=nn.GRU, hidden=5, steps=7, reads="all", bidirectional=True),
    "gru_deep": dict(cell=nn.GRU, hidden=4, steps=16, reads="h", num_layers=2),
    "gru_deep_both_ways": dict(
        cell=nn.GRU, hidden=4, steps=7, reads="h", num_layers=2, bidirectional=True
    ),
    "gru_time_first": dict(cell=nn.GRU, hidden=4, steps=7, reads="last", batch_first=False),
    "gru_without_bias": dict(cell=nn.GRU, hidden=4, steps=7, reads="h", bias=False),
    "rnn": dict(cell=nn.RNN, hidden=6, steps=7, reads="last"),
    "rnn_one_step": dict(cell=nn.RNN, hidden=6, steps=1, reads="h"),
    "rnn_deep_both_ways": dict(
        cell=nn.RNN, hidden=4, steps=16, reads="all", num_layers=2, bidirectional=True
    ),
}


class Scanned(nn.Module):
    """What `scan_graph` makes of the same weights: an ONNX Scan with a state, weights from outside and an output."""

    def __init__(self, hidden, steps, backwards):
        super().__init__()
        self.hidden, self.steps, self.backwards = hidden, steps, backwards
        shapes = {"u": (FEATURES, hidden), "w": (FEATURES, hidden), "r": (hidden, hidden), "v": (2 * hidden, CLASSES)}
        self.weights = nn.ParameterDict({n: nn.Parameter(torch.randn(s) * 0.7) for n, s in shapes.items()})

    def forward(self, x):
        p = self.weights
        h = x.mean(1) @ p["u"]
        order = range(self.steps)
        squares = []
        for step in reversed(order) if self.backwards else order:
            h = torch.tanh(x[:, step] @ p["w"] + h @ p["r"])
            squares.append(h * h * (step + 1))
        return torch.cat([h, torch.stack(squares).sum(0)], 1) @ p["v"]

    def graph(self):
        node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
        tensor = lambda name, array: onnx.numpy_helper.from_array(array, name)
        inner = lambda name: info(name, onnx.TensorProto.FLOAT, None)
        body = onnx.helper.make_graph(
            [
                node("MatMul", ["x_t", "w"], ["xw"]), node("MatMul", ["h_in", "r"], ["hr"]),
                node("Add", ["xw", "hr"], ["sum"]), node("Tanh", ["sum"], ["h_out"]),
                node("Mul", ["h_out", "h_out"], ["square"]),
            ],
            "body", [inner("h_in"), inner("x_t")], [inner("h_out"), inner("square")],
        )
        way = int(self.backwards)
        scan = node(
            "Scan", ["h_0", "x_by_step"], ["h", "squares"], body=body, num_scan_inputs=1,
            scan_input_directions=[way], scan_output_directions=[way],
        )
        nodes = [
            node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=0),
            node("MatMul", ["mean", "u"], ["h_0"]),
            node("Transpose", ["x"], ["x_by_step"], perm=[1, 0, 2]),
            scan,
            node("Mul", ["squares", "order"], ["weighted"]),
            node("ReduceSum", ["weighted", "axis"], ["total"], keepdims=0),
            node("Concat", ["h", "total"], ["both"], axis=1),
            node("MatMul", ["both", "v"], ["logits"]),
        ]
        weights = [tensor(n, w.detach().float().numpy()) for n, w in self.weights.items()]
        weights.append(tensor("axis", np.array([0])))
        weights.append(tensor("order", np.arange(1, self.steps + 1, dtype=np.float32).reshape(-1, 1, 1)))
        graph = onnx.helper.make_graph(
            nodes, "scan",
            [info("x", onnx.TensorProto.FLOAT, ["batch", self.steps, FEATURES])],
            [info("logits", onnx.TensorProto.FLOAT, ["batch", CLASSES])], weights,
        )
        return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)


def classifier(cell, **options):
    return Scanned(**options) if cell is Scanned else Classifier(cell, **options)


def export(model, x):
    if isinstance(model, Scanned):
        return model.graph()
    buffer = io.BytesIO()
    torch.onnx.export(
        model, (x[:1],), buffer, dynamo=False, opset_version=14,
        input_names=["x"], output_names=["logits"],
        dynamic_axes={"x": {0: "batch"}, "logits": {0: "batch"}},
    )
    graph = onnx.load_from_string(buffer.getvalue())
    for node in graph.graph.node:
        node.doc_string = ""
    return graph


MODELS["scan"] = dict(cell=Scanned, hidden=5, steps=7, backwards=False)
MODELS["scan_backwards"] = dict(cell=Scanned, hidden=5, steps=7, backwards=True)
MODELS["scan_one_step"] = dict(cell=Scanned, hidden=5, steps=1, backwards=False)


def main():
    FOLDER.mkdir(exist_ok=True)
    for seed, (name, options) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        steps = options["steps"]
        model = classifier(**options).eval()
        x = torch.randn(SAMPLES, steps, FEATURES)
        onnx.save(export(model, x), FOLDER / f"{name}.onnx")
        model, x = model.double(), x.double().requires_grad_()
        labels = torch.arange(SAMPLES) % CLASSES
        logits = model(x)
        nn.functional.cross_entropy(logits, labels, reduction="sum").backward()
        np.savez_compressed(
            FOLDER / f"{name}.npz",
            x=x.detach().numpy().astype(np.float32),
            labels=labels.numpy(),
            logits=logits.detach().numpy(),
            gradient=x.grad.numpy(),
        )


if __name__ == "__main__":
    main()
