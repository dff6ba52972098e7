"""Hyperparameter search for fine-tuning transformers on NER and sentiment analysis.

The Python API is a few functions that mirror the commands; nothing heavy is imported before one
of them is called.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from wrapt import register_post_import_hook

if TYPE_CHECKING:
    from hpo.errors import HpoError as HpoError
    from hpo.run import run_study as run_study
    from hpo.study import load_study as load_study

__version__ = "0.1.0"
__all__ = ["HpoError", "__version__", "load_study", "run_study"]


def _offer_heads(_imported: object) -> None:
    # transformers has no token-classification head for openai-gpt; ours is added as soon as (and
    # only if) somebody imports transformers' Auto classes, so that `import hpo` itself stays light.
    # These modules import each other: who comes first finds another one half-made, and the hook of
    # that one comes again.
    half_made = any(
        name in sys.modules and not hasattr(sys.modules[name], its) for name, its in _PARTS.items()
    )
    if not half_made:
        heads = import_module("hpo.heads")
        if hasattr(heads, "register"):  # else it is being imported just now
            heads.register(sys.modules[_AUTO])


_AUTO = "transformers.models.auto.modeling_auto"
_PARTS = {
    _AUTO: "AutoModelForTokenClassification",
    "transformers.modeling_layers": "GenericForTokenClassification",
    "transformers.models.openai.modeling_openai": "OpenAIGPTPreTrainedModel",
}
for _module in _PARTS:
    register_post_import_hook(_offer_heads, _module)

_LAZY = {"HpoError": "hpo.errors", "load_study": "hpo.study", "run_study": "hpo.run"}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'hpo' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
