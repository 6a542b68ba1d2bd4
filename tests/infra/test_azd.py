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


def test_services_are_those_that_bicep_tags():
    tagged = set()
    for name in ("functions", "worker"):
        source = (INFRA / "modules" / f"{name}.bicep").read_text()
        tagged |= set(re.findall(r"'azd-service-name': '(\w+)'", source))
    assert PROJECT["services"].keys() == tagged


def test_files_that_azd_is_sent_to_exist():
    assert (ROOT / PROJECT["infra"]["path"] / f"{PROJECT['infra']['module']}.bicep").is_file()
    assert (ROOT / PROJECT["services"]["worker"]["docker"]["path"]).is_file()
    runs = [platform["run"] for hook in PROJECT["hooks"].values() for platform in hook.values()]
    assert {ROOT / run for run in runs} == set(HOOKS)
    assert all(os.access(hook, os.X_OK) for hook in HOOKS)


def test_the_image_has_the_weights_that_the_worker_is_told_to_use():
    assert PROJECT["services"]["worker"]["docker"]["buildArgs"] == ["STEM_MODEL=${STEM_MODEL=htdemucs}"]
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
    needed = set(re.findall(r'"\$\{(\w+):\?\}"', hook.read_text()))
    assert needed
    assert needed <= template(INFRA / "main.bicep").outputs.keys()


@pytest.mark.parametrize("script", [*HOOKS, INFRA / "checkov.sh"], ids=lambda script: script.name)
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
    *) kind=other ;;
esac
left=$(cat "$AZ_STATE/$kind.failures" 2>/dev/null || echo 0)
if [ "$left" -gt 0 ]; then
    echo $((left - 1)) > "$AZ_STATE/$kind.failures"
    exit 1
fi
cat "$AZ_STATE/$kind" 2>/dev/null || true
"""


class Azure:
    """The stand-in for the Azure CLI, since no subscription is to be had."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.log.touch()
        command = folder / "az"
        command.write_text(AZ)
        command.chmod(0o755)

    def answers(self, kind: str, text: str, after: int = 0) -> None:
        """Answer so, after this many failures."""
        (self.folder / kind).write_text(text)
        (self.folder / f"{kind}.failures").write_text(str(after))

    def run(self, hook: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a hook as azd does, with the deployment's outputs in its environment."""
        outputs = {name: f"the-{name.lower()}" for name in template(INFRA / "main.bicep").outputs}
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


def test_the_readme_names_every_variable_that_can_be_set():
    readme = (INFRA / "README.md").read_text()
    parameters = (INFRA / "main.parameters.json").read_text()
    variables: set[Any] = set(re.findall(r"\$\{([A-Z_]+)", parameters)) | {"STEM_LIBRARY_USERS"}
    of_azd = {
        *("AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE"),
        "SERVICE_WORKER_IMAGE_NAME",
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
