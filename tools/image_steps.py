"""Run the steps of deploy/docker/Dockerfile without a Docker engine: `make image-steps`.

Each stage is a folder that begins as a copy of a small Debian (debootstrap), which stands for python:…-slim:
its release has the same Python. RUN is a command in it by chroot, COPY a copy of what .dockerignore lets
through. What comes out is started as the image says: as its user, as process 1, on a root that is read-only.
It needs root, some minutes and two gigabytes.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
#: What debootstrap adds to a Debian without anything.
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
#: What steps on the net may need, of the machine that they run on.
PASSED = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass
class Stage:
    """The folder of a stage, and what its instructions have set so far."""

    root: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            **{name: os.environ[name] for name in PASSED if name in os.environ},
        }
    )
    folder: str = "/"
    user: str = "0:0"
    health: list[str] = field(default_factory=list)
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def chroot(self, command: list[str], *, user: str = "0:0") -> list[str]:
        """The command that runs another one here."""
        names = [f"{name}={value}" for name, value in self.environment.items()]
        inside = ["sh", "-c", f'cd {shlex.quote(self.folder)} && exec "$@"', "sh", *command]
        return ["env", "-i", *names, "chroot", f"--userspec={user}", str(self.root), *inside]


def instructions(text: str) -> list[tuple[str, str]]:
    """(name, rest) of each instruction, with its continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [
        (name.upper(), rest.strip()) for name, _, rest in (x.partition(" ") for x in joined.splitlines() if x)
    ]


def is_sent(path: Path, rules: list[str]) -> bool:
    """Whether .dockerignore lets a file through: the last rule for it or a folder above decides."""
    name, sent = path.relative_to(ROOT), True
    above = [str(name), *(str(each) for each in name.parents if str(each) != ".")]
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        parts = name.parts if rule.startswith("**/") else above
        if any(fnmatch.fnmatchcase(each, pattern) for each in parts):
            sent = rule.startswith("!")
    return sent


def copy_in(rest: str, stage: Stage, stages: dict[str, Stage], rules: list[str]) -> None:
    """COPY from the tree or from another stage."""
    *sources, target = rest.split()
    origin = ROOT
    if sources[0].startswith("--from="):
        origin = stages[sources.pop(0).removeprefix("--from=")].root
    into = stage.root / os.path.join(stage.folder, target).lstrip("/")
    for source in sources:
        found = origin / source.lstrip("/")
        to = into / found.name if target.endswith("/") else into
        to.parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            ignore = None
            if origin == ROOT:
                ignore = lambda folder, names: [n for n in names if not is_sent(Path(folder, n), rules)]  # noqa: E731
            shutil.copytree(found, to, symlinks=True, ignore=ignore, dirs_exist_ok=True)
        else:
            shutil.copy2(found, to)


def run_steps(base: Path, work: Path) -> Stage:
    """Run all instructions; the last stage."""
    rules = [x for x in Path(f"{DOCKERFILE}.dockerignore").read_text().splitlines() if x and x[0] != "#"]
    stages: dict[str, Stage] = {}
    stage = Stage(base)
    for name, rest in instructions(DOCKERFILE.read_text()):
        print(f"{name} {rest[:120]}", flush=True)
        if name == "FROM":
            label = rest.partition(" AS ")[2] or "final"
            stage = stages[label] = Stage(work / label)
            subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(stage.root)], check=True)
        elif name == "RUN":
            step = ["/bin/sh", "-c", rest]
            subprocess.run(stage.chroot(step, user=stage.user), check=True, stdin=subprocess.DEVNULL)
        elif name == "COPY":
            copy_in(rest, stage, stages, rules)
        elif name == "WORKDIR":
            stage.folder = rest
            (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif name == "ENV":
            for pair in shlex.split(rest):
                key, _, value = pair.partition("=")
                stage.environment[key] = value.replace("$PATH", stage.environment["PATH"])
        elif name == "USER":
            stage.user = rest
        elif name == "HEALTHCHECK":
            stage.health = json.loads(rest[rest.index("CMD") + 3 :])
        elif name in ("ENTRYPOINT", "CMD"):
            setattr(stage, {"ENTRYPOINT": "entry", "CMD": "command"}[name], json.loads(rest))
        elif name not in ("ARG", "EXPOSE", "LABEL", "VOLUME", "STOPSIGNAL"):
            raise SystemExit(f"{name} is not known here")
    return stage


def try_it(stage: Stage) -> None:
    """Start what the image starts, in namespaces of its own: is it healthy, does it answer and end well."""
    table = ["audiomem", "create", "/data/kb.flac", "id INTEGER PRIMARY KEY", "title TEXT INDEXED"]
    subprocess.run(stage.chroot(table, user=stage.user), check=True)
    started = stage.chroot([*stage.entry, *stage.command], user=stage.user)
    root = shlex.quote(str(stage.root))
    script = (
        f"mount --bind {root} {root} && mount -o remount,ro,bind {root} && mount -t tmpfs tmpfs {root}/tmp"
        f" && mount --bind {root}-data {root}/data && exec {shlex.join(started)}"
    )
    shutil.rmtree(f"{stage.root}-data", ignore_errors=True)
    subprocess.run(["cp", "-a", f"{stage.root}/data", f"{stage.root}-data"], check=True)
    server = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "sh", "-c", script])
    try:
        for _ in range(100):
            time.sleep(0.2)
            healthy = subprocess.run(
                stage.chroot(stage.health, user=stage.user), capture_output=True, check=False
            )
            if healthy.returncode == 0 or server.poll() is not None:
                break
        print("health:", healthy.returncode, healthy.stderr.decode()[-300:])
        ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/tables').read().decode())"
        subprocess.run([sys.executable, "-c", ask], check=True)
    finally:
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        subprocess.run(["kill", "-TERM", *children], check=False)  # process 1 in there
        code = server.wait(30)
    print(f"process 1 ended with {code} after SIGTERM")
    if healthy.returncode or code:
        raise SystemExit(1)


def main() -> None:
    """Make the base where there is none, run the steps, and try what comes out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="a folder, outside this tree; base/ in it is used again")
    parser.add_argument("--suite", default="trixie", help="Debian's release: that of the image")
    parser.add_argument("--mirror", default="http://deb.debian.org/debian")
    options = parser.parse_args()
    work = options.work.resolve()
    base = work / "base"
    if not (base / "usr/bin/python3").exists():
        made = [
            "debootstrap",
            "--variant=minbase",
            f"--include={PACKAGES}",
            options.suite,
            str(base),
            options.mirror,
        ]
        subprocess.run(made, check=True)
    for file in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
        shutil.copyfile(Path("/", file), base / file)
    if not (base / "usr/bin/python").exists():
        (base / "usr/bin/python").symlink_to("python3")  # as in Docker's images of Python
    for old in ("build", "final"):
        shutil.rmtree(work / old, ignore_errors=True)
    stage = run_steps(base, work)
    size = subprocess.run(
        ["du", "-sm", f"{stage.root}/opt/audiomem"], capture_output=True, text=True, check=True
    )
    print(f"/opt/audiomem has {size.stdout.split()[0]} MB")
    try_it(stage)


if __name__ == "__main__":
    main()
