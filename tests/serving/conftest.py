"""A tiny real bundle and the service that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.slot import SlotDescription
from sluice.config import load, to_yaml
from sluice.files import link_tree
from sluice.inference.bundle import Bundle, Lineage, bundle_digest
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from tests.serving.live import ROOT, Server, start

ROWS = {
    "graphs": ["shortest path between two nodes", "edges of a weighted graph", "nodes and their neighbours"],
    "arrays": ["an array of floats", "reshape the array", "sum over an axis"],
    "files": ["open a file", "read lines of a file", "close the file"],
    "dates": ["parse a date", "days between two dates", "the current time zone"],
    "network": ["open a socket", "send a request to a server", "the server answers"],
    "text": ["split a string", "replace a word", "count characters"],
}


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers and a byte-level tokenizer, trained on nothing but the rows above."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import ModernBertConfig, ModernBertForSequenceClassification, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bundle")
    bpe = ByteLevelBPETokenizer()
    texts = [text for rows in ROWS.values() for text in rows]
    bpe.train_from_iterator(texts, vocab_size=400, special_tokens=["<pad>", "<unk>"], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, pad_token="<pad>", unk_token="<unk>", model_max_length=128
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_labels=len(ROWS),
        # Wide enough that an untrained model has opinions.
        initializer_range=0.5,
        **{f"{kind}_token_id": 0 for kind in ("pad", "bos", "eos", "cls", "sep")},
    )
    ModernBertForSequenceClassification(config).save_pretrained(folder)
    lineage = Lineage(data="d" * 64, split="e" * 64, config="f" * 64, git="none")
    labels = tuple(sorted(ROWS))
    Bundle(task="classification", fields={"max_length": 128}, labels=labels, lineage=lineage).write(folder)
    return folder


@pytest.fixture(scope="session")
def description(bundle: Path) -> SlotDescription:
    """What promotion would say of the tiny bundle."""
    return SlotDescription(
        name="apidocs",
        version=7,
        alias="champion",
        task="classification",
        folder=bundle,
        digest=bundle_digest(bundle),
        data="d" * 64,
        created=1_700_000_000,
    )


@pytest.fixture(scope="session")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What promotion would leave of the repository's own configuration, but for two workers."""
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose("config", ["serve.workers=2", "serve.engine.threads=1"])
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(to_yaml(load(composed)))
    return path


@pytest.fixture(scope="session")
def predictor(bundle: Path) -> Predictor:
    """The same bundle, without a service around it."""
    return Predictor(bundle, TorchEngine())


@pytest.fixture(scope="session")
def server(
    description: SlotDescription, config_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One service of two workers for all tests that leave it as they found it."""
    running = start(tmp_path_factory.mktemp("service"), description, SLUICE_CONFIG=str(config_file))
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    """A connection to the service."""
    with httpx.Client(base_url=server.url, timeout=60) as connection:
        yield connection


@pytest.fixture(scope="session")
def chat_bundle(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder that has learnt nothing, with the same tokenizer: what it writes is noise, but always the same."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from sluice.tasks.chat import TEMPLATE

    folder = tmp_path_factory.mktemp("chat")
    tokenizer = AutoTokenizer.from_pretrained(bundle)
    tokenizer.chat_template = TEMPLATE
    tokenizer.eos_token = "<unk>"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
        initializer_range=0.5,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    lineage = Lineage(data="d" * 64, split="e" * 64, config="f" * 64, git="none")
    Bundle(task="chat", fields={"max_length": 64, "max_new_tokens": 16}, labels=(), lineage=lineage).write(folder)
    return folder


@pytest.fixture(scope="session")
def embed_bundle(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder as one that embeds."""
    folder = tmp_path_factory.mktemp("embed") / "bundle"
    link_tree(bundle, folder)
    (folder / "bundle.json").unlink()  # a link: not to be written to
    lineage = Bundle.read(bundle).lineage
    Bundle(task="embedding", fields={"max_length": 32}, labels=(), lineage=lineage).write(folder)
    return folder


def described(folder: Path, name: str, task: str, **more: Any) -> SlotDescription:
    """What promotion would say of a bundle."""
    digest = bundle_digest(folder)
    return SlotDescription(
        name=name, version=1, alias="champion", task=task, folder=folder, digest=digest, data="d" * 64, **more
    )


@pytest.fixture(scope="session")
def house(
    description: SlotDescription,
    chat_bundle: Path,
    embed_bundle: Path,
    config_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """A service of several models, and two language models among them."""
    generate = tmp_path_factory.mktemp("generate") / "bundle"
    link_tree(chat_bundle, generate)
    (generate / "bundle.json").unlink()
    lineage = Bundle.read(chat_bundle).lineage
    fields = {"max_length": 64, "max_new_tokens": 16}
    Bundle(task="causal_lm", fields=fields, labels=(), lineage=lineage).write(generate)
    slots = [
        description,
        described(chat_bundle, "apichat", "chat"),
        described(generate, "apitexts", "causal_lm"),
        described(embed_bundle, "apipairs", "embedding"),
    ]
    running = start(tmp_path_factory.mktemp("house"), *slots, SLUICE_CONFIG=str(config_file))
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0
