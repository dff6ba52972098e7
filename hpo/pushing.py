"""An exported model to the hub, through huggingface_hub; its token is never shown.

A repository is changed only if it is new, empty, or an earlier export of the same study; what
others have put beside that stays. Whether everybody sees a model is said, never found.
"""

import json
from collections.abc import Collection, Mapping
from glob import escape
from pathlib import Path
from typing import Any

from hpo.errors import BadInput, HpoError

_MANIFEST, _OWNER, _FILES = "hpo.json", "made_by", "files"  # see hpo.manifest and hpo.publishing
_OF_THE_HUB = {".gitattributes"}  # which it adds by itself
_ANSWER = 30.0  # seconds that a hub may take for an answer
_NOT_FOUND = 404
_SHOWN = 3  # names in a message


def check(repo: str, owner: Mapping[str, Any], *, public: bool = False) -> None:
    """Refuse what cannot be pushed, before anything is done.

    Args:
        repo: OWNER/NAME.
        owner: what the model will say of itself; a repository that says the same is replaced.
        public: whether everybody is to see it.

    Raises:
        BadInput: it is no name of a repository, or nobody is logged in; or there is such a
            repository, and it has something else, or is seen by others than was said.
        HpoError: the hub cannot be reached, or refuses.
    """
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError:
        raise BadInput(f"--push: found {repo!r}; expected OWNER/NAME of the hub") from None
    if constants.HF_HUB_OFFLINE:
        raise BadInput("--push: HF_HUB_OFFLINE is set; unset it, or export without --push")
    if get_token() is None:
        raise BadInput("--push: found no token; set HF_TOKEN, or log in with `hf auth login`")
    try:
        _earlier(repo, owner, public=public)
    except BadInput:
        raise
    except Exception as error:
        raise HpoError(f"--push {repo}: the hub cannot be asked: {_reason(error)}") from error


def push(folder: Path, repo: str, *, public: bool = False) -> str:
    """Upload an exported model, and return where it is.

    Args:
        folder: the model, with its manifest.
        repo: OWNER/NAME.
        public: whether everybody is to see it.

    Raises:
        BadInput: see `check`; the hub is asked once more, for training may have taken hours.
        HpoError: the hub cannot be reached, or refuses; the folder stays.
    """
    from huggingface_hub import HfApi

    again = (
        f"the model is in {folder}: push it with the same command, or `hf upload {repo} {folder}`"
    )
    try:
        owner = json.loads((folder / _MANIFEST).read_text(encoding="utf-8")).get(_OWNER, {})
        earlier = _earlier(repo, owner, public=public)
        api = HfApi()
        made = api.create_repo(repo, private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=made.repo_id, folder_path=folder, commit_message="Model exported by hpo",
            delete_patterns=[escape(name) for name in earlier],
        )  # fmt: skip
    except BadInput as error:
        raise BadInput(f"{error}; {again}") from None
    except Exception as error:
        raise HpoError(
            f"--push {repo}: the hub did not take it: {_reason(error)}; {again}"
        ) from error
    return str(made)


def _earlier(repo: str, owner: Mapping[str, Any], *, public: bool) -> Collection[str]:
    """Return the files of an earlier export in a repository; none where it is new or empty.

    Raises:
        BadInput: see `check`.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils._http import get_session

    get_session().timeout = _ANSWER  # of every question that follows; by default there is none
    try:
        found = HfApi().model_info(repo, timeout=_ANSWER)
    except HfHubHTTPError as error:
        if error.response.status_code != _NOT_FOUND:
            raise
        return []
    if public and found.private:
        raise BadInput(f"--public: {repo} is private; make it public on the hub, or no --public")
    if not public and not found.private:
        raise BadInput(f"--push: {repo} is public; expected --public, or another name")
    files = {each.rfilename for each in found.siblings or []} - _OF_THE_HUB
    there = _manifest(repo, str(found.sha)) if _MANIFEST in files else {}
    if files and there.get(_OWNER) != dict(owner):
        names = ", ".join(sorted(files)[:_SHOWN]) + ", …" * (len(files) > _SHOWN)
        raise BadInput(
            f"--push: found something else in {repo} than an earlier export of this study "
            f"({names}); expected that, an empty repository or a new name"
        )
    listed = there.get(_FILES)
    return files.intersection(map(str, listed if isinstance(listed, list) else []))


def _manifest(repo: str, revision: str) -> dict[str, Any]:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils._headers import build_hf_headers
    from huggingface_hub.utils._http import get_session, hf_raise_for_status

    url = hf_hub_url(repo, _MANIFEST, revision=revision)
    answer = get_session().get(url, headers=build_hf_headers())
    hf_raise_for_status(answer)
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _reason(error: Exception) -> str:
    """Return why a hub refused, in one line: what huggingface_hub says of a token helps nobody."""
    from huggingface_hub import get_token

    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return "it does not know the token; set HF_TOKEN to another, or `hf auth login`"
    if status == 403:
        return "the token may not write there; expected one with the right to write"
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line.replace(get_token() or "\0", "***")
