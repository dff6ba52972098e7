"""The token-classification head that transformers lacks for openai-gpt, and its registration.

transformers has such a head for BERT, RoBERTa and GPT-2. Ours is built from transformers' own
generic head, saves and loads like any model, and is known to `AutoModelForTokenClassification`
and to `pipeline("token-classification")` once `hpo` has been imported.
"""

from types import ModuleType

from transformers import OpenAIGPTConfig, OpenAIGPTPreTrainedModel
from transformers.modeling_layers import GenericForTokenClassification


class OpenAIGPTForTokenClassification(GenericForTokenClassification, OpenAIGPTPreTrainedModel):
    """The original GPT with a linear layer over each sub-token."""

    base_model_prefix = "transformer"


def register(modeling_auto: ModuleType) -> None:
    """Make the head known to transformers' Auto class and pipeline.

    Called by the import hook in `hpo/__init__.py` with `transformers.models.auto.modeling_auto`.
    """
    # Without `exist_ok` a native config is skipped in silence.
    modeling_auto.AutoModelForTokenClassification.register(
        OpenAIGPTConfig, OpenAIGPTForTokenClassification, exist_ok=True
    )
