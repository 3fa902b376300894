"""``sen-host inspect``: what is known of a plugin, whether it loads or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from sen_host.cli import failure
from sen_host.cli.options import Call, call_options
from sen_host.cli.output import write_json, write_report
from sen_host.errors import SenHostError

if TYPE_CHECKING:
    from sen_host.config import Config
    from sen_host.messages import PluginManifest
    from sen_host.wasm.reader import ParsedModule


@dataclass
class Findings:
    """What was found out about one plugin file.

    Attributes:
        path: the file, as it was named.
        data: its bytes.
        module: its structure; None if it cannot be read.
        manifest: what the plugin says of itself; None if it did not load.
        error: why it could not be read or loaded; None if it could.
    """

    path: str
    data: bytes
    module: ParsedModule | None = None
    manifest: PluginManifest | None = None
    error: SenHostError | None = None

    @property
    def sha256(self) -> str:
        from hashlib import sha256

        return sha256(self.data).hexdigest()


@click.command(short_help="Show what a plugin is, offers and needs.")
@click.argument("plugin", type=click.Path())
@call_options(settings=True)
def command(call: Call, plugin: str) -> int:
    """Show what PLUGIN says of itself, and what its binary holds.

    The plugin is loaded to ask for its manifest, but none of its commands is
    run. What cannot be loaded is shown as far as it can be read, and the exit
    code is the one that `sen-host run` would have.
    """
    config = call.config()
    findings = investigate(call, config, plugin)
    if call.json:
        write_json({**call.facts, **as_json(findings)})
    else:
        from sen_host.cli.inspect_report import report

        write_report(*report(findings, call.facts))
    return 0 if findings.error is None else failure.exit_code(findings.error)


def investigate(call: Call, config: Config, path: str) -> Findings:
    """Read and load a plugin, as far as that goes.

    Raises:
        PluginFileError: there is nothing to read.
    """
    from sen_host.plugin_file import read_plugin_file
    from sen_host.wasm.reader import parse

    findings = Findings(path, read_plugin_file(path, config.limits.module_bytes))
    try:
        findings.module = parse(findings.data)
    except SenHostError as error:
        findings.error = error
        error.plugin = path
    try:
        loader = call.loader(config)
    except SenHostError as error:
        findings.error = findings.error or error
        return findings
    try:
        with loader.load(findings.data) as loaded:
            findings.manifest = loaded.manifest
    except SenHostError as error:
        error.plugin = path
        if error.hint and "sen-host inspect" in error.hint:
            error.hint = None  # to look closer is what the user is doing
        findings.error = findings.error or error
    return findings


def as_json(findings: Findings) -> dict[str, Any]:
    """The findings as a JSON object; null for what could not be found out."""
    manifest = None
    if findings.manifest is not None:
        from sen_host.messages import to_wire

        manifest = to_wire(findings.manifest)
    return {
        "path": findings.path,
        "size_bytes": len(findings.data),
        "sha256": findings.sha256,
        "manifest": manifest,
        "module": None if findings.module is None else _module_as_json(findings.module),
        "error": None if findings.error is None else failure.as_json(findings.error),
    }


def _module_as_json(module: ParsedModule) -> dict[str, Any]:
    from sen_host.cli.structure import export_type, features

    used, problem = features(module)
    return {
        "features": used,
        "features_problem": problem,
        "exports": [
            {
                "name": export.name,
                "kind": export.kind,
                "type": None if (type := export_type(module, export)) is None else str(type),
            }
            for export in module.exports
        ],
        "imports": [
            {"module": item.module, "name": item.name, "kind": item.kind, "type": str(item.type)}
            for item in module.imports
        ],
        "memories": [
            {"initial_pages": memory.limits.minimum, "maximum_pages": memory.limits.maximum}
            for memory in module.memories
        ],
        "functions": len(module.function_bodies),
        "custom_sections": [
            {"name": section.name, "size_bytes": len(section.content)}
            for section in module.custom_sections
        ],
    }
