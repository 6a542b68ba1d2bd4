"""azure.yaml, its hooks, and what both say of the rest."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpu_worker.settings import WorkerSettings
from tests.infra.bicep import INFRA, template

ROOT = INFRA.parent
PROJECT = yaml.safe_load((ROOT / "azure.yaml").read_text())
HOOKS = sorted((INFRA / "hooks").glob("*.sh"))
SCRIPTS = [*HOOKS, INFRA / "worker_tag.sh", INFRA / "checkov.sh"]
OF_AZD = {"AZURE_SUBSCRIPTION_ID"}
"""What azd itself knows, besides the deployment's outputs."""


def test_services_are_those_that_bicep_tags():
    sources = "".join(path.read_text() for path in (INFRA / "modules").glob("*.bicep"))
    assert list(PROJECT["services"]) == re.findall(r"'azd-service-name': '(\w+)'", sources)


def test_files_that_azd_is_sent_to_exist():
    assert (ROOT / PROJECT["infra"]["path"] / f"{PROJECT['infra']['module']}.bicep").is_file()
    runs = [platform["run"] for hook in PROJECT["hooks"].values() for platform in hook.values()]
    assert {ROOT / run for run in runs} == set(HOOKS)
    assert all(os.access(script, os.X_OK) for script in SCRIPTS)


def test_the_image_has_the_weights_that_the_worker_is_told_to_use():
    assert "STEM_MODEL=${STEM_MODEL:-htdemucs}" in (INFRA / "hooks" / "deploy_worker.sh").read_text()
    assert WorkerSettings.model_fields["stem_model"].default == "htdemucs"
    assert (
        '"stemModel": { "value": "${STEM_MODEL=htdemucs}" }' in (INFRA / "main.parameters.json").read_text()
    )


def test_the_page_is_packaged_with_its_libraries():
    run = PROJECT["services"]["api"]["hooks"]["prepackage"]["posix"]["run"]
    assert run.startswith("npm ci --prefix web ")
    assert (ROOT / "web" / "package-lock.json").is_file()


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_hooks_read_outputs_of_the_deployment(hook: Path):
    read = set(re.findall(r"\$\{?((?:AZURE|AUDIO|SIGN_IN)_\w+)", hook.read_text()))
    assert read - OF_AZD
    assert read <= OF_AZD | template(INFRA / "main.bicep").outputs.keys()
    if hook.name != "prepare.sh":  # before the first deployment there are none
        assert read == set(re.findall(r'"\$\{(\w+):\?\}"', hook.read_text()))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_clean(script: Path):
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([shellcheck, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


AZ = """#!/bin/sh
# Stands for the Azure CLI: notes its arguments, answers from files, and fails as often as it is told to.
printf '%s\\n' "$*" >> "$AZ_LOG"
case "$*" in
    *"keys list"*) kind=key ;;
    *event-subscription*) kind=subscription ;;
    *"ad user show"*) kind=user ;;
    *servicePrincipals*--query*) kind=role ;;
    *appRoleAssignments*) kind=held ;;
    "account show"*) kind=account ;;
    "group exists"*) kind=group ;;
    "acr repository list"*) kind=repositories ;;
    "acr repository show-tags"*) kind=tags ;;
    "acr build"*) kind=build; for context do :; done; ls -A "$context" > "$AZ_STATE/context" ;;
    "containerapp "*) kind=update ;;
    *) kind=other ;;
esac
left=$(cat "$AZ_STATE/$kind.failures" 2>/dev/null || echo 0)
if [ "$left" -gt 0 ]; then
    echo $((left - 1)) > "$AZ_STATE/$kind.failures"
    exit 1
fi
cat "$AZ_STATE/$kind" 2>/dev/null || true
"""


AZD = """#!/bin/sh
printf 'azd %s\\n' "$*" >> "$AZ_LOG"
"""


class Azure:
    """The stand-in for the Azure CLI, since no subscription is to be had."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.log.touch()
        for name, text in (("az", AZ), ("azd", AZD)):
            command = folder / name
            command.write_text(text)
            command.chmod(0o755)

    def answers(self, kind: str, text: str, after: int = 0) -> None:
        """Answer so, after this many failures."""
        (self.folder / kind).write_text(text)
        (self.folder / f"{kind}.failures").write_text(str(after))

    def run(self, hook: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a hook as azd does, with the deployment's outputs in its environment."""
        names = OF_AZD | template(INFRA / "main.bicep").outputs.keys()
        outputs = {name: f"the-{name.lower()}" for name in names}
        env = {
            **outputs,
            "PATH": f"{self.folder}:/usr/bin:/bin",
            "AZ_LOG": str(self.log),
            "AZ_STATE": str(self.folder),
            "PAUSE": "0",
            **variables,
        }
        return subprocess.run([INFRA / "hooks" / hook], env=env, capture_output=True, text=True, cwd=ROOT)

    @property
    def calls(self) -> list[str]:
        """Return the calls so far."""
        return self.log.read_text().splitlines()


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    return Azure(tmp_path)


def test_uploads_are_subscribed_to_when_the_host_is_up(azure: Azure):
    azure.answers("key", "s3cret==", after=2)
    azure.answers("subscription", "Succeeded", after=1)
    done = azure.run("subscribe_to_uploads.sh")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Uploads into the-audio_container start their analysis: Succeeded\n"
    assert "s3cret" not in done.stdout + done.stderr
    assert len(azure.calls) == 5
    assert (
        "https://the-azure_function_app_name.azurewebsites.net/runtime/webhooks/blobs"
        "?functionName=Host.Functions.on_upload&code=s3cret== " in azure.calls[-1]
    )
    assert (
        "--subject-begins-with /blobServices/default/containers/the-audio_container/blobs/" in azure.calls[-1]
    )


def test_a_host_that_never_starts_is_told_with_what_to_do(azure: Azure):
    azure.answers("key", "")
    done = azure.run("subscribe_to_uploads.sh")
    assert done.returncode == 1
    assert "azd hooks run postdeploy" in done.stderr
    assert not any("event-subscription" in call for call in azure.calls)


def test_people_get_the_roles_that_they_lack(azure: Azure):
    azure.answers("user", "u1")
    azure.answers("role", "r1")
    azure.answers("held", "0")
    done = azure.run("grant_app_roles.sh", STEM_LIBRARY_USERS="ana@contoso.com ben@contoso.com=Read")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["ana@contoso.com has Read Write", "ben@contoso.com has Read"]
    posts = [call for call in azure.calls if "--method post" in call]
    assert len(posts) == 3
    assert '"principalId": "u1"' in posts[0]


@pytest.mark.parametrize(("users", "code"), [("", 0), ("ana@contoso.com", 0), ("ana@contoso.com=Worker", 1)])
def test_nobody_gets_what_is_held_or_not_for_people(azure: Azure, users: str, code: int):
    for kind, answer in (("user", "u1"), ("role", "r1"), ("held", "1")):
        azure.answers(kind, answer)
    done = azure.run("grant_app_roles.sh", STEM_LIBRARY_USERS=users)
    assert done.returncode == code, done.stderr
    assert not any("--method post" in call for call in azure.calls)


REGISTRY = {"AZURE_CONTAINER_REGISTRY_ENDPOINT": "crabc.azurecr.io"}


def deploy_worker(azure: Azure, **variables: str) -> list[str]:
    """Run the hook; return the calls that change something."""
    done = azure.run("deploy_worker.sh", **REGISTRY, **variables)
    assert done.returncode == 0, done.stderr
    calls = [call for call in azure.calls if not call.startswith("acr repository")]
    azure.log.write_text("")
    return calls


@pytest.mark.parametrize(
    ("kind", "command"), [("job", "containerapp job update"), ("app", "containerapp update")]
)
def test_the_worker_gets_an_image_that_the_registry_builds(azure: Azure, kind: str, command: str):
    build, update = deploy_worker(azure, AZURE_WORKER_KIND=kind, STEM_MODEL="htdemucs_ft")
    (image,) = re.findall(r" --image (worker:\d{14}-\d+) ", build)
    assert "--registry crabc --" in build
    found = re.search(
        r" --file (\S+)/gpu_worker/Dockerfile .* --build-arg STEM_MODEL=htdemucs_ft .* (\S+)$", build
    )
    assert found and found[1] == found[2]
    assert not Path(found[1]).exists()
    sent = set((azure.folder / "context").read_text().split())
    assert sent == {".dockerignore", "gpu_worker", "shared", "stem_library_client"}
    assert update.startswith(f"{command} --subscription the-azure_subscription_id ")
    assert f" --name the-azure_worker_name --image crabc.azurecr.io/{image} " in update


def test_an_image_is_built_when_what_goes_into_it_changes(azure: Azure):
    (first, _) = deploy_worker(azure, AZURE_WORKER_KIND="job")
    (tag,) = re.findall(r"worker:(\d+-\d+)", first)
    azure.answers("repositories", "worker")
    azure.answers("tags", tag)
    (update,) = deploy_worker(azure, AZURE_WORKER_KIND="job")
    assert f"crabc.azurecr.io/worker:{tag} " in update
    (build, _) = deploy_worker(azure, AZURE_WORKER_KIND="job", TORCH_INDEX="https://cpu.example")
    assert " --build-arg TORCH_INDEX=https://cpu.example --" in build
    assert len(deploy_worker(azure, AZURE_WORKER_KIND="job", STEM_MODEL="preview")) == 2
    assert len(deploy_worker(azure, AZURE_WORKER_KIND="job", REBUILD_WORKER="true")) == 2


def test_no_worker_gets_an_image_whose_build_failed(azure: Azure):
    azure.answers("build", "", after=1)
    assert azure.run("deploy_worker.sh", **REGISTRY, AZURE_WORKER_KIND="job").returncode == 1
    assert not any(call.startswith("containerapp") for call in azure.calls)


@pytest.mark.parametrize(
    ("exists", "repositories", "kept", "image"),
    [
        ("true", "worker", "", "crabc.azurecr.io/worker:2-2"),
        ("true", "worker", "crabc.azurecr.io/worker:1-1", "crabc.azurecr.io/worker:2-2"),
        ("true", "worker", "crabc.azurecr.io/worker:2-2", None),
        ("true", "", "", None),
        ("false", "", "crabc.azurecr.io/worker:2-2", ""),
    ],
    ids=["first", "deployed elsewhere", "as it was", "none built", "taken down"],
)
def test_provisioning_keeps_the_image_that_was_built_last(
    azure: Azure, exists: str, repositories: str, kept: str, image: str | None
):
    azure.answers("group", exists)
    azure.answers("repositories", repositories)
    azure.answers("tags", "2-2")
    done = azure.run("prepare.sh", **REGISTRY, WORKER_IMAGE=kept)
    assert done.returncode == 0, done.stderr
    said = [call for call in azure.calls if call.startswith("azd")]
    assert said == ([] if image is None else [f"azd env set WORKER_IMAGE {image}"])


def test_before_the_first_deployment_only_the_sign_in_is_looked_at(azure: Azure):
    nothing = dict.fromkeys(OF_AZD | template(INFRA / "main.bicep").outputs.keys(), "")
    assert azure.run("prepare.sh", **nothing).returncode == 0
    assert azure.calls == ["account show --output none"]
    azure.answers("account", "", after=1)
    done = azure.run("prepare.sh", **nothing)
    assert (done.returncode, "az login" in done.stderr) == (1, True)


def test_the_readme_names_every_variable_that_can_be_set():
    readme = (INFRA / "README.md").read_text()
    parameters = (INFRA / "main.parameters.json").read_text()
    variables: set[Any] = set(re.findall(r"\$\{([A-Z_]+)", parameters))
    variables |= {"STEM_LIBRARY_USERS", "TORCH_INDEX", "REBUILD_WORKER"}
    of_azd = {
        *("AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE"),
        "WORKER_IMAGE",  # by prepare.sh
    }
    for name in variables - of_azd:
        assert f"`{name}`" in readme, name


def test_the_readme_names_every_module():
    readme = (INFRA / "README.md").read_text()
    for path in (INFRA / "modules").glob("*.bicep"):
        assert f"modules/{path.name}" in readme, path.name


def test_the_costs_in_the_readme_are_those_of_the_formula():
    done = subprocess.run([sys.executable, INFRA / "costs.py"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in (INFRA / "README.md").read_text()
