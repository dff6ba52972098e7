"""The search space: what is searched, together and on what conditions."""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import ConfigDict, RootModel, model_validator

from hpo.parameters import Float, Parameter, Scalar, SuggestingTrial, as_tuple, described
from hpo.plugins import nearest


class SearchSpace(RootModel[dict[str, Parameter]]):
    """Name -> parameter, in the order of the study file."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="after")
    def _check(self) -> "SearchSpace":
        problems = [
            f"{name}.when: {problem}"
            for name, parameter in self.root.items()
            for problem in self._misconditions(name, parameter)
        ]
        if not problems and len(self.in_order()) < len(self):
            late = [name for name in self.root if name not in self.in_order()]
            problems = [f"{', '.join(late)}: found conditions that wait for each other"]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _misconditions(self, name: str, parameter: Parameter) -> Iterator[str]:
        for other, wanted in (parameter.when or {}).items():
            if other == name:
                yield "found the parameter itself; expected another one"
                continue
            if other not in self.root:
                known = [each for each in self.root if each != name]
                yield f"found {other!r}, which is not searched; known are {', '.join(known)}"
                continue
            if not as_tuple(wanted):
                yield f"found no value of {other}; expected one at least"
            condition = self.root[other]
            if isinstance(condition, Float) and condition.step is None:
                low, high = condition.bounds()
                if low < high:
                    yield (
                        f"found {other}, which hardly ever has a certain value; expected a choice, "
                        "a whole number, or a range with a step"
                    )
                    continue
            for value in as_tuple(wanted):
                if not self.root[other].holds(value):
                    yield f"found {other} = {value!r}, a value that it never has"

    def in_order(self) -> list[str]:
        """Return the names, each behind those it depends on, and as in the file otherwise."""
        order: list[str] = []
        left = list(self.root)
        while ready := [name for name in left if not set(self.root[name].when or ()) - set(order)]:
            order.append(ready[0])
            left.remove(ready[0])
        return order

    def __len__(self) -> int:
        return len(self.root)

    def names(self) -> list[str]:
        """Return the names of the parameters."""
        return list(self.root)

    def suggest(self, trial: SuggestingTrial) -> dict[str, Scalar]:
        """Draw a value for each parameter that exists from an Optuna trial."""
        drawn: dict[str, Scalar] = {}
        for name in self.in_order():
            if self.root[name].exists(drawn):
                drawn[name] = self.root[name].suggest(name, trial)
        return {name: drawn[name] for name in self.root if name in drawn}

    def is_drawn(self, params: Mapping[str, object]) -> bool:
        """Say whether every parameter that exists has a value."""
        return all(
            name in params for name, parameter in self.root.items() if parameter.exists(params)
        )

    def points(self) -> Iterator[dict[str, Scalar]]:
        """Yield every point of the grid that exists, the last parameter varying fastest.

        Raises:
            ValueError: a range has neither `step` nor `points`.
        """
        axes = {name: self.root[name].values_of_grid(name) for name in self.in_order()}
        for point in self._points(list(axes.items()), {}):
            yield {name: point[name] for name in self.root if name in point}

    def _points(
        self, axes: Sequence[tuple[str, Sequence[Scalar]]], begun: dict[str, Scalar]
    ) -> Iterator[dict[str, Scalar]]:
        if not axes:
            yield begun
            return
        (name, values), *rest = axes
        if not self.root[name].exists(begun):
            yield from self._points(rest, begun)
            return
        for value in values:
            yield from self._points(rest, {**begun, name: value})

    def misfits(self, params: Mapping[str, object]) -> Iterator[str]:
        """Say why a configuration, which may leave some to the search, is none of this space."""
        for name, value in params.items():
            parameter = self.root.get(name)
            if parameter is None:
                yield f"{name}: found no parameter of the space{nearest(name, list(self.root))}"
            elif not parameter.holds(value):
                yield f"{name}: found {value!r}; expected {described(parameter)}"
            elif set(parameter.when or ()) <= params.keys() and not parameter.exists(params):
                yield f"{name}: found beside values with which it does not exist (its `when`)"

    def completed(self, params: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Return a configuration with the values on which parameters of it depend.

        Where a parameter exists with several values of another one, the first of them is taken.
        """
        found = dict(params)
        for name in reversed(self.in_order()):
            if name in found:
                for other, wanted in (self.root[name].when or {}).items():
                    found.setdefault(other, as_tuple(wanted)[0])
        return {name: found[name] for name in self.root if name in found}

    def split(self, model_parameters: Mapping[str, object]) -> tuple[list[str], list[str]]:
        """Split the names into training arguments and model parameters, each in order."""
        ours = [name for name in self.root if name in model_parameters]
        return [name for name in self.root if name not in model_parameters], ours
