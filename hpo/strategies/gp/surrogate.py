"""A Gaussian process over configurations, its parameters by maximum a posteriori.

Matern 5/2 with a length scale a dimension, plus a constant, plus the terms of the prior mean with
their coefficients integrated out (Rasmussen & Williams 2006, sections 2.7 and 5.4). One dimension
may be sheared by others: `hpo.strategies.gp.prior.Trade`.
"""

import math
from dataclasses import dataclass, field

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
JITTERS = (
    0.0,
    *(10.0**exponent for exponent in range(-6, 3)),
)  # where rounding asks for more noise
ITERATIONS = 25


@dataclass(frozen=True)
class Inputs:
    """Configurations as the model sees them, n of them.

    Args:
        features: (n, Q).
        terms: of the prior mean; (n, H).
        levers: of the trade; (n, R).
    """

    features: Array
    terms: Array
    levers: Array

    def part(self, index: NDArray[np.intp]) -> "Inputs":
        """Return some of them."""
        return Inputs(self.features[index], self.terms[index], self.levers[index])

    def joined(self, others: "Inputs") -> "Inputs":
        """Return these and others."""
        return Inputs(
            np.concatenate([self.features, others.features]),
            np.concatenate([self.terms, others.terms]),
            np.concatenate([self.levers, others.levers]),
        )


@dataclass(frozen=True)
class Sample:
    """What is regressed, n observations.

    Args:
        inputs: the configurations.
        scores: about of mean 0 and variance 1; (n,).
        extra_noise: variance of an observation beyond the noise that all have; (n,).
    """

    inputs: Inputs
    scores: Array
    extra_noise: Array

    def part(self, index: NDArray[np.intp]) -> "Sample":
        """Return some of the observations."""
        return Sample(self.inputs.part(index), self.scores[index], self.extra_noise[index])


@dataclass(frozen=True)
class Belief:
    """What the parameters of the model are thought to be before the first observation.

    Args:
        owners: the dimension of each feature; (Q,).
        lengths: the length scales, in unit coordinates; (P,).
        term: mean and standard deviation of the coefficient of each term of the prior mean.
        lead: the feature that the levers move.
        slopes: how far, for each lever; (R,).
        doubts: the standard deviation of each slope; (R,).
    """

    owners: NDArray[np.intp]
    lengths: Array
    term: tuple[float, float]
    lead: int = 0
    slopes: Array = field(default_factory=lambda: np.zeros(0))
    doubts: Array = field(default_factory=lambda: np.zeros(0))

    def center(self) -> Array:
        """Return the expected parameters of a `Surrogate`; (P + 2 + R,)."""
        return np.concatenate([np.log(self.lengths), [SIGNAL[0], NOISE[0]], self.slopes])

    def width(self) -> Array:
        """Return the standard deviation of each of them; (P + 2 + R,)."""
        lengths = np.full(len(self.lengths), LENGTH_WIDTH)
        return np.concatenate([lengths, [SIGNAL[1], NOISE[1]], self.doubts])

    def weights(self, parameters: Array) -> Array:
        """Return what the features are multiplied with; (Q,)."""
        return np.asarray(np.exp(-parameters[: len(self.lengths)])[self.owners])

    def places(self, inputs: Inputs, parameters: Array) -> Array:
        """Return what distances are measured between; (n, Q)."""
        places = inputs.features * self.weights(parameters)
        if len(self.slopes):
            shift = inputs.levers @ parameters[len(self.lengths) + 2 :]
            places[:, self.lead] -= shift * self.weights(parameters)[self.lead]
        return places


class Surrogate:
    """The regression of a sample.

    Args:
        sample: the observations.
        parameters: logarithms of the length scales (one a dimension), of the variance of the
            signal and of that of the noise, and the slopes of the trade; (P + 2 + R,).
        belief: what was expected of them.

    Raises:
        FloatingPointError: an observation is not finite.
    """

    def __init__(self, sample: Sample, parameters: Array, belief: Belief) -> None:
        self._sample, self._belief, self.parameters = sample, belief, parameters
        count, terms = len(belief.lengths), sample.inputs.terms
        self._signal = math.exp(parameters[count])
        self.noise = math.exp(parameters[count + 1]) + LEAST_NOISE
        self._places = belief.places(sample.inputs, parameters)
        covariance = self._signal * _matern(self._places, self._places)[0]
        covariance += _linear(terms, terms, belief.term)
        for jitter in JITTERS:
            noisy = covariance.copy()
            noisy.flat[:: len(noisy) + 1] += self.noise + sample.extra_noise + jitter
            self._factor, failed = dpotrf(noisy, lower=1)
            if not failed:
                break
        else:
            raise FloatingPointError("found numbers that are not finite among the observations")
        rest = sample.scores - terms.sum(axis=1) * belief.term[0]
        half = dtrtrs(self._factor, rest, lower=1)[0]
        self._coefficients = dtrtrs(self._factor, half, lower=1, trans=1)[0]

    def mean(self, inputs: Inputs) -> Array:
        """Return the posterior mean of m configurations; (m,)."""
        return self._mean(self._cross(inputs), inputs.terms)

    def predict(self, inputs: Inputs) -> tuple[Array, Array]:
        """Return mean and standard deviation, without noise, of m configurations; (m,) each."""
        cross = self._cross(inputs)
        explained = dtrtrs(self._factor, cross.T, lower=1)[0]
        of_terms = self._belief.term[1] ** 2 * (inputs.terms**2).sum(axis=1)
        before = self._signal + CONSTANT**2 + of_terms
        variance = before - np.einsum("ij,ij->j", explained, explained)
        return self._mean(cross, inputs.terms), np.sqrt(np.maximum(variance, 1e-10))

    def _cross(self, inputs: Inputs) -> Array:
        near = _matern(self._belief.places(inputs, self.parameters), self._places)[0]
        linear = _linear(inputs.terms, self._sample.inputs.terms, self._belief.term)
        return self._signal * near + linear

    def _mean(self, cross: Array, terms: Array) -> Array:
        return np.asarray(cross @ self._coefficients + terms.sum(axis=1) * self._belief.term[0])


def fit(sample: Sample, belief: Belief) -> Array:
    """Return the most likely parameters of a `Surrogate`; (P + 2 + R,)."""
    center, width = belief.center(), belief.width()
    if len(sample.scores) < 3:
        return center
    loss = Loss(sample, belief)
    bounds = list(zip(center - 4 * width, center + 4 * width, strict=True))
    found = minimize(
        loss, center, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS}
    )
    return np.asarray(found.x)


class Loss:
    """The negative logarithm of the posterior of the parameters, with its gradient."""

    def __init__(self, sample: Sample, belief: Belief) -> None:
        self._sample, self._belief = sample, belief
        self._center, self._width = belief.center(), belief.width()
        terms = sample.inputs.terms
        self._fixed = _linear(terms, terms, belief.term)
        self._rest = sample.scores - terms.sum(axis=1) * belief.term[0]

    def __call__(self, parameters: Array) -> tuple[float, Array]:
        """Return value and gradient (Rasmussen & Williams 2006, equations 5.8 and 5.9)."""
        belief, inputs = self._belief, self._sample.inputs
        count = len(belief.lengths)
        places = belief.places(inputs, parameters)
        signal, noise = math.exp(parameters[count]), math.exp(parameters[count + 1])
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
        # by the squared distances
        weights = slope * (-5 / 6 * signal) * (1 + root) * decay
        pulls = 2 * (weights.sum(axis=1)[:, None] * places - weights @ places)  # by the places
        spans = np.einsum("iq,iq->q", pulls, places)
        gradient = np.empty_like(parameters)
        gradient[:count] = -np.bincount(belief.owners, spans, minlength=count)
        gradient[count] = 0.5 * signal * np.vdot(slope, matern)
        gradient[count + 1] = 0.5 * noise * np.trace(slope)
        if len(belief.slopes):
            lead = pulls[:, belief.lead] * belief.weights(parameters)[belief.lead]
            gradient[count + 2 :] = -lead @ inputs.levers
        return float(value), gradient + off / self._width


def _matern(one: Array, other: Array) -> tuple[Array, Array, Array]:
    """Return the correlations, and sqrt(5) times the distances with their exponentials."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2 * one @ other.T
    root = np.sqrt(5 * np.maximum(squares, 0))
    decay = np.exp(-root)
    return (1 + root + root**2 / 3) * decay, root, decay


def _linear(one: Array, other: Array, belief: tuple[float, float]) -> Array:
    return np.asarray(belief[1] ** 2 * one @ other.T + CONSTANT**2)
