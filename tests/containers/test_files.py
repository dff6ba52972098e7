"""The Dockerfile and the Compose files: valid, pinned, open to nobody else, without a secret."""

import json
import re
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.containers import files
from tests.containers.files import COMPOSE, DOCKERFILE, GPU, ROOT

SCRIPTS = Path(sysconfig.get_path("scripts"))
SECRETS = {"HPO_SECRETS": "./secrets"}
COMPOSE_FILES: dict[str, Any] = {
    "docker-compose.yml": files.read(COMPOSE), "docker-compose.gpu.yml": files.read(GPU),
    "both": files.with_gpus(),
}  # fmt: skip
BOTH = files.filled_in(COMPOSE_FILES["both"], SECRETS)
OURS = [name for name, service in BOTH["services"].items() if service["image"].startswith("hpo:")]


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_compose_files_are_valid(tmp_path: Path, name: str) -> None:
    """By the schema of the Compose specification, each alone and together."""
    file = tmp_path / "compose.json"
    file.write_text(json.dumps(COMPOSE_FILES[name]), encoding="utf-8")
    schema = ["--builtin-schema", "vendor.compose-spec"]
    subprocess.run([SCRIPTS / "check-jsonschema", *schema, file], check=True)


def test_the_dockerfile_is_clean() -> None:
    """Hadolint finds nothing."""
    subprocess.run([SCRIPTS / "hadolint", "--failure-threshold", "style", DOCKERFILE], check=True)


def test_nothing_starts_without_passwords() -> None:
    """Compose refuses, and says what is missing; there is no default."""
    for secret in COMPOSE_FILES["docker-compose.yml"]["secrets"].values():
        with pytest.raises(
            files.MissingVariable, match=r"HPO_SECRETS: names no folder.*README\.md"
        ):
            files.filled_in(secret, {})
    assert "HPO_SECRETS=" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert {each["file"] for each in BOTH["secrets"].values()} == {
        f"./secrets/{name}" for name in ("owner", "worker", "reader", "dashboard")
    }  # fmt: skip


def test_no_password_stands_anywhere() -> None:
    """Services are told a file, never the password: not in variables, URLs or command lines."""
    for name, service in BOTH["services"].items():
        for variable, value in service["environment"].items():
            assert not re.search(r"://[^/@]*:", value), (name, variable)
            if "PASSWORD" in variable:
                assert value.startswith("/run/secrets/"), (name, variable)
                assert Path(value).name in service["secrets"], (name, variable)
    for path in (COMPOSE, GPU, DOCKERFILE, ROOT / ".dockerignore"):
        given = re.findall(
            r"(?i)password(?:_file)?(?:=|: ?| :?(?='))(.{8})", path.read_text("utf-8")
        )
        assert set(given) <= {'"$$(cat ', "/run/sec", "'passwor"}, (
            "from a file, or a variable of psql's"
        )
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/.env", "/secrets/"} <= set(ignored)


def test_only_this_machine_reaches_a_port() -> None:
    """What is published is bound to the loopback interface."""
    ports = [port for service in BOTH["services"].values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:5432:5432", "127.0.0.1:8080:8080"]
    assert not any("network_mode" in service for service in BOTH["services"].values())


@pytest.mark.parametrize("name", BOTH["services"])
def test_services_have_no_rights_to_spare(name: str) -> None:
    """A root that is read-only, no capabilities but those that PostgreSQL starts with."""
    service = BOTH["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert ("cap_add" in service) == (name == "db")
    assert "privileged" not in service
    assert not re.search(r":latest$|^[^:]+$", service["image"]), "a version is named"


@pytest.mark.parametrize("name", OURS)
def test_services_end_as_they_should(name: str) -> None:
    """Signals arrive, a worker has the time to save its trial, and comes back after a crash."""
    service = BOTH["services"][name]
    assert service["init"] is True
    if service["command"][0] != "worker":
        is_served = service["command"][0] == "dashboard"
        assert service["restart"] == ("unless-stopped" if is_served else "no")
        return
    (grace,) = [int(word.removeprefix("--grace=")) for word in service["command"][1:]]
    assert files.seconds(service["stop_grace_period"]) >= grace + 10
    assert service["restart"] == "unless-stopped"
    assert dict(files.instructions()[-1])["STOPSIGNAL"] == "SIGTERM"


def test_services_wait_for_what_they_need() -> None:
    """A server that answers, then its tables, then its roles, then workers."""
    waits = {
        name: {other: each["condition"] for other, each in service.get("depends_on", {}).items()}
        for name, service in BOTH["services"].items()
    }
    roles = {"roles": "service_completed_successfully"}
    assert waits == {
        "db": {},
        "tables": {"db": "service_healthy"},
        "roles": {"tables": "service_completed_successfully"},
        "worker": roles, "worker-1": roles, "hpo": roles, "dashboard": roles,
    }  # fmt: skip
    assert "healthcheck" in BOTH["services"]["db"]


def test_the_dashboard_is_behind_a_password() -> None:
    """It has a role that changes nothing, and none of the other passwords."""
    service = BOTH["services"]["dashboard"]
    assert service["environment"] == {
        "HPO_STORAGE": "postgresql://hpo_reader@db/hpo",
        "HPO_STORAGE_PASSWORD_FILE": "/run/secrets/reader",
        "HPO_DASHBOARD_PASSWORD_FILE": "/run/secrets/dashboard",
    }
    assert service["secrets"] == ["reader", "dashboard"]
    assert "--write" not in service["command"]
    assert "volumes" not in service
    moved = files.filled_in(COMPOSE_FILES["both"], {**SECRETS, "HPO_DASHBOARD_PORT": "9000"})
    service = moved["services"]["dashboard"]
    assert service["ports"] == ["127.0.0.1:9000:8080"]
    names = [word.partition("=")[2] for word in service["command"] if "--allow-host" in word]
    assert names == ["localhost:9000", "127.0.0.1:9000"], "as the browser is told"


def test_each_gpu_has_a_worker() -> None:
    """One service a GPU, of one image; without the second file there is no GPU."""
    reserved = {
        name: service["deploy"]["resources"]["reservations"]["devices"]
        for name, service in BOTH["services"].items()
        if "deploy" in service
    }
    assert {name: each[0]["device_ids"] for name, each in reserved.items()} == {
        "worker": ["0"], "worker-1": ["1"],
    }  # fmt: skip
    built = {
        json.dumps([BOTH["services"][name][key] for key in ("image", "build")]) for name in OURS
    }
    assert len(built) == 1
    assert '"hpo:cu130"' in built.pop()
    alone = files.filled_in(COMPOSE_FILES["docker-compose.yml"], SECRETS)
    assert alone["services"]["worker"]["image"] == "hpo:cpu"


def test_volumes_are_declared_and_owned() -> None:
    """A new volume gets the owner of the image's folder, who is the user that writes there."""
    mounted = [volume for name in OURS for volume in BOTH["services"][name].get("volumes", [])]
    writable = {tuple(volume.split(":")) for volume in mounted if not volume.endswith(":ro")}
    assert {name for name, _ in writable} <= set(BOTH["volumes"])
    commands = " ".join(rest for name, rest in files.instructions()[-1] if name == "RUN")
    owned = shlex.split(commands.partition("install --directory --owner=hpo --group=hpo")[2])
    assert {folder for _, folder in writable} <= set(owned)
    assert files.image_environment()["HF_HOME"] in owned


def test_the_image_runs_as_nobody_special() -> None:
    """A fixed user who is not root, by number, so that it can be checked; made with that number."""
    last = dict(files.instructions()[-1])
    user, _, group = last["USER"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    commands = " ".join(rest for name, rest in files.instructions()[-1] if name == "RUN")
    assert f"--uid {user} " in commands
    assert f"--gid {group} " in commands
    assert json.loads(last["ENTRYPOINT"]) == ["hpo"], "exec form: no shell between it and signals"


def test_the_image_is_built_of_what_is_pinned() -> None:
    """The base by its version, packages by constraints.txt, torch by the argument TORCH."""
    before, build, final = files.instructions()
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+-slim-\w+", dict(before)["ARG"])
    assert [stage[0][1] for stage in (build, final)] == [
        "python:${PYTHON} AS build",
        "python:${PYTHON}",
    ]
    installs = [rest for name, rest in build if name == "RUN" and "pip install" in rest]
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in install for install in installs)
    assert "/whl/${TORCH}" in installs[0]
    assert ("ARG", "TORCH=cpu") in build
    assert "pip" not in " ".join(rest for _, rest in final)


def test_what_is_copied_is_there() -> None:
    """Each path exists and is let in by .dockerignore; nothing else is, and it makes a package."""
    copied = {
        word
        for stage in files.instructions()
        for name, rest in stage
        if name == "COPY" and "--from" not in rest
        for word in shlex.split(rest)[:-1]
    }
    assert all((ROOT / word).exists() for word in copied)
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignore[1] == "*"
    assert {line.removeprefix("!") for line in ignore if line.startswith("!")} == copied
    assert {"hpo", "studies", "pyproject.toml", "README.md", "LICENSE", "constraints.txt"} == copied
    mounts = [
        volume for service in BOTH["services"].values() for volume in service.get("volumes", [])
    ]
    for source in (volume.split(":")[0] for volume in mounts if volume.startswith("./")):
        assert (ROOT / source).exists()
