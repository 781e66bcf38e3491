"""dvc.lock as a Workflow Run RO-Crate: what made what, for tools that know nothing of us.

The profile is Provenance Run Crate 0.5 (https://w3id.org/ro/wfrun/provenance/0.5), upon RO-Crate
1.1: a stage that DVC ran is a CreateAction, its file in `stages` the tool, what it read and wrote
are the action's objects and results.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from mimetypes import MimeTypes
from typing import Any
from urllib.parse import quote

from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.formats.citation import SPDX, Citation
from mnist_diffusion.pipeline import STAGES, Stage
from mnist_diffusion.provenance.schemas.manifest import timing_of

METADATA = "ro-crate-metadata.json"
WORKFLOW = "dvc.yaml"
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
    graph = _Graph(citation, dvc_version)
    actions = [graph.action(address, entry) for address, entry in lock.items()]
    graph.workflow(actions)
    graph.run(actions)
    graph.root([action["@id"] for action in actions])
    return {"@context": CONTEXT, "@graph": graph.linked()}


class _Graph:
    """Entities by their ids; a list is of ids that an entity refers to."""

    def __init__(self, citation: Citation, dvc_version: str) -> None:
        self.citation, self.dvc_version = citation, dvc_version
        self.licence = SPDX + citation.licence
        self.entities: dict[str, Entity] = {}
        self.tools: dict[str, None] = {}

    def add(self, name: str, kind: str | list[str], /, **properties: Any) -> str:
        """An entity, unless it is there; its id."""
        self.entities.setdefault(name, {"@id": name, "@type": kind, **properties})
        return name

    def action(self, address: str, entry: Mapping[str, Any]) -> Entity:
        """What DVC recorded of a stage, when it ran and in what environment."""
        stage, name = STAGES[address.partition("@")[0]], address.partition("@")[2] or None
        settings = (pair for file in entry.get("params", {}).values() for pair in leaves(file))
        published = stage.published(name)
        environment = read_json(published)["environment"] if published else {}
        action = self.add(
            f"#{quote(address, safe=SAFE)}",
            "CreateAction",
            name=address,
            description=stage.summary,
            agent=[AUTHORS],
            instrument=[self._tool(stage)],
            object=[*self._data(entry["deps"]), *self._values("setting", settings)],
            result=self._data(entry["outs"]),
            environment=self._values("environment", environment.items()),
            actionStatus=DONE,
            **_times(stage, name),
        )
        return self.entities[action]

    def workflow(self, actions: Sequence[Entity]) -> None:
        """dvc.yaml, with a step for each action."""
        steps = [
            self.add(
                f"{WORKFLOW}{action['@id']}",
                "HowToStep",
                name=action["name"],
                position=str(place),
                workExample=action["instrument"],
            )
            for place, action in enumerate(actions)
        ]
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
            step=steps,
        )

    def run(self, actions: Sequence[Entity]) -> None:
        """That DVC ran the workflow: what went in from outside, and all that came out."""
        made = {one for action in actions for one in action["result"]}
        read = {one for action in actions for one in action["object"]}
        about = {
            "name": "dvc repro",
            "description": "Run every stage that is out of date.",
            "agent": [self.add(AUTHORS, "Organization", name=self.citation.authors)],
            "actionStatus": DONE,
            **self._ended(actions),
        }
        self.add(
            RUN,
            "CreateAction",
            instrument=[WORKFLOW],
            object=sorted(read - made),
            result=sorted(made),
            **about,
        )
        self.add(DVC, "SoftwareApplication", name="DVC", version=self.dvc_version, url=DVC)
        controls = [
            self.add(
                f"#control-{action['@id'][1:]}",
                "ControlAction",
                name=action["name"],
                instrument=[f"{WORKFLOW}{action['@id']}"],
                object=[action["@id"]],
            )
            for action in actions
        ]
        self.add(
            ORGANISED, "OrganizeAction", instrument=[DVC], object=controls, result=[RUN], **about
        )

    def root(self, actions: Sequence[str]) -> None:
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
            mentions=[RUN, ORGANISED, *actions],
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
        return self.add(
            quote(path, safe=SAFE), "File", name=path, encodingFormat=kind, **properties
        )

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

    def _values(self, kind: str, values: Iterable[tuple[str, Any]]) -> list[str]:
        """Ids of settings, each by what it is, so that stages share what they have in common."""
        return [
            self.add(
                f"#{kind}-{quote(f'{key}={text}', safe=SAFE)}",
                "PropertyValue",
                name=key,
                value=text,
            )
            for key, value in values
            for text in [value if isinstance(value, str) else json.dumps(value)]
        ]

    @staticmethod
    def _ended(actions: Sequence[Entity]) -> dict[str, str]:
        ends = [action["endTime"] for action in actions if "endTime" in action]
        return {"endTime": max(ends)} if ends else {}


def _kinds(entity: Entity) -> set[str]:
    kind = entity["@type"]
    return {kind} if isinstance(kind, str) else {*kind}


def _linked(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    references = [{"@id": name} for name in value]
    return references[0] if len(references) == 1 else references


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by their whole key, such as cells.long.steps."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _times(stage: Stage, name: str | None) -> dict[str, str]:
    """When the stage ran that made what is here, if that is known."""
    timing = timing_of(stage.name, name)
    if not timing:
        return {}
    began = datetime.fromisoformat(timing.finished) - timedelta(seconds=round(timing.seconds))
    return {"startTime": began.isoformat(), "endTime": timing.finished}
