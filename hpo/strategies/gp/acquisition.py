"""How much improvement a configuration promises."""

import math

import numpy as np
from scipy.special import erfcx, log_ndtr

from hpo.strategies.gp.dimensions import Array


def log_augmented_improvement(mean: Array, deviation: Array, best: float, noise: float) -> Array:
    """Return the logarithm of the augmented expected improvement; all (n,).

    Expected improvement over the best posterior mean, times 1 - s_n / sqrt(s^2 + s_n^2): under
    noise s_n another look at what is known already is worth little (Huang et al. 2006,
    https://doi.org/10.1007/s10898-005-2454-3; their best is the mean where mean - s is highest).

    Args:
        mean: of the posterior without noise.
        deviation: its standard deviation s, above zero.
        best: the highest posterior mean of a configuration that was tried.
        noise: the variance of an observation.
    """
    total = np.sqrt(deviation**2 + noise)
    # 1 - sn/t as s^2 / (t (t + sn)), which does not cancel
    news = deviation**2 / (total * (total + math.sqrt(noise)))
    return np.log(deviation) + log_h((mean - best) / deviation) + np.log(news)


def log_h(z: Array) -> Array:
    """Return log(phi(z) + z Phi(z)) without underflow, for z of any size.

    Ament et al. 2023, https://arxiv.org/abs/2310.20708, section 4.1 and appendix A.1.
    """
    result = np.empty_like(z)
    near = z > -1
    x = z[near]
    result[near] = np.log(np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi) + x * np.exp(log_ndtr(x)))
    x = -z[~near]
    ratio = math.sqrt(math.pi / 2) * erfcx(x / math.sqrt(2)) * x  # |z| Phi(z) / phi(z)
    far = x > 1e3  # where 1 - ratio is lost to rounding it is 1 / z^2
    rest = np.where(far, -2 * np.log(x), np.log1p(-np.where(far, 0.0, ratio)))
    result[~near] = -0.5 * x**2 - 0.5 * math.log(2 * math.pi) + rest
    return result
