"""Data sets of the Hugging Face hub, and what its errors mean for the user.

Preparing a data set writes all its splits to the cache of `datasets`; only those asked for are
opened afterwards.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import OfflineModeIsEnabled, RevisionNotFoundError

from hpo.errors import DataError
from hpo.spec import DataSpec

_UNREACHABLE = (ConnectionError, TimeoutError, OfflineModeIsEnabled)

HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def prepare(path: str, spec: DataSpec) -> datasets.DatasetBuilder:
    """Download a data set, unless the cache has it.

    Raises:
        DataError: one problem that says what to do.
    """
    with _explained(path, spec):
        # "hf://": a folder of that name in the working directory is not meant.
        builder = datasets.load_dataset_builder(
            f"hf://datasets/{path}", spec.name, revision=spec.revision
        )
        builder.download_and_prepare()
    if spec.revision is not None and builder.base_path is None:
        _check_cached_revision(path, spec.revision, builder.hash)
    return builder


def read_split(builder: datasets.DatasetBuilder, split: str, spec: DataSpec) -> datasets.Dataset:
    """Open a split, or a slice such as `train[:10%]`, of a prepared data set.

    Raises:
        DataError: there is no such split, or it cannot be read.
    """
    with _explained(str(spec.path), spec):
        dataset = builder.as_dataset(split=split)
    if not isinstance(dataset, datasets.Dataset):
        raise DataError(f"{spec.path}: found no rows in the split {split!r}; expected a data set")
    return dataset


@contextmanager
def _explained(path: str, spec: DataSpec) -> Iterator[None]:
    where = f"data.path: hub data set {path!r}"
    if spec.revision is not None:
        where += f" at revision {spec.revision!r}"
    try:
        yield
    except Exception as error:  # the hub, the network, the disk, foreign files
        raise DataError(f"{where}: {_explain(error)}") from error


def _explain(error: Exception) -> str:
    if isinstance(error, DatasetGenerationError):  # it says only that there was an error
        return f"cannot be read: {_first_line(error.__cause__ or error)}"
    reason = _first_line(error)
    chain = list(_chain(error))
    unknown = isinstance(error, DatasetNotFoundError)
    explanations = {
        # raised `from None`, so that its text alone tells it
        "is gated; ask for access on its hub page, then run `hf auth login` or set HF_TOKEN": (
            unknown and "is a gated dataset" in reason
        ),
        "found no such revision; see the branches, tags and commits on its hub page": any(
            isinstance(cause, RevisionNotFoundError) for cause in chain
        ),
        "found neither on the hub nor as a folder beside the study file, or it is private; check "
        "the name, or run `hf auth login` or set HF_TOKEN": unknown,
        "is made by a script, which datasets 5 does not run; try "
        "data.revision = 'refs/convert/parquet', or a copy of the data set in Parquet": (
            "scripts are no longer supported" in reason
        ),
        "the hub cannot be reached and the cache does not have it; check the network, unset "
        "HF_HUB_OFFLINE, or load it once on a machine with a network and share HF_HOME "
        f"({reason})": any(isinstance(cause, _UNREACHABLE) for cause in chain),
    }
    return next(
        (text for text, applies in explanations.items() if applies), f"cannot be loaded: {reason}"
    )


def _first_line(error: BaseException) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")
    return f"{type(error).__name__}: {line}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _check_cached_revision(path: str, revision: str, cached: str) -> None:
    # Where the hub does not answer, datasets takes the newest copy in its cache, whatever its
    # revision; the cache of the hub remembers which commit a branch or tag was.
    reference = Path(HF_HUB_CACHE, f"datasets--{path.replace('/', '--')}", "refs", revision)
    commit = reference.read_text().strip() if reference.is_file() else revision
    if not cached.startswith(commit):
        raise DataError(
            f"data.revision: found {revision!r}, but the hub cannot be reached and the newest "
            f"copy of {path!r} in the cache is revision {cached!r}; expected that one, or a network"
        )
