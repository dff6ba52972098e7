"""From a pretrained model to the model of one trial: head, dropout, freezing.

Model families differ in what their dropout is called and where their head is; those differences
end here. Nothing is keyed on a family's name where the module tree itself tells.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from hpo.errors import ModelError
from hpo.freezing import freeze
from hpo.pretrained import Source, told
from hpo.spec import FineTuningSpec

_DROPOUT_FIELDS = (
    "hidden_dropout_prob", "attention_probs_dropout_prob",  # BERT, RoBERTa, ELECTRA, DeBERTa
    "resid_pdrop", "embd_pdrop", "attn_pdrop",  # GPT, GPT-2
    "dropout", "attention_dropout", "activation_dropout",  # DistilBERT, BART
    "embedding_dropout", "mlp_dropout",  # ModernBERT
    "hidden_dropout", "dropout_rate",  # MPNet's cousins, T5
)  # fmt: skip
_CLASSIFIER_DROPOUT_FIELDS = (
    "classifier_dropout", "classifier_dropout_prob", "seq_classif_dropout", "cls_dropout",
    "summary_first_dropout",
)  # fmt: skip


def build(
    auto_model: Any,
    source: Source,
    tokenizer: PreTrainedTokenizerBase,
    labels: list[str],
    fine_tuning: FineTuningSpec,
) -> PreTrainedModel:
    """Build the task model of one trial: pretrained weights under a new head.

    The head's weights come from torch's random generator: seed it first.

    Args:
        auto_model: the Auto class of the task.
        source: the pretrained model.
        tokenizer: as `load_tokenizer` returned it.
        labels: the names of the outputs, in their order.
        fine_tuning: dropout and freezing.

    Raises:
        ModelError: it cannot be loaded, or has nothing to which a setting could apply.
    """
    with told(source):
        config = AutoConfig.from_pretrained(
            source.path,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
            **source.options(),
        )
        config.problem_type = None  # a fine-tuned checkpoint may bring another one along
        config.pad_token_id = tokenizer.pad_token_id
        _set_dropout(config, fine_tuning, source)
        # A GPT-2 with a language-model head holds weights that the classifier lacks and the other
        # way round: that is what fine-tuning is, and no reason for a warning a trial.
        model, info = auto_model.from_pretrained(
            source.path,
            config=config,
            use_safetensors=None if source.trust_remote_code else True,
            ignore_mismatched_sizes=True,  # the head of an already fine-tuned checkpoint
            output_loading_info=True,
            dtype=torch.float32,  # master weights; what is computed in less is the Trainer's choice
            **source.options(),
        )
    task_model: PreTrainedModel = model
    task_model.config.name_or_path = source.name  # it is shown, and saved; a path is of one machine
    missing, mismatched = set(info["missing_keys"]), set(_names(info["mismatched_keys"]))
    _check_weights(task_model, missing, mismatched, source)
    embeddings: Any = task_model.get_input_embeddings()
    if len(tokenizer) > embeddings.num_embeddings:
        task_model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    _set_classifier_dropout(task_model, fine_tuning.classifier_dropout)
    freeze(task_model, fine_tuning.freeze, fresh=missing | mismatched)
    return task_model


def _names(mismatched: Any) -> list[str]:
    return [key if isinstance(key, str) else key[0] for key in mismatched]


def _check_weights(
    model: PreTrainedModel, missing: set[str], mismatched: set[str], source: Source
) -> None:
    # transformers fills in at random whatever does not fit; only a head may be new.
    prefix = f"{model.base_model_prefix}."
    names = {name for name, _ in model.named_parameters() if name.startswith(prefix)}
    if wrong := names & mismatched:
        raise ModelError(
            f"model {source.name}: found {min(wrong)} in another shape than its config.json says "
            f"({len(wrong)} such weights); expected a model saved as one"
        )
    if names and names <= missing:
        raise ModelError(
            f"model {source.name}: found no weight of a {type(model.base_model).__name__}, which "
            "its config.json names; expected a model saved as one"
        )


def _set_dropout(config: PreTrainedConfig, fine_tuning: FineTuningSpec, source: Source) -> None:
    if fine_tuning.dropout is not None:
        fields = [name for name in _DROPOUT_FIELDS if hasattr(config, name)]
        if not fields:
            raise ModelError(
                f"dropout: the model {source.name} ({config.model_type}) has no dropout that "
                "hpo knows; leave it out"
            )
        for name in fields:
            setattr(config, name, fine_tuning.dropout)
    if fine_tuning.classifier_dropout is not None:
        for name in _CLASSIFIER_DROPOUT_FIELDS:
            if hasattr(config, name):
                setattr(config, name, fine_tuning.classifier_dropout)


def _set_classifier_dropout(model: PreTrainedModel, p: float | None) -> None:
    if p is None:
        return
    head = list(_head(model))
    layers = [module for module in head if isinstance(module, nn.Dropout)]
    for layer in layers:
        layer.p = p
    if not layers:  # GPT's and GPT-2's sequence classifiers have none before their last layer
        last = [module for module in head if isinstance(module, nn.Linear)][-1]
        last.register_forward_pre_hook(
            lambda module, inputs: (nn.functional.dropout(inputs[0], p, module.training),)
        )


def _head(model: PreTrainedModel) -> Iterator[nn.Module]:
    inside = set(model.base_model.modules())
    return (module for module in model.modules() if module not in inside and module is not model)
