"""To delete a study from the dashboard: all that `hpo delete` deletes, and while nobody works."""

from hpo import storage
from hpo.binding import BindingStorage
from hpo.deletion import delete_rows, look
from hpo.display import count
from hpo.errors import BadInput
from hpo.study import DEFAULT_OUTPUT
from hpo.workers import shown


def remove(opened: BindingStorage, study_id: int) -> None:
    """Delete a study with its tickets and its confirmation; its files stay.

    Optuna's own deletion knows neither: tickets would stay behind, and a new study of the name
    would take over the winner of the old one's confirmation.

    Args:
        opened: the storage that it is in.
        study_id: Optuna's.

    Raises:
        KeyError: there is none of that number.
        BadInput: workers hold trials of it, or it is the confirmation of another one.
        StorageError: the role may not delete, or the storage failed.
    """
    name = opened.get_study_name_from_id(study_id)
    if storage.SPEC not in opened.get_study_user_attrs(study_id):
        opened.delete_study(study_id)  # none of ours: there is nothing else of it
        return
    found = look(opened, name, DEFAULT_OUTPUT)
    if found.busy:
        who = ", ".join(shown(each.worker) for each in found.busy)
        raise BadInput(
            f"study {name!r}: {count(len(found.busy), 'worker')} at work for it ({who}); expected "
            "none: wait, or `hpo delete --now`, which sends them away before"
        )
    delete_rows(opened, found)
