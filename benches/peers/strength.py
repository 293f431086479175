"""What foolbox and torchattacks achieve on the same ONNX files and samples, per sample.

Writes tests/data/peers_strength.json, which tests/reference_strength.rs compares ironbound with. By hand, once:

    pip install torch onnx2torch foolbox torchattacks
    python benches/peers/strength.py [--shared ../shared/reference] [model ...]

Every adversarial is judged here again: its class, its bounds and its size. Minimal-norm attacks give a size per sample
(null: none found), attacks with a budget the number of `seeds` at which they leave it robust, per budget and sample. Models
named on the command line replace their rows, the others stay.
"""

import argparse
import json
import pathlib
import warnings

import foolbox
import numpy as np
import onnx
import torch
import torchattacks
from onnx2torch import convert

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/data/peers_strength.json"

# Samples, budgets per norm, and whether the slow attacks run.
MODELS = {
    "digits_cnn": (100, {"linf": [0.05, 0.15], "l2": [0.3, 0.8], "l1": [1.0, 3.0]}, True),
    "digits_cnn_plain": (100, {"linf": [0.03, 0.08], "l2": [0.2, 0.5], "l1": [0.5, 1.5]}, False),
    "mnist2x10": (100, {"linf": [0.02, 0.05], "l2": [0.2, 0.5], "l1": [1.0, 3.0]}, False),
    "mnist5x20_leaky": (100, {"linf": [0.02, 0.05], "l2": [0.2, 0.5], "l1": [1.0, 3.0]}, False),
}


# How often an attack that begins at random is run, by the name of ours: a sample or two come and go with the seed.
SEEDS = {"pgd": 5, "apgd": 5}


class Images(torch.nn.Module):
    """The converted model behind images, whose axis of length one the file may not have."""

    def __init__(self, path):
        super().__init__()
        self.inner = convert(onnx.load(path)).eval()

    def forward(self, x):
        return self.inner(x)


def budgeted(norm, slow):
    """(peer, name, ours, attack) for attacks with a budget: attack(model, x, y, eps)."""
    fb = foolbox.attacks
    step = {"linf": fb.LinfFastGradientAttack, "l2": fb.L2FastGradientAttack, "l1": fb.L1FastGradientAttack}[norm]
    pgd = {"linf": fb.LinfPGD, "l2": fb.L2PGD, "l1": fb.L1PGD}[norm]

    def by_foolbox(attack):
        def run(model, x, y, eps):
            fmodel = foolbox.PyTorchModel(model, bounds=(0, 1))
            return attack(fmodel, x, foolbox.criteria.Misclassification(y), epsilons=eps)[1]
        return run

    def by_torchattacks(make):
        return lambda model, x, y, eps: make(model, eps)(x, y)

    rows = [
        ("foolbox", step.__name__, "fgsm", by_foolbox(step())),
        ("foolbox", pgd.__name__, "pgd:steps=40,rel_step=0.1", by_foolbox(pgd(steps=40, rel_stepsize=0.1))),
    ]
    if norm == "linf":
        rows += [
            ("torchattacks", "MIFGSM", "pgd:steps=10,rel_step=0.1,momentum=1,random_start=false",
             by_torchattacks(lambda m, e: torchattacks.MIFGSM(m, eps=e, alpha=e / 10, steps=10))),
        ]
    if norm == "linf" and slow:
        rows.append(("torchattacks", "SPSA", "spsa:steps=10,pairs=64",
                     by_torchattacks(lambda m, e: torchattacks.SPSA(m, eps=e, nb_iter=10, nb_sample=64))))
    if norm != "l1":
        name = {"linf": "Linf", "l2": "L2"}[norm]
        for loss in ["ce", "dlr"]:
            rows.append(("torchattacks", f"APGD {loss}", f"apgd:steps=100,loss={loss}",
                         by_torchattacks(lambda m, e, loss=loss: torchattacks.APGD(
                             m, norm=name, eps=e, steps=100, loss=loss, seed=torch.initial_seed()))))
        rows.append(("torchattacks", "Square", "square:queries=1000",
                     by_torchattacks(lambda m, e: torchattacks.Square(m, norm=name, eps=e, n_queries=1000))))
    return rows


def minimal(norm, slow):
    """(peer, name, ours, attack) for minimal-norm attacks: attack(model, x, y)."""
    fb = foolbox.attacks

    def by_foolbox(attack):
        def run(model, x, y):
            fmodel = foolbox.PyTorchModel(model, bounds=(0, 1))
            return attack(fmodel, x, foolbox.criteria.Misclassification(y), epsilons=None)[1]
        return run

    def fab(model, x, y):
        name = {"linf": "Linf", "l2": "L2", "l1": "L1"}[norm]
        # Its eps only bounds the first restart's start; 100 steps from the clean input need none.
        return torchattacks.FAB(model, norm=name, eps=1e3, steps=100)(x, y)

    fmn = {"linf": fb.LInfFMNAttack, "l2": fb.L2FMNAttack, "l1": fb.L1FMNAttack}[norm]
    rows = [("foolbox", fmn.__name__, "fmn:steps=1000", by_foolbox(fmn(steps=1000))), ("torchattacks", "FAB", "fab:steps=100", fab)]
    if norm == "l2":
        rows += [
            ("foolbox", "L2DeepFoolAttack", "deepfool", by_foolbox(fb.L2DeepFoolAttack(steps=50))),
            ("foolbox", "DDNAttack", "ddn:steps=300", by_foolbox(fb.DDNAttack(steps=300))),
        ]
        if slow:
            rows.append(("foolbox", "L2CarliniWagnerAttack", "cw:steps=1000", by_foolbox(fb.L2CarliniWagnerAttack(steps=1000))))
    if norm == "linf":
        rows.append(("foolbox", "LinfDeepFoolAttack", "deepfool", by_foolbox(fb.LinfDeepFoolAttack(steps=50))))
    if norm == "l1" and slow:
        ead = fb.EADAttack(steps=1000, regularization=0.01, decision_rule="L1")
        rows.append(("foolbox", "EADAttack", "ead:steps=1000,beta=0.01", by_foolbox(ead)))
    return rows


def sizes(norm, x, adversarial):
    change = (adversarial.double() - x.double()).flatten(1)
    return {"linf": change.abs().amax(1), "l2": change.norm(dim=1), "l1": change.abs().sum(1)}[norm]


def judged(model, x, y, adversarial):
    """Which points are in [0, 1] and misclassified."""
    with torch.no_grad():
        wrong = model(adversarial).argmax(1) != y
    inside = ((adversarial >= 0) & (adversarial <= 1)).flatten(1).all(1)
    return wrong & inside


def rows_of(name, shared):
    count, budgets, slow = MODELS[name]
    assets = ROOT / "examples/assets"
    own = (assets / f"{name}.onnx").exists()
    path = assets / f"{name}.onnx" if own else shared / f"models/{name}.onnx"
    data = np.load(assets / "digits_test.npz" if own else shared / f"robustness/data/{name}.npz")
    x = torch.from_numpy(data["x"][:count].astype(np.float32))
    y = torch.from_numpy(data["y"][:count].astype(np.int64))
    model = Images(path).eval()
    rows = []

    def add(peer, attack, ours, norm, **found):
        rows.append({"model": name, "samples": count, "norm": norm, "peer": peer, "attack": attack, "ours": ours, **found})
        print(name, norm, peer, attack, flush=True)

    for norm, all_eps in budgets.items():
        for peer, attack, ours, run in budgeted(norm, slow):
            with torch.no_grad():
                wrong = model(x).argmax(1) != y
            seeds = 1 if "random_start=false" in ours else SEEDS.get(ours.split(":")[0], 1)
            robust = []
            for eps in all_eps:
                times = torch.zeros(count, dtype=torch.int64)
                for seed in range(seeds):
                    torch.manual_seed(seed)
                    adversarial = run(model, x, y, eps).detach()
                    within = sizes(norm, x, adversarial) <= eps * (1 + 1e-5)
                    times += ~(wrong | judged(model, x, y, adversarial) & within)
                robust.append(times.tolist())
            add(peer, attack, ours, norm, eps=all_eps, seeds=seeds, robust=robust)
        for peer, attack, ours, run in minimal(norm, slow):
            torch.manual_seed(0)
            try:
                adversarial = run(model, x, y).detach()
            except Exception as error:  # a peer's own fault is a missing row
                print(name, norm, peer, attack, "FAILED:", error, flush=True)
                continue
            found, size = judged(model, x, y, adversarial), sizes(norm, x, adversarial)
            distances = [float(f"{s:.6g}") if f else None for f, s in zip(found.tolist(), size.tolist())]
            add(peer, attack, ours, norm, eps=all_eps, distance=distances)
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared/reference")
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    arguments = parser.parse_args()
    out = arguments.out
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    kept = json.loads(out.read_text())["rows"] if out.exists() else []
    for name in arguments.models:
        kept = [row for row in kept if row["model"] != name] + rows_of(name, arguments.shared)
        versions = {"torch": torch.__version__, "foolbox": foolbox.__version__, "torchattacks": "3.5.1"}
        lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in kept)
        out.write_text(f'{{"versions":{json.dumps(versions)},\n"rows":[\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
