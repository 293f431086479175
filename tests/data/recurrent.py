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


def main():
    FOLDER.mkdir(exist_ok=True)
    for seed, (name, options) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        steps = options["steps"]
        model = Classifier(**options).eval()
        x = torch.randn(SAMPLES, steps, FEATURES)
        buffer = io.BytesIO()
        torch.onnx.export(
            model, (x[:1],), buffer, dynamo=False, opset_version=14,
            input_names=["x"], output_names=["logits"],
            dynamic_axes={"x": {0: "batch"}, "logits": {0: "batch"}},
        )
        graph = onnx.load_from_string(buffer.getvalue())
        for node in graph.graph.node:
            node.doc_string = ""
        onnx.save(graph, FOLDER / f"{name}.onnx")
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
