"""A Gaussian process over configurations, its parameters by maximum a posteriori.

Matern 5/2 with a length scale a dimension, plus a constant, plus the terms of the prior mean with
their coefficients integrated out (Rasmussen & Williams 2006, sections 2.7 and 5.4).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri, dtrtrs
from scipy.optimize import minimize

from hpo.strategies.gp.dimensions import Array

CONSTANT = 1.0  # standard deviation of the constant mean, in deviations of the score
LENGTH_WIDTH = 0.8  # deviation of the logarithm of a length scale
SIGNAL = (0.0, 0.7)  # of the signal's variance, in variances of the score
NOISE = (math.log(1e-2), 1.0)  # of the noise's: a loose one explains everything as noise
LEAST_NOISE = 1e-6
ITERATIONS = 25


@dataclass(frozen=True)
class Sample:
    """What is regressed, n observations.

    Args:
        features: (n, Q).
        owners: the dimension of each feature; (Q,).
        terms: of the prior mean; (n, H).
        scores: about of mean 0 and variance 1; (n,).
        extra_noise: variance of an observation beyond the noise that all have; (n,).
    """

    features: Array
    owners: NDArray[np.intp]
    terms: Array
    scores: Array
    extra_noise: Array

    def part(self, index: NDArray[np.intp]) -> "Sample":
        """Return some of the observations."""
        return Sample(
            self.features[index],
            self.owners,
            self.terms[index],
            self.scores[index],
            self.extra_noise[index],
        )


class Surrogate:
    """The regression of a sample.

    Args:
        sample: the observations.
        parameters: logarithms of the length scales (one a dimension), of the variance of the
            signal and of that of the noise; (P + 2,).
        belief: mean and standard deviation of the coefficient of each term of the prior mean.
    """

    def __init__(self, sample: Sample, parameters: Array, belief: tuple[float, float]) -> None:
        self._sample, self._belief = sample, belief
        self._weights = np.exp(-parameters[:-2])[sample.owners]
        self._signal = math.exp(parameters[-2])
        self.noise = math.exp(parameters[-1]) + LEAST_NOISE
        self._places = sample.features * self._weights
        covariance = self._signal * _matern(self._places, self._places)[0]
        covariance += _linear(sample.terms, sample.terms, belief)
        jitter = 0.0
        while True:
            noisy = covariance.copy()
            noisy.flat[:: len(noisy) + 1] += self.noise + sample.extra_noise + jitter
            self._factor, failed = dpotrf(noisy, lower=1)
            if not failed:
                break
            jitter = max(10 * jitter, 1e-6)
        rest = sample.scores - sample.terms.sum(axis=1) * belief[0]
        half = dtrtrs(self._factor, rest, lower=1)[0]
        self._coefficients = dtrtrs(self._factor, half, lower=1, trans=1)[0]

    def mean(self, features: Array, terms: Array) -> Array:
        """Return the posterior mean; (m, Q) and (m, H) to (m,)."""
        return self._mean(self._cross(features, terms), terms)

    def predict(self, features: Array, terms: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation without noise; (m, Q), (m, H) to (m,) each."""
        cross = self._cross(features, terms)
        explained = dtrtrs(self._factor, cross.T, lower=1)[0]
        before = self._signal + CONSTANT**2 + self._belief[1] ** 2 * (terms**2).sum(axis=1)
        variance = before - np.einsum("ij,ij->j", explained, explained)
        return self._mean(cross, terms), np.sqrt(np.maximum(variance, 1e-10))

    def _cross(self, features: Array, terms: Array) -> Array:
        near = _matern(features * self._weights, self._places)[0]
        return self._signal * near + _linear(terms, self._sample.terms, self._belief)

    def _mean(self, cross: Array, terms: Array) -> Array:
        return np.asarray(cross @ self._coefficients + terms.sum(axis=1) * self._belief[0])


def fit(sample: Sample, lengths: Array, belief: tuple[float, float]) -> Array:
    """Return the most likely parameters of a `Surrogate`; (P + 2,).

    Args:
        sample: the observations.
        lengths: the length scales that are expected, in unit coordinates; (P,).
        belief: see `Surrogate`.
    """
    center = np.concatenate([np.log(lengths), [SIGNAL[0], NOISE[0]]])
    width = np.array([LENGTH_WIDTH] * len(lengths) + [SIGNAL[1], NOISE[1]])
    if len(sample.scores) < 3:
        return center
    loss = Loss(sample, center, width, belief)
    bounds = list(zip(center - 4 * width, center + 4 * width, strict=True))
    found = minimize(
        loss, center, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS}
    )
    return np.asarray(found.x)


class Loss:
    """The negative logarithm of the posterior of the parameters, with its gradient."""

    def __init__(
        self, sample: Sample, center: Array, width: Array, belief: tuple[float, float]
    ) -> None:
        self._sample, self._center, self._width = sample, center, width
        self._fixed = _linear(sample.terms, sample.terms, belief)
        self._rest = sample.scores - sample.terms.sum(axis=1) * belief[0]

    def __call__(self, parameters: Array) -> tuple[float, Array]:
        """Return value and gradient (Rasmussen & Williams 2006, equations 5.8 and 5.9)."""
        owners, count = self._sample.owners, len(parameters) - 2
        places = self._sample.features * np.exp(-parameters[:-2])[owners]
        signal, noise = math.exp(parameters[-2]), math.exp(parameters[-1])
        matern, root, decay = _matern(places, places)
        covariance = signal * matern + self._fixed
        n = len(covariance)
        covariance.flat[:: n + 1] += noise + LEAST_NOISE + self._sample.extra_noise
        factor, failed = dpotrf(covariance, lower=1)
        if failed:
            return 1e10, np.zeros_like(parameters)
        inverse = np.tril(dpotri(factor, lower=1)[0])
        inverse += np.tril(inverse, -1).T
        coefficients = inverse @ self._rest
        off = (parameters - self._center) / self._width
        value = 0.5 * self._rest @ coefficients + np.log(np.diag(factor)).sum() + 0.5 * off @ off
        slope = inverse - np.outer(coefficients, coefficients)  # twice that by the covariance
        # by the squared distances; then sum_ij w_ij (x_i - x_j)^2 = 2 (sum_i w_i x_i^2 - x'Wx)
        weights = slope * (-5 / 6 * signal) * (1 + root) * decay
        spans = weights.sum(axis=1) @ places**2
        spans -= np.einsum("iq,iq->q", places, weights @ places)
        gradient = np.empty_like(parameters)
        gradient[:-2] = -2 * np.bincount(owners, spans, minlength=count)
        gradient[-2] = 0.5 * signal * np.vdot(slope, matern)
        gradient[-1] = 0.5 * noise * np.trace(slope)
        return float(value), gradient + off / self._width


def _matern(one: Array, other: Array) -> tuple[Array, Array, Array]:
    """Return the correlations, and sqrt(5) times the distances with their exponentials."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2 * one @ other.T
    root = np.sqrt(5 * np.maximum(squares, 0))
    decay = np.exp(-root)
    return (1 + root + root**2 / 3) * decay, root, decay


def _linear(one: Array, other: Array, belief: tuple[float, float]) -> Array:
    return np.asarray(belief[1] ** 2 * one @ other.T + CONSTANT**2)
