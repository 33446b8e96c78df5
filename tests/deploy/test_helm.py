"""The chart, judged by Helm itself and by the schemas of Kubernetes, in every form that its values describe."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.settings import Settings
from tests.model.vllm_server import HOLDS
from tests.prometheus import CONFIG, ROOT

helm = pytest.importorskip("helm_python") if not os.environ.get("CI") else __import__("helm_python")
kubernetes_validate = pytest.importorskip("kubernetes_validate")

CHART = ROOT / "deploy" / "helm" / "cslm-serve"
KUBERNETES = ("1.27", "1.37")  # the oldest that Chart.yaml admits, and the newest schema there is
FORMS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "language model apart": {"languageModel": {"separate": True, "arguments": ["--quantization=fp8"]}},
    "all of it": {
        "image": {"repository": "registry.example.org/cslm-serve", "digest": "sha256:" + "0" * 64},
        "bundle": "cslm-mini",
        "gpu": {"count": 0},
        "settings": {"MAX_SESSIONS": 4, "EAGER": True},
        "apiKey": {"secret": "keys"},
        "keys": {"secret": "several", "signingKey": "signing_key"},
        "hubToken": {"secret": "hub"},
        "storage": {"cache": {"size": "1Gi", "class": "fast"}},
        "ingress": {"enabled": True, "host": "voice.example.org", "tlsSecret": "voice-tls", "className": "nginx"},
        "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
        "networkPolicy": {"from": [{"namespaceSelector": {}}]},
        "nodeSelector": {"gpu": "h100"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "priorityClassName": "high",
    },
}


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    with helm.Chart.load(str(CHART)) as chart:
        files = chart.render(values, name="demo", namespace="voice")
    texts = [text for name, text in sorted(files.items()) if not name.endswith(".txt")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def find(documents: list[dict[str, Any]], kind: str, name: str = "demo-cslm-serve") -> dict[str, Any]:
    (document,) = (each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return document


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container["env"]}


def test_helm_finds_nothing_wrong() -> None:
    found = helm.lint(str(CHART))
    assert not found["errors"]
    assert [message["error"] for message in found["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("form", FORMS)
def test_kubernetes_knows_every_field(form: str, version: str) -> None:
    for document in rendered(FORMS[form]):
        if not document["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("form", FORMS)
def test_pods_may_do_little(form: str) -> None:
    for document in rendered(FORMS[form]):
        if document["kind"] != "StatefulSet":
            continue
        pod = document["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False  # a service named cslm would set CSLM_PORT
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["fsGroup"] == 10001
        for container in pod["initContainers"] + pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            mounts = {mount["name"] for mount in container["volumeMounts"]}
            claims = {claim["metadata"]["name"] for claim in document["spec"]["volumeClaimTemplates"]}
            assert mounts <= claims | {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("form", FORMS)
def test_the_server_reads_what_it_is_given(form: str) -> None:
    server = find(rendered(FORMS[form]), "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    given = environment(server)
    assert set(given) <= {f"CSLM_{name.upper()}" for name in Settings.model_fields}
    secrets = {name: value for name, value in given.items() if name.endswith("_FILE")}
    Settings(**{name.removeprefix("CSLM_").lower(): value for name, value in given.items() if name not in secrets})


def test_a_gpu_is_asked_for_unless_there_is_none() -> None:
    for values, expected in (({}, 1), ({"gpu": {"count": 0}}, None), ({"gpu": {"count": 2}}, 2)):
        server = find(rendered(values), "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
        for kind in ("requests", "limits"):
            assert server["resources"][kind].get("nvidia.com/gpu") == expected


def test_a_language_model_apart_is_where_the_servers_look() -> None:
    documents = rendered(FORMS["language model apart"])
    server = find(documents, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    service = find(documents, "Service", "demo-cslm-serve-lm")
    pod = find(documents, "StatefulSet", "demo-cslm-serve-lm")["spec"]["template"]
    address = f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert environment(server)["CSLM_LM_URL"] == address
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert "--quantization=fp8" in pod["spec"]["containers"][0]["args"]
    allowed = find(documents, "NetworkPolicy", "demo-cslm-serve-lm")["spec"]["ingress"][0]["from"][0]
    servers = find(documents, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    assert allowed["podSelector"]["matchLabels"].items() <= servers.items()


@pytest.mark.parametrize(("bundle", "held"), [("cslm-8b", True), ("of-ours", True), ("glm-4-voice", False)])
def test_a_language_model_apart_holds_calls_to_their_schema(bundle: str, held: bool) -> None:
    """As docs/realtime.md says that it must run, unless vLLM cannot load its tokenizer."""
    documents = rendered({"languageModel": {"separate": True}, "bundle": bundle})
    pod = find(documents, "StatefulSet", "demo-cslm-serve-lm")["spec"]["template"]["spec"]
    arguments = pod["containers"][0]["args"]
    assert (HOLDS in arguments, "--skip-tokenizer-init" in arguments) == (held, not held)
    option, _, value = HOLDS.partition("=")
    assert f"`{option} '{value}'`" in (ROOT / "docs" / "realtime.md").read_text(encoding="utf-8")


def test_rules_and_dashboards_are_those_of_compose() -> None:
    documents = rendered(FORMS["all of it"])
    rules = yaml.safe_load((CONFIG / "rules.yml").read_text(encoding="utf-8"))
    assert find(documents, "PrometheusRule")["spec"] == rules
    boards = find(documents, "ConfigMap", "demo-cslm-serve-dashboards")["data"]
    for path in (ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"):
        assert json.loads(boards[f"cslm-{path.name}"]) == json.loads(path.read_text(encoding="utf-8"))
    (endpoint,) = find(documents, "ServiceMonitor")["spec"]["endpoints"]
    assert {"targetLabel": "job", "replacement": "cslm"} in endpoint["relabelings"]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replica": 2}, "replica"),
        ({"replicas": -1}, "replicas"),
        ({"gpu": {"count": "one"}}, "count"),
        ({"image": {"digest": "sha256:short"}}, "digest"),
        ({"settings": {"API_KEY": "in the open"}}, "API_KEY"),
        ({"settings": {"MAX SESSIONS": "4"}}, "MAX SESSIONS"),
        ({"storage": {"bundles": {"size": "much"}}}, "size"),
        ({"ingress": {"enabled": True}}, "ingress.host"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_values_are_refused_by_name(values: dict[str, Any], named: str) -> None:
    with pytest.raises(helm.HelmError, match=named):
        rendered(values)


def test_the_page_names_values_that_exist() -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    for path in [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]:
        at: Any = values
        for part in path.split("."):
            assert part in at, path
            at = at[part]


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{chart["appVersion"]}"' in project
    assert Path(CHART / "files" / "rules.yml").resolve() == CONFIG / "rules.yml"
