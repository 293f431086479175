"""How fast ironbound attacks, beside PyTorch, foolbox, torchattacks and ART on the same files, weights and samples.

By hand, on an otherwise idle machine:

    pip install torch torchvision onnx onnxruntime onnx2torch foolbox torchattacks adversarial-robustness-toolbox
    python ../shared/reference/perf/export.py ../perf-models
    python benches/peers/speed.py ../perf-models --threads 1 [--json speed.json] [network ...]

It needs the folder of the networks' definitions (`--networks`), builds `benches/speed.rs` with cargo and lets it serve
ironbound's side (`--binary`: one that is built). Samples are random; it writes them beside each model as NAME.npz, once.

Measured are samples per second of

- PGD-10 and PGD-40, Linf, from the clean input, steps of eps / 4. eps is so small that no sample breaks, and nobody stops
  early: all take the same number of gradients, which is checked. ironbound's figure is a whole evaluation: on top of
  the steps a clean pass, a query at the last point and the judge's run of what was found.
- one forward and gradient, and one forward pass.

The peers get the best of some batch sizes (the smallest that is within 3 % of it), of channels-last or not, and of the
network as PyTorch defines it or as onnx2torch converts the file, whose batch norms are folded; parameters take no
gradients. ironbound chooses for itself. Logits must agree with onnxruntime's before anything is timed. Contenders take
turns; figures are medians of all rounds with the smallest and the largest, ratios (ironbound / peer) those of each round.
"""

import argparse
import functools
import importlib.metadata
import itertools
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
EPS = 1e-6
STEP = EPS / 4
NETWORKS = ["mlp", "mnist_cnn", "resnet18_cifar", "wrn28_2", "vit_tiny", "mobilenet_v2", "resnet50"]
# By the features of a sample: how many samples there are, and the peers' batch sizes.
SIZES = {784: (4096, [1, 16, 64, 256, 1024]), 3072: (512, [1, 4, 16, 64]), 150528: (32, [1, 4, 16])}
CLASSES = {784: 10, 3072: 10, 150528: 1000}
PACKAGES = ["torch", "onnxruntime", "onnx2torch", "foolbox", "torchattacks", "adversarial-robustness-toolbox", "numpy"]


# PGD by each peer: (model, steps, batch) -> attack(x, y), which gives a list of batches of points.


def hand_written(model, steps, batch):
    def one(x, y):
        lower, upper = (x - EPS).clamp_(min=0), (x + EPS).clamp_(max=1)
        point = x.clone().requires_grad_()
        for _ in range(steps):
            (gradient,) = torch.autograd.grad(F.cross_entropy(model(point), y, reduction="sum"), point)
            with torch.no_grad():
                point.add_(gradient.sign_(), alpha=STEP).clamp_(lower, upper)
        return point.detach()

    return in_batches(one, batch)


def by_foolbox(model, steps, batch):
    import foolbox

    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(abs_stepsize=STEP, steps=steps, random_start=False)
    return in_batches(lambda x, y: attack(wrapped, x, y, epsilons=EPS)[1], batch)


def by_torchattacks(model, steps, batch):
    import torchattacks

    return in_batches(torchattacks.PGD(model, eps=EPS, alpha=STEP, steps=steps, random_start=False), batch)


def by_art(model, steps, batch):
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    @functools.cache
    def made(shape, classes):
        loss = torch.nn.CrossEntropyLoss()
        wrapped = PyTorchClassifier(model, loss, shape, classes, clip_values=(0, 1), device_type="cpu")
        return ProjectedGradientDescentPyTorch(
            wrapped, eps=EPS, eps_step=STEP, max_iter=steps, num_random_init=0, batch_size=batch, verbose=False
        )

    # It makes the batches itself.
    def attack(x, y):
        return [torch.from_numpy(made(tuple(x.shape[1:]), CLASSES[x[0].numel()]).generate(x.numpy(), y.numpy()))]

    return attack


ATTACKS = {"PyTorch": hand_written, "foolbox": by_foolbox, "torchattacks": by_torchattacks, "ART": by_art}


def in_batches(one, batch):
    return lambda x, y: [one(*pair) for pair in zip(x.split(batch), y.split(batch))]


def gradient(model, batch):
    def one(x, y):
        point = x.detach().requires_grad_()
        return torch.autograd.grad(F.cross_entropy(model(point), y, reduction="sum"), point)[0]

    return in_batches(one, batch)


def forward(model, batch):
    def one(x, _):
        with torch.inference_mode():
            return model(x)

    return in_batches(one, batch)


class Form:
    """A network in PyTorch: where it comes from, and its memory layout."""

    def __init__(self, origin, model, layout, x, y):
        self.name = f"{origin}, {layout}" if layout else origin
        to = {"memory_format": torch.channels_last} if layout else {}
        self.model = model.eval().requires_grad_(False).to(**to)
        self.x, self.y = x.contiguous(**to), y


class Contender:
    """Whose speed is measured: `work(samples)` gives the seconds that it took to do so many, a multiple of `unit`."""

    def __init__(self, name, how, unit, work, rate):
        self.name, self.how, self.unit, self.work = name, how, unit, work
        self.samples, self.rate, self.rates = unit, rate, []

    def size(self, seconds):
        self.samples = max(1, round(seconds * self.rate / self.unit)) * self.unit

    def measure(self):
        self.rates.append(self.samples / self.work(self.samples))


class Ironbound:
    """`benches/speed.rs`, with one model loaded."""

    def __init__(self, binary, model, data, options):
        command = [binary, model, data] + ([str(options.plan_batch)] if options.plan_batch else [])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.options = options

    def ask(self, request):
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = json.loads(self.process.stdout.readline() or '{"error": "it has stopped"}')
        if "error" in answer:
            raise SystemExit(f"ironbound: {request}: {answer['error']}")
        return answer

    def timed(self, what, available, samples):
        """Its answer for so many samples: those that are there, several times where they are more."""
        once = min(samples, available)
        answer = self.ask(f"{what} samples={once} repeat={samples // once} threads={self.options.threads}")
        assert answer["samples"] == samples, answer
        return answer

    def contender(self, what, steps, available):
        if steps:
            what = f"{what} steps={steps} eps={EPS!r}"
            what += f" batch={self.options.batch}" if self.options.batch else ""

        def work(samples):
            answer = self.timed(what, available, samples)
            if steps:
                assert answer["gradients"] == samples * steps, f"unequal work: {answer}"
                assert answer["broken"] == answer["wrong"] == 0, f"samples broke or are wrong: {answer}"
            return answer["seconds"]

        # Plans are built at the first run. Then it does more until that takes long enough to tell the rate.
        work(1)
        batch = steps and self.options.batch or self.ask("batch")["batch"]
        samples = unit = min(batch * self.options.threads, available)
        while (seconds := work(samples)) < 0.2 and samples < available:
            samples = min(4 * samples, available)
        rate = samples / seconds
        if rate * self.options.seconds > available:
            unit = available
        return Contender("ironbound", f"{batch} at a time", unit, work, rate)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def cycled(call, x, y):
    """Does so many samples, from the first again after the last."""

    def work(samples):
        start = time.perf_counter()
        for at in range(0, samples, len(x)):
            rows = min(len(x), samples - at)
            call(x[:rows], y[:rows])
        return time.perf_counter() - start

    return work


def rate_of(work, samples, least=0.1):
    """Samples per second, after a warm-up."""
    work(samples)
    times = [work(samples)]
    while sum(times) < least:
        times.append(work(samples))
    return samples / min(times)


def forms_of(name, file, x, y, options):
    """The network in PyTorch, in every form that is tried."""
    origins = {}
    if options.networks.exists():
        sys.path.insert(0, str(options.networks))
        sys.dont_write_bytecode = True
        import networks

        origins["PyTorch's"] = lambda: networks.build(name)
    try:
        from onnx2torch import convert

        origins["onnx2torch's"] = lambda: convert(onnx.load(file))
    except ImportError:
        say("SKIPPED onnx2torch: it is not installed")
    forms = []
    for origin, make in origins.items():
        layouts = ["", "channels-last"]
        if not any(isinstance(module, torch.nn.Conv2d) for module in make().modules()):
            layouts = [""]
        forms += [Form(origin, make(), layout, x, y) for layout in layouts]
    if not forms:
        raise SystemExit(f"{options.networks} does not exist, and onnx2torch is not installed: one of them is needed")
    return forms


def session_of(file, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def samples_of(file, session):
    """The samples beside a model, made where there are none: those of twice as many whose two best logits are furthest apart."""
    path = file.with_suffix(".npz")
    if not path.exists():
        shape = session.get_inputs()[0].shape[1:]
        count = SIZES[int(np.prod(shape))][0]
        x = np.random.default_rng(0).random((2 * count, *shape), dtype=np.float32)
        logits = np.concatenate([session.run(None, {session.get_inputs()[0].name: one})[0] for one in np.split(x, count)])
        best = np.sort(logits)[:, -2:]
        kept = np.sort(np.argsort(best[:, 0] - best[:, 1])[:count])
        np.savez(path, x=x[kept], y=logits.argmax(1)[kept].astype(np.int64))
    data = np.load(path)
    return path, data["x"], data["y"]


def check_logits(name, expected, found):
    far = np.abs(np.asarray(found).reshape(expected.shape) - expected).max(1) / np.abs(expected).max(1)
    assert far.max() <= 1e-4, f"{name}: logits differ from onnxruntime's by {far.max():.1e}, relative to the largest"


def check_work(name, attack, form):
    """That it takes a gradient per step, and goes where it should."""
    rows, steps, seen = 2, 3, []
    hook = form.model.register_forward_pre_hook(lambda _, given: seen.append(len(given[0]) * given[0].requires_grad))
    x = form.x[:rows]
    moved = (torch.cat(attack(form.model, steps, rows)(x, form.y[:rows])) - x).abs()
    hook.remove()
    assert sum(seen) == rows * steps, f"{name} takes {sum(seen)} gradients for {rows} samples and {steps} steps"
    assert moved.max() <= 1.2 * EPS and moved.mean() > 0.5 * steps * STEP, f"{name} moved by {moved.mean()}, {moved.max()}"


def least_of_the_best(contenders):
    """The one of the smallest batch that is as fast as any, but for 3 %: measurements of larger ones take longer."""
    contenders = list(contenders)
    best = max(contender.rate for contender in contenders)
    return min((one for one in contenders if one.rate >= 0.97 * best), key=lambda one: one.unit)


def torch_contenders(forms, batches, steps_wanted):
    """{measure: contenders}, each with its best form and batch size."""
    found = {}
    for what, make in [("forward", forward), ("gradient", gradient)]:
        # The fastest form by batch size.
        by_batch = {}
        for batch, form in itertools.product(batches, forms):
            work = cycled(make(form.model, batch), form.x, form.y)
            one = Contender("PyTorch", f"{form.name}, {batch} at a time", batch, work, rate_of(work, batch))
            by_batch[batch] = max(by_batch.get(batch, (one, form)), (one, form), key=lambda pair: pair[0].rate)
        found[what] = [least_of_the_best(pair[0] for pair in by_batch.values())]
    # An attack can gain from a larger batch than its gradients need, not from a slower form.
    best = max(one.rate for one, _ in by_batch.values())
    by_batch = {batch: pair for batch, pair in by_batch.items() if pair[0].rate >= 0.6 * best}
    found |= {f"PGD-{steps}": [] for steps in steps_wanted}
    for name, attack in ATTACKS.items():
        tried = []
        for batch, (one, form) in by_batch.items():
            # Of networks that would take long, fewer steps tell the batch size as well.
            steps = min([*steps_wanted, max(2, int(one.rate / batch))])
            work = cycled(attack(form.model, steps, batch), form.x, form.y)
            tried.append(Contender(name, one.how, batch, work, rate_of(work, batch, 0.2) * steps))
        chosen = least_of_the_best(tried)
        for steps in steps_wanted:
            form = by_batch[chosen.unit][1]
            work = cycled(attack(form.model, steps, chosen.unit), form.x, form.y)
            found[f"PGD-{steps}"].append(Contender(name, chosen.how, chosen.unit, work, chosen.rate / steps))
    return found


def contenders_of(name, binary, options):
    """{measure: contenders} of a network, ironbound first, and ironbound's process."""
    file = options.models / f"{name}.onnx"
    session = session_of(file, options.threads)
    data, x, y = samples_of(file, session)
    given = session.get_inputs()[0].name
    expected = session.run(None, {given: x[:4]})[0]
    forms = forms_of(name, file, torch.from_numpy(x), torch.from_numpy(y), options)
    ironbound = Ironbound(binary, file, data, options)
    check_logits("ironbound", expected, ironbound.ask("logits samples=4")["logits"])
    for form in forms:
        check_logits(form.name, expected, form.model(form.x[:4]).numpy())
        for peer, attack in ATTACKS.items():
            check_work(peer, attack, form)
    batches = SIZES[x[0].size][1]
    found = {}
    peers = torch_contenders(forms, batches, options.steps)
    for steps in options.steps:
        found[f"PGD-{steps}"] = [ironbound.contender("pgd", steps, len(x)), *peers[f"PGD-{steps}"]]
    found["gradient"] = [ironbound.contender("gradient", None, len(x)), *peers["gradient"]]
    runs = []
    for batch in batches:
        def call(x, _, batch=batch):
            return [session.run(None, {given: x[at : at + batch]}) for at in range(0, len(x), batch)]

        work = cycled(call, x, y)
        runs.append(Contender("onnxruntime", f"{batch} at a time", batch, work, rate_of(work, batch)))
    found["forward"] = [ironbound.contender("forward", None, len(x)), *peers["forward"], least_of_the_best(runs)]
    return found, ironbound


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def result_of(contenders):
    """One measure's figures by contender, after all rounds."""
    ours = contenders[0].rates
    figures = {}
    for contender in contenders:
        figures[contender.name] = {
            "how": contender.how,
            "samples": contender.samples,
            "samples_per_second": spread(contender.rates) | {"all": contender.rates},
        }
        if contender is not contenders[0]:
            figures[contender.name]["ironbound_is_times"] = spread([a / b for a, b in zip(ours, contender.rates)])
    return figures


def shown(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def table(results):
    lines = [("network", "measure", "contender", "samples/s", "min - max", "ironbound is", "min - max", "how")]
    for (network, measures), measure in ((pair, m) for pair in results.items() for m in pair[1]):
        for name, figures in measures[measure].items():
            rate, ratio = figures["samples_per_second"], figures.get("ironbound_is_times")
            times = (f"{ratio['median']:.2f} x", f"{ratio['min']:.2f} - {ratio['max']:.2f}") if ratio else ("", "")
            shares = (shown(rate["median"]), f"{shown(rate['min'])} - {shown(rate['max'])}")
            lines.append((network, measure, name, *shares, *times, figures["how"]))
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def costs(results):
    """What ironbound's gradients and attacks cost, in passes of the same run."""
    for network, measures in results.items():
        rate = {what: figures["ironbound"]["samples_per_second"]["median"] for what, figures in measures.items()}
        line = f"{network}: a gradient takes {rate['forward'] / rate['gradient']:.2f} forward passes"
        attacks = (what for what in rate if what.startswith("PGD"))
        yield line + "".join(f", {what} {rate['gradient'] / rate[what]:.1f} gradients" for what in attacks)


def say(text):
    print(text, file=sys.stderr, flush=True)


def built():
    command = ["cargo", "bench", "--locked", "--bench", "speed", "--no-run", "--message-format=json"]
    messages = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = [message.get("executable") for message in map(json.loads, messages) if "executable" in message]
    return [executable for executable in found if executable][-1]


def version_of(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=pathlib.Path, help="the folder that export.py wrote")
    parser.add_argument("names", nargs="*", metavar="network", help=f"of {', '.join(NETWORKS)}; default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 40], help="of PGD")
    parser.add_argument("--repeats", type=int, default=5, help="rounds")
    parser.add_argument("--seconds", type=float, default=1.0, help="of one measurement, as far as one batch allows")
    parser.add_argument("--batch", type=int, help="samples that ironbound attacks together; default: its own choice")
    parser.add_argument("--plan-batch", type=int, help="samples that a plan of ironbound's takes; default: its own choice")
    parser.add_argument("--networks", type=pathlib.Path, default=ROOT.parent / "shared/reference/perf")
    parser.add_argument("--binary", type=pathlib.Path, help="of benches/speed.rs; default: built by cargo")
    parser.add_argument("--json", type=pathlib.Path, help="where to write all figures")
    options = parser.parse_args()
    for name in options.names or NETWORKS:
        if not (options.models / f"{name}.onnx").exists():
            parser.error(f"{options.models / name}.onnx is not there: run export.py")
    warnings.filterwarnings("ignore")
    torch.set_num_threads(options.threads)
    binary = options.binary or built()
    record = {
        "machine": {"processor": processor(), "cores": os.cpu_count(), "load_before": os.getloadavg()},
        "versions": {"python": platform.python_version()} | {name: version_of(name) for name in PACKAGES},
        "settings": {key: getattr(options, key) for key in ["threads", "repeats", "seconds", "batch", "plan_batch"]},
        "eps": EPS,
        "step": STEP,
        "results": {},
    }
    for name in options.names or NETWORKS:
        say(f"{name}: calibrating")
        found, ironbound = contenders_of(name, binary, options)
        for measure, contenders in found.items():
            say(f"{name}: {measure}")
            for contender in contenders:
                contender.size(options.seconds)
            for round_ in range(options.repeats):
                first = round_ % len(contenders)
                for contender in contenders[first:] + contenders[:first]:
                    # Lets the threads of the one before go to sleep.
                    time.sleep(0.05)
                    contender.measure()
            record["results"].setdefault(name, {})[measure] = result_of(contenders)
        ironbound.close()
        if options.json:
            options.json.write_text(json.dumps(record, indent=1) + "\n")
    print(table(record["results"]))
    print("\nironbound:", *costs(record["results"]), sep="\n")


if __name__ == "__main__":
    main()
