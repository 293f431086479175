"""What ironbound's runs cost besides their speed: memory, growth, threads, the share of the processor's peak, the start.

By hand, on an otherwise idle machine, with the packages and the folder of models that `speed.py` beside it tells of, once that has
written samples beside the models:

    python benches/peers/costs.py ../perf-models [--json costs.json] [network ...]

Printed are, each from medians of some rounds:

- threads: gradients per second on two threads over those on one.
- peak: GFLOP/s of forward and gradient, counted as sums of products without any short cut, over those of PyTorch's product of large
  matrices on one thread; a Winograd convolution takes fewer, and may come out above what is possible otherwise.
- memory: the most that a process held while PGD-10 ran on one thread and on two, and the size of the file.
- growth: seconds of PGD-10 on 100, 1 000 and 10 000 samples of the MLP and of PGD by its steps, per sample and step, and memory.
- active set: PGD-40 on samples of which four in five break at the first step, over the same on samples of which none does.
- start: from the start of the process to the end of FGSM on one of the embedded digits, for the `evaluate` example (with and without
  its preflight) and for Python with torch and foolbox, and what is installed for it.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time

import numpy as np
import onnx2torch
import torch
from torch.utils.flop_counter import FlopCounterMode

from speed import NETWORKS, ROOT, built

ROUNDS = 5


class Server:
    """`benches/speed.rs` with one model."""

    def __init__(self, binary, model, data):
        self.process = subprocess.Popen([binary, model, data], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer
        return answer

    def rate(self, request):
        answer = self.ask(request)
        return answer["samples"] / answer["seconds"]

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def samples_of(folder, name):
    with np.load(folder / f"{name}.npz") as data:
        return data["x"], data["y"]


def enough(name):
    """Samples for a second or so."""
    return {"mlp": 4096, "mnist_cnn": 1024, "resnet50": 4, "mobilenet_v2": 16}.get(name, 64)


def threads_and_peak(folder, name, binary):
    with Server(binary, folder / f"{name}.onnx", folder / f"{name}.npz") as server:
        repeat = 20 if name == "mlp" else 1
        of = lambda threads: server.rate(f"gradient samples={enough(name)} threads={threads} repeat={repeat}")
        of(2)
        rates = {threads: [] for threads in (1, 2)}
        peaks = []
        for _ in range(ROUNDS):
            for threads, found in rates.items():
                found.append(of(threads))
            peaks.append(peak())
    ratio = statistics.median(two / one for one, two in zip(rates[1], rates[2]))
    achieved = statistics.median(rates[1]) * flops(folder, name)
    return {
        "threads": ratio,
        "gflops": achieved / 1e9,
        "share": statistics.median(rate * flops(folder, name) / most for rate, most in zip(rates[1], peaks)),
    }


def peak():
    """FLOP/s of one thread."""
    torch.set_num_threads(1)
    a, b = torch.rand(512, 512), torch.rand(512, 512)
    seconds = []
    for _ in range(40):
        start = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - start)
    return 2 * 512**3 / min(seconds)


def flops(folder, name, known={}):
    """Of forward and gradient."""
    if name not in known:
        model = onnx2torch.convert(str(folder / f"{name}.onnx")).eval().requires_grad_(False)
        x = torch.from_numpy(samples_of(folder, name)[0][:1]).requires_grad_()
        with FlopCounterMode(display=False) as counter:
            model(x).logsumexp(1).sum().backward()
        known[name] = counter.get_total_flops()
    return known[name]


def memory(folder, name, binary):
    found = {"file_mib": (folder / f"{name}.onnx").stat().st_size / 2**20}
    for threads in (1, 2):
        with Server(binary, folder / f"{name}.onnx", folder / f"{name}.npz") as server:
            server.ask(f"pgd steps=10 samples={min(enough(name), 64)} threads={threads}")
            found[f"threads_{threads}_mib"] = server.peak_mib()
    return found


def growth(folder, name, binary, scratch):
    x, y = samples_of(folder, name)

    def server(samples):
        at = np.arange(samples) % len(x)
        np.savez(scratch / "some.npz", x=x[at], y=y[at])
        return Server(binary, folder / f"{name}.onnx", scratch / "some.npz")

    found = {"samples": [], "steps": []}
    for samples in (100, 1_000, 10_000):
        with server(samples) as some:
            request = f"pgd steps=10 samples={samples} threads=2 repeat={10_000 // samples}"
            rates = [some.rate(request) for _ in range(ROUNDS + 1)][1:]
            found["samples"].append([samples, 1e6 / statistics.median(rates), some.peak_mib()])
    with server(2_000) as some:
        for steps in (10, 20, 40, 80):
            rates = [some.rate(f"pgd steps={steps} samples=2000 threads=2") for _ in range(ROUNDS + 1)][1:]
            found["steps"].append([steps, 1e6 / statistics.median(rates)])
    return found


def active_set(folder, name, binary, scratch):
    """Four in five samples are moved to just before the boundary, where the first step leads across."""
    x, y = samples_of(folder, name)
    count = enough(name) // 5 * 5
    x, y = x[:count].copy(), y[:count]
    model = onnx2torch.convert(str(folder / f"{name}.onnx")).eval().requires_grad_(False)
    label = torch.from_numpy(y)[:, None]
    near, far = torch.from_numpy(x), torch.from_numpy(x)
    for _ in range(100):
        far = far.requires_grad_()
        logits = model(far)
        margin = logits.gather(1, label)[:, 0] - logits.scatter(1, label, -torch.inf).amax(1)
        (gradient,) = torch.autograd.grad(margin.sum(), far)
        far = (far.detach() - 0.02 * gradient.sign()).clamp_(0, 1)
    assert (model(far).argmax(1) != label[:, 0]).all(), f"{name}: some samples have no boundary in reach"
    for _ in range(20):
        middle = (near + far) / 2
        stays = (model(middle).argmax(1) == label[:, 0])[:, None, None, None]
        near, far = torch.where(stays, middle, near), torch.where(stays, far, middle)
    near = near.numpy()
    easy = np.arange(count) % 5 != 0
    np.savez(scratch / "none.npz", x=x, y=y)
    np.savez(scratch / "most.npz", x=np.where(easy[:, None, None, None], near, x), y=y)
    request = f"pgd steps=40 eps=0.002 samples={count} threads=2 stop=1"
    with (
        Server(binary, folder / f"{name}.onnx", scratch / "none.npz") as none,
        Server(binary, folder / f"{name}.onnx", scratch / "most.npz") as most,
    ):
        ratios, broken = [], None
        for _ in range(ROUNDS + 1):
            one, other = most.ask(request), none.ask(request)
            broken = (one["broken"] / count, other["broken"] / count, one["gradients"] / other["gradients"])
            ratios.append(one["seconds"] / other["seconds"])
    return {"ratio": statistics.median(ratios[1:]), "broken": broken[0], "broken_of_none": broken[1], "gradients": broken[2]}


PYTHON = """
import numpy, torch, foolbox, onnx2torch
model = foolbox.PyTorchModel(onnx2torch.convert("digits_cnn.onnx").eval(), bounds=(0, 1), device="cpu")
data = numpy.load("digits_test.npz")
x, y = torch.from_numpy(data["x"][:1]).float(), torch.from_numpy(data["y"][:1]).long()
foolbox.attacks.LinfFastGradientAttack(random_start=False)(model, x, y, epsilons=0.1)
"""


def start():
    folder = ROOT / "examples/assets"
    build = ["cargo", "build", "--locked", "--release", "--example", "evaluate"]
    subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    evaluate = ROOT / "target/release/examples/evaluate"
    ours = [evaluate, "--attack", "fgsm", "--eps", "0.1", "--limit", "1"]
    commands = {
        "ironbound": [*ours, "--no-preflight"],
        "ironbound with preflight": ours,
        "Python": [sys.executable, "-c", PYTHON],
    }
    seconds = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            begin = time.perf_counter()
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - begin)
    packages = pathlib.Path(sysconfig.get_paths()["purelib"])
    installed = sum(file.stat().st_size for file in packages.rglob("*") if file.is_file() and not file.is_symlink())
    return {
        "seconds": {name: statistics.median(found) for name, found in seconds.items()},
        "mib": {"ironbound": evaluate.stat().st_size / 2**20, "Python": installed / 2**20},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=pathlib.Path, help="the folder that export.py wrote")
    parser.add_argument("names", nargs="*", metavar="network", help=f"of {', '.join(NETWORKS)}; default: all")
    parser.add_argument("--binary", type=pathlib.Path, help="of benches/speed.rs; default: built by cargo")
    parser.add_argument("--json", type=pathlib.Path, help="where to write all figures")
    options = parser.parse_args()
    binary = options.binary or built()
    names = options.names or NETWORKS
    record = {"load_before": os.getloadavg(), "networks": {}}
    for name in names:
        found = threads_and_peak(options.models, name, binary) | memory(options.models, name, binary)
        record["networks"][name] = found
        print(name, {key: round(value, 2) for key, value in found.items()}, flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        record["growth"] = growth(options.models, "mlp", binary, scratch)
        print("growth", record["growth"], flush=True)
        record["active_set"] = {}
        for name in ("mlp", "mnist_cnn"):
            record["active_set"][name] = active_set(options.models, name, binary, scratch)
            print("active set", name, record["active_set"][name], flush=True)
    record["start"] = start()
    print("start", record["start"], flush=True)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
