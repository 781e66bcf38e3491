"""dvc.lock as a Workflow Run RO-Crate: what made what, for tools that know nothing of us.

The profile is Provenance Run Crate 0.5 (https://w3id.org/ro/wfrun/provenance/0.5), upon RO-Crate
1.1: a stage that DVC ran is a CreateAction, its file in `stages` the tool, what it read and wrote
are the action's objects and results.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from mimetypes import MimeTypes
from typing import Any
from urllib.parse import quote

from dvc.utils.flatten import flatten

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.formats.citation import SPDX, Citation
from mnist_diffusion.pipeline import Stage, parse_address
from mnist_diffusion.provenance.schemas.manifest import timing_of

METADATA = "ro-crate-metadata.json"
WORKFLOW = str(paths.PIPELINE)
BESIDE = ("README.md", "LICENSE", "CITATION.cff", "params.yaml", "dvc.lock", "requirements.lock")
"""What a reader wants, and no stage declares."""
ROCRATE = "https://w3id.org/ro/crate/1.1"
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
RUN_CRATES = "https://w3id.org/ro/wfrun"
CONTEXT = [
    f"{ROCRATE}/context",
    {"environment": "https://w3id.org/ro/terms/workflow-run#environment"},
]
DONE = "http://schema.org/CompletedActionStatus"
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
DVC = "https://dvc.org/"
AUTHORS, LANGUAGE, RUN, ORGANISED = "#authors", "#dvc-pipeline", "#dvc-repro", "#organised"

SAFE = "/@"
"""What ids of ours have as it is."""

Entity = dict[str, Any]
Lock = Mapping[str, Mapping[str, Any]]
"""An entry of dvc.lock for each stage, by its address."""


def crate(lock: Lock, citation: Citation, dvc_version: str) -> dict[str, Any]:
    """The content of ro-crate-metadata.json."""
    graph = _Graph(citation)
    for address, entry in lock.items():
        graph.action(address, entry)
    graph.workflow()
    graph.run(dvc_version)
    graph.root()
    return {"@context": CONTEXT, "@graph": graph.linked()}


class _Graph:
    """Entities by their ids; a list is of ids that an entity refers to."""

    def __init__(self, citation: Citation) -> None:
        self.citation, self.licence = citation, SPDX + citation.licence
        self.entities: dict[str, Entity] = {}
        self.actions: list[str] = []
        self.steps: list[str] = []
        self.controls: list[str] = []
        self.tools: dict[str, None] = {}

    def add(self, name: str, kind: str | list[str], /, **properties: Any) -> str:
        """An entity, unless it is there; its id."""
        self.entities.setdefault(name, {"@id": name, "@type": kind, **properties})
        return name

    def action(self, address: str, entry: Mapping[str, Any]) -> None:
        """What DVC recorded of a stage, when it ran and in what environment; its step."""
        stage, name = parse_address(address)
        settings = flatten(entry.get("params", {}).get(str(paths.PARAMS), {}))
        published, tool = stage.published(name), self._tool(stage)
        environment = read_json(published)["environment"] if published else {}
        action = self.add(
            f"#{quote(address, safe=SAFE)}",
            "CreateAction",
            name=address,
            description=stage.summary,
            agent=[AUTHORS],
            instrument=[tool],
            object=[*self._data(entry["deps"]), *self._values("setting", settings)],
            result=self._data(entry["outs"]),
            environment=self._values("environment", environment),
            actionStatus=DONE,
            **_times(stage, name),
        )
        place = str(len(self.steps))
        own = {"name": address, "position": place, "workExample": [tool]}
        step = self.add(f"{WORKFLOW}{action}", "HowToStep", **own)
        own = {"name": address, "instrument": [step], "object": [action]}
        self.controls.append(self.add(f"#control-{action[1:]}", "ControlAction", **own))
        self.actions.append(action)
        self.steps.append(step)

    def workflow(self) -> None:
        """dvc.yaml, with a step for each action."""
        self.add(
            WORKFLOW,
            ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            name=WORKFLOW,
            encodingFormat="application/yaml",
            programmingLanguage=[self.add(LANGUAGE, "ComputerLanguage", name=LANGUAGE, url=[DVC])],
            version=self.citation.version,
            license=[self.licence],
            conformsTo=[self.add(BIOSCHEMAS, "CreativeWork", name="ComputationalWorkflow")],
            hasPart=[*self.tools],
            step=self.steps,
        )

    def run(self, dvc_version: str) -> None:
        """That DVC ran the workflow: what went in from outside, and all that came out."""
        actions = [self.entities[action] for action in self.actions]
        made = {one for action in actions for one in action["result"]}
        read = {one for action in actions for one in action["object"]}
        about = {
            "name": "dvc repro",
            "description": "Run every stage that is out of date.",
            "agent": [self.add(AUTHORS, "Organization", name=self.citation.authors)],
            "actionStatus": DONE,
        }
        if ends := [action["endTime"] for action in actions if "endTime" in action]:
            about["endTime"] = max(ends)
        data = {"object": sorted(read - made), "result": sorted(made)}
        self.add(RUN, "CreateAction", instrument=[WORKFLOW], **data, **about)
        self.add(DVC, "SoftwareApplication", name="DVC", version=dvc_version, url=DVC)
        data = {"object": self.controls, "result": [RUN]}
        self.add(ORGANISED, "OrganizeAction", instrument=[DVC], **data, **about)

    def root(self) -> None:
        """The crate itself, with all that is in it."""
        for path in BESIDE:
            self._file(path)
        self.entities["README.md"] |= {"encodingFormat": "text/markdown", "about": ["./"]}
        parts = [name for name, one in self.entities.items() if {"File", "Dataset"} & _kinds(one)]
        profiles = {
            f"{RUN_CRATES}/{kind}/0.5": "0.5" for kind in ("process", "workflow", "provenance")
        }
        profiles[WORKFLOW_CRATE] = "1.0"
        self.add(self.licence, "CreativeWork", name=self.citation.licence)
        self.add(
            "./",
            "Dataset",
            name=self.citation.title,
            description=self.citation.abstract,
            license=[self.licence],
            author=[AUTHORS],
            publisher=[AUTHORS],
            datePublished=self.entities[RUN].get("endTime", date.today().isoformat()),
            conformsTo=[
                self.add(profile, "CreativeWork", name=profile, version=version)
                for profile, version in profiles.items()
            ],
            hasPart=parts,
            mainEntity=[WORKFLOW],
            mentions=[RUN, ORGANISED, *self.actions],
        )
        conforms = [ROCRATE, WORKFLOW_CRATE]
        self.add(METADATA, "CreativeWork", about=["./"], conformsTo=conforms)

    def linked(self) -> list[Entity]:
        """All entities as JSON-LD: references for lists, and one alone outside of any list."""
        return [
            {key: _linked(value) if key != "@type" else value for key, value in entity.items()}
            for entity in self.entities.values()
        ]

    def _tool(self, stage: Stage) -> str:
        path = self.add(
            f"src/mnist_diffusion/stages/{stage.name}.py",
            ["File", "SoftwareSourceCode"],
            name=stage.name,
            description=stage.summary,
            version=self.citation.version,
            encodingFormat="text/x-python",
        )
        self.tools[path] = None
        return path

    def _file(self, path: str, **properties: Any) -> str:
        """A file of the crate by its path."""
        kind = MimeTypes().guess_type(path)[0] or "application/octet-stream"
        about = {"name": path, "encodingFormat": kind, **properties}
        return self.add(quote(path, safe=SAFE), "File", **about)

    def _data(self, entries: Iterable[Mapping[str, Any]]) -> list[str]:
        """Ids of what a stage read or wrote, as dvc.lock has it."""
        found = []
        for entry in entries:
            path, known = entry["path"], {"identifier": f"md5:{entry['md5']}"}
            if entry["md5"].endswith(".dir"):
                found.append(self.add(f"{quote(path, safe=SAFE)}/", "Dataset", name=path, **known))
            else:
                found.append(self._file(path, contentSize=str(entry["size"]), **known))
        return found

    def _values(self, kind: str, values: Mapping[str, Any]) -> list[str]:
        """Ids of settings, each by what it is, so that stages share what they have in common."""
        texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
        ids = {key: f"#{kind}-{quote(f'{key}={text}', safe=SAFE)}" for key, text in texts.items()}
        return [self.add(ids[k], "PropertyValue", name=k, value=v) for k, v in texts.items()]


def _kinds(entity: Entity) -> set[str]:
    kind = entity["@type"]
    return {kind} if isinstance(kind, str) else {*kind}


def _linked(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    references = [{"@id": name} for name in value]
    return references[0] if len(references) == 1 else references


def _times(stage: Stage, name: str | None) -> dict[str, str]:
    """When the stage ran that made what is here, if that is known."""
    timing = timing_of(stage.name, name)
    if not timing:
        return {}
    began = datetime.fromisoformat(timing.finished) - timedelta(seconds=round(timing.seconds))
    return {"startTime": began.isoformat(), "endTime": timing.finished}
