"""Writes statistics.json: what scipy makes of a few counts and distances.

    pip install scipy==1.17.1
    python tests/data/statistics.py
"""

import json
from pathlib import Path

import numpy as np
import scipy
from scipy import stats


def clopper_pearson():
    for k, n in [(0, 10), (1, 10), (5, 10), (10, 10), (99, 100), (432, 1000), (9_990, 10_000), (99_000, 100_000)]:
        for confidence in [0.9, 0.95, 0.999]:
            low, high = stats.binomtest(k, n).proportion_ci(confidence, method="exact")
            yield {"k": k, "n": n, "confidence": confidence, "interval": [low, high]}


def clopper_pearson_lower():
    for k, n, alpha in [(1, 10, 0.05), (60, 100, 0.001), (99, 100, 0.001), (100, 100, 0.001), (99_000, 100_000, 0.001)]:
        yield {"k": k, "n": n, "alpha": alpha, "lower": float(stats.beta.ppf(alpha, k, n - k + 1))}


def mcnemar():
    for gained, lost in [(0, 0), (1, 0), (0, 6), (3, 3), (5, 12), (40, 61), (900, 1000)]:
        discordant = gained + lost
        p = stats.binomtest(gained, discordant).pvalue if discordant else 1.0
        yield {"gained": gained, "lost": lost, "p": p}


def homogeneity():
    for table in [[[90, 10], [70, 30]], [[50, 50], [50, 50], [49, 51]], [[9, 1], [2, 8], [5, 5], [7, 3]], [[480, 20], [430, 70], [455, 45]]]:
        found = stats.chi2_contingency(table, correction=False)
        yield {"table": table, "statistic": found.statistic, "p": found.pvalue}


def survival():
    rng = np.random.default_rng(0)
    ties = [0.1, 0.2, 0.2, 0.3, 0.3, 0.3, 0.5, 0.5, 0.7, 0.7]
    broken = [True, True, False, True, False, True, True, True, False, False]
    long = np.round(rng.exponential(0.3, 40), 2) + 0.01
    limit = np.round(rng.uniform(0.1, 0.8, 40), 2)
    for times, events in [(ties, broken), (np.minimum(long, limit).tolist(), (long <= limit).tolist())]:
        times, events = np.array(times), np.array(events)
        data = stats.CensoredData.right_censored(times, ~events)
        sf = stats.ecdf(data).sf
        interval = sf.confidence_interval(0.95, method="log-log")
        at = [i for i, q in enumerate(sf.quantiles) if np.any((times == q) & events)]
        clean = lambda values: [None if not np.isfinite(v) else float(v) for v in np.asarray(values)[at]]
        yield {
            "distance": times.tolist(),
            "broken": events.tolist(),
            "at": clean(sf.quantiles),
            "survival": clean(sf.probabilities),
            "lower": clean(interval.low.probabilities),
            "upper": clean(interval.high.probabilities),
        }


def main():
    parts = [clopper_pearson, clopper_pearson_lower, mcnemar, homogeneity, survival]
    table = {"scipy": scipy.__version__} | {part.__name__: list(part()) for part in parts}
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in table.items()]
    Path(__file__).with_suffix(".json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
