"""Writes statistics.json: what scipy, numpy and scikit-image make of a few counts, distances and images.

    pip install scikit-image==0.26.0 scipy==1.17.1
    python tests/data/statistics.py
"""

import json
from pathlib import Path

import numpy as np
import scipy
import skimage
from scipy import optimize, stats
from skimage.metrics import structural_similarity


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


def quantiles():
    rng = np.random.default_rng(1)
    for values in [[3], [1, 2], [5, 1, 4, 2, 3], rng.integers(1, 40, 57).tolist(), rng.integers(1, 9000, 100).tolist()]:
        for q in [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]:
            yield {"values": values, "q": q, "quantile": float(np.quantile(values, q, method="inverted_cdf"))}


def similarity():
    """Images by formulas in place of values: a wave of row, column and channel, and what is added to it, both in float32."""
    for shape, scale, noise in [((11, 11), 1, 0.1), ((14, 23), 1, 0.02), ((3, 16, 12), 1, 0.3), ((32, 28, 3), 255, 40), ((20, 20), 1, 0)]:
        axis = 2 if len(shape) == 3 and shape[2] < shape[0] else 0 if len(shape) == 3 else None
        i = np.arange(np.prod(shape), dtype=np.float64)
        first = (scale * (0.5 + 0.5 * np.sin(0.37 * i))).astype(np.float32)
        second = np.clip(first.astype(np.float64) + noise * np.cos(1.7 * i * i), 0, scale).astype(np.float32)
        found = structural_similarity(
            first.astype(np.float64).reshape(shape),
            second.astype(np.float64).reshape(shape),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=float(scale),
            channel_axis=axis,
        )
        yield {"shape": shape, "range": scale, "noise": noise, "ssim": float(found)}


def reverse_weibull():
    """scipy's fit from several shapes, the likeliest of them, again from there until it stays."""
    for seed, (shape, location, scale, count) in enumerate([(2.5, 7.0, 1.0, 60), (4.0, 0.3, 0.05, 120), (8.0, -2.0, 3.0, 250)]):
        drawn = stats.weibull_max.rvs(shape, location, scale, size=count, random_state=seed)
        values = np.array([float(f"{value:.6g}") for value in drawn])
        precise = lambda f, x0, args, disp: optimize.fmin(f, x0, args, xtol=1e-10, ftol=1e-12, maxiter=10_000, maxfun=10_000, disp=0)
        fits = [stats.weibull_max.fit(values, start, loc=values.max() + values.std(), scale=values.std(), optimizer=precise) for start in (1.5, 3, 6, 12)]
        fits = [stats.weibull_max.fit(values, fit[0], loc=fit[1], scale=fit[2], optimizer=precise) for fit in fits]
        fits = [fit for fit in fits if fit[0] >= 1 and fit[1] > values.max()]
        best = min(fits, key=lambda fit: stats.weibull_max.nnlf(fit, values))
        distance = stats.kstest(values, "weibull_max", best).statistic
        yield {"values": values.tolist(), "shape": best[0], "location": best[1], "scale": best[2], "distance": distance}


def main():
    parts = [clopper_pearson, clopper_pearson_lower, mcnemar, homogeneity, survival, quantiles, similarity, reverse_weibull]
    table = {"scipy": scipy.__version__, "numpy": np.__version__, "skimage": skimage.__version__} | {part.__name__: list(part()) for part in parts}
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in table.items()]
    Path(__file__).with_suffix(".json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
