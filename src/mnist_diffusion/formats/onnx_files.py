"""Trained networks as ONNX, for a batch of any size: onnxruntime and others run them.

What a folder of models/ holds, its config.json files tell; what a network takes, its kind.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor, nn

from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.codec_files import CODEC, SCALE, load_codec
from mnist_diffusion.networks.codecs import CODECS, Codec
from mnist_diffusion.networks.denoisers import DENOISERS
from mnist_diffusion.networks.encoders import ENCODERS
from mnist_diffusion.networks.judges import JUDGES
from mnist_diffusion.networks.latent_scale import Scale
from mnist_diffusion.networks.students import STUDENTS
from mnist_diffusion.provenance.digests import json_digest

EXAMPLES = 2
"""What the exporter traces with; its files take any number."""
PIXELS = (1, 28, 28)
OPSET = 20


@dataclass(frozen=True)
class Function:
    """What a trained network does, as one file."""

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    """Examples, (n, …) each."""
    outputs: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    """What the checkpoint says of the network."""

    def onnx(self) -> bytes:
        """The file's content. Tracing takes seconds: networks of one kind share it."""
        shapes = {key: [*one.shape] for key, one in self.inputs.items()}
        key = json_digest([self.config, self.name, shapes])
        if key not in _TRACED:
            _TRACED[key] = _traced(self)
        model, weights = _TRACED[key], checkpoint.weights(self.module)
        for tensor in model.graph.initializer:
            if tensor.name in weights:
                tensor.raw_data = weights[tensor.name].numpy().tobytes()
        return model.SerializeToString(deterministic=True)


_TRACED: dict[str, ModelProto] = {}


def _traced(function: Function) -> ModelProto:
    """As the exporter writes it, but for what it tells of our source files and their folder.

    Unoptimised, each weight has its name of the checkpoint; runtimes optimise what they load.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the axes "n" are of one size, is meant
        program = torch.onnx.export(
            function.module,
            (*function.inputs.values(),),
            input_names=[*function.inputs],
            output_names=[*function.outputs],
            dynamic_shapes=tuple({0: "n"} for _ in function.inputs),
            opset_version=OPSET,
            dynamo=True,
            optimize=False,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("metadata_props")
    return model


def onnx_functions(folder: Path) -> Iterator[tuple[str, Function]]:
    """What the networks in a folder of models/ do, by file; UserError if one is broken."""
    for path in sorted(folder.rglob(checkpoint.CONFIG)):
        own, config = path.parent, read_json(path).get("network")
        if config:
            network = checkpoint.load(own, NETWORKS)[0]
            for function in KINDS[config["name"]](network, own):
                name = "-".join([*own.relative_to(folder).parts, f"{function.name}.onnx"])
                yield name, replace(function, config=config)


def _denoiser(network: Any, own: Path) -> Iterator[Function]:
    """Asked by labels, -1 for none, or by vectors of the text encoder, zeros for none."""
    vector = getattr(network, "vector", 0)
    asked = _zeros(vector) if vector else torch.zeros(EXAMPLES, dtype=torch.int64)
    yield _asked(network, own, asked)


def _student(network: Any, own: Path) -> Iterator[Function]:
    """Asked by labels with guidance scales."""
    yield _asked(network, own, _zeros(2))


def _asked(network: Any, own: Path, asked: Tensor) -> Function:
    shape = load_codec(own)[0].shape if (own / CODEC).exists() else PIXELS
    inputs = {"x": _zeros(*shape), "t": torch.ones(EXAMPLES, dtype=torch.int64), "asked": asked}
    return Function("denoiser", network, inputs, ("output",))


def _codec(network: Any, own: Path) -> Iterator[Function]:
    """Beside a denoiser, latent numbers are on the scale that it draws them on."""
    as_it_is = Scale([0.0] * network.latent, [1.0] * network.latent)
    scale = Scale.load(own / SCALE) if (own / SCALE).exists() else as_it_is
    yield Function("encoder", _Encoding(network), {"x": _zeros(*PIXELS)}, ("mean", "log_variance"))
    latents = {"z": _zeros(*network.shape)}
    yield Function("decoder", _Decoding(network, scale), latents, ("images",))


def _text(network: Any, own: Path) -> Iterator[Function]:
    tokens = torch.ones(EXAMPLES, network.sizes["length"], dtype=torch.int64)
    yield Function("encoder", network, {"tokens": tokens}, ("vectors",))


def _clip(network: Any, own: Path) -> Iterator[Function]:
    (text,) = _text(network.text, own)
    yield Function("text-encoder", text.module, text.inputs, text.outputs)
    yield Function("image-encoder", network.image, {"x": _zeros(*PIXELS)}, ("vectors",))


def _classifier(network: Any, own: Path) -> Iterator[Function]:
    yield Function("classifier", network, {"x": _zeros(*PIXELS)}, ("features", "logits"))


def _autoencoder(network: Any, own: Path) -> Iterator[Function]:
    yield Function("autoencoder", network, {"x": _zeros(*PIXELS)}, ("features", "images"))


NETWORKS: checkpoint.Networks = {**DENOISERS, **STUDENTS, **CODECS, **ENCODERS, **JUDGES}
KINDS: dict[str, Callable[[Any, Path], Iterator[Function]]] = {
    **dict.fromkeys(DENOISERS, _denoiser),
    **dict.fromkeys(STUDENTS, _student),
    **dict.fromkeys(CODECS, _codec),
    "text": _text,
    "clip": _clip,
    "classifier": _classifier,
    "autoencoder": _autoencoder,
}
"""By what a config may name; a test holds the two together."""


class _Encoding(nn.Module):
    def __init__(self, codec: Codec):
        super().__init__()
        self.codec = codec

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        said = self.codec.encode(x)
        return said.mean, said.log_variance


class _Decoding(nn.Module):
    mean: Tensor
    deviation: Tensor

    def __init__(self, codec: Codec, scale: Scale):
        super().__init__()
        self.codec = codec
        for name, numbers in (("mean", scale.mean), ("deviation", scale.deviation)):
            self.register_buffer(name, torch.tensor(numbers).view(1, -1, 1, 1))

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.codec.decode(z * self.deviation + self.mean)
        return images


def _zeros(*shape: int) -> Tensor:
    return torch.zeros(EXAMPLES, *shape)
