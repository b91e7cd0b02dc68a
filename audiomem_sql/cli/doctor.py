"""``audiomem doctor``: what is wrong with the installation and with tables, and what to do."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

import typer


def doctor(
    tables: Annotated[
        list[str] | None, typer.Argument(help="Tables: paths or URLs.", metavar="TABLE")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Print what is well, too.")] = False,
) -> int:
    """Check the installation and tables, and say what to do. The exit code is 1 if something fails."""
    from audiomem_sql.cli import output
    from audiomem_sql.doctor import FAIL, OK, check_installation, check_table

    findings = list(check_installation(os.getcwd()))
    for path in tables or ():
        findings += check_table(path)
    failed = sum(finding.state == FAIL for finding in findings)
    if json:
        output.print_json({"ok": not failed, "findings": [asdict(finding) for finding in findings]})
        return int(bool(failed))
    for finding in findings:
        if finding.state != OK or everything:
            about = f"{finding.about}: " if finding.about else ""
            print(f"{finding.state:4}  {output.printable(f'{finding.check}: {about}{finding.what}')}.")
            if finding.remedy:
                print(f"      {output.printable(finding.remedy)}")
    well = sum(finding.state == OK for finding in findings)
    print(f"{well} of {output.counted(len(findings), 'check')} are well, {failed} failed.")
    return int(bool(failed))
