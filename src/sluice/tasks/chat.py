"""Chat: an answer to a prompt, or to a conversation, in the form of the model's chat template."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sluice.errors import UserError
from sluice.files import write_json
from sluice.tasks.encoding import Tokenizer
from sluice.tasks.generation import Exchange, Generation, Likelihood, Weighed
from sluice.tasks.task import Answers, Ask, Baselines, Columns, Kind, Outputs, items
from sluice.tasks.written import Written, completeness

if TYPE_CHECKING:
    from sluice.metrics.significance import Tally

Message = dict[str, str]
"""`role` and `content`, as chat templates have them."""
TEMPLATE = (
    "{{ bos_token or '' }}{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
"""The form of models that bring none."""


@dataclass(frozen=True)
class Replied(Written):
    """What a model wrote for one prompt, and how unlikely it finds the right answer."""

    right: Weighed


class Chat(Generation):
    """An answer to what is asked: a text, or a conversation as a JSON list of messages with role and content."""

    name: ClassVar[str] = "chat"
    verb: ClassVar[str] = "chat"
    columns: ClassVar[Mapping[str, Kind]] = {"prompt": "talk", "answer": "list"}
    primary_metric: ClassVar[str] = "rouge_l"
    example: ClassVar[str] = "What does a shortest path mean?"

    def corpus(self, rows: Columns) -> Sequence[str]:
        """Everything that is said."""
        said = [message["content"] for prompt in rows["prompt"] for message in messages_of(prompt)]
        return [*said, *(text for answers in self.references(rows) for text in answers)]

    def texts(self, rows: Columns) -> Sequence[str]:
        """Conversations as people read them."""
        return ["\n".join(message["content"] for message in messages_of(prompt)) for prompt in rows["prompt"]]

    def unusable(self, rows: Columns) -> dict[str, list[int]]:
        """Conversations that end with an answer: there is nothing left to say."""
        ended = [row for row, prompt in enumerate(rows["prompt"]) if messages_of(prompt)[-1]["role"] == "assistant"]
        return {"ends_with_an_answer": ended}

    def odd(self, rows: Columns) -> dict[str, list[int]]:
        """Answers that only say the prompt again."""
        pairs = zip(self.texts(rows), self.references(rows), strict=True)
        return {"answer_is_the_prompt": [row for row, (text, right) in enumerate(pairs) if text.strip() in right]}

    def references(self, rows: Columns) -> Answers:
        """The right answers of each row."""
        return [items(cell) for cell in rows["answer"]]

    def prompt(self, tokenizer: Tokenizer, text: str) -> list[int]:
        """The conversation up to where the assistant begins to speak."""
        return _ids(tokenizer, _rendered(tokenizer, messages_of(text), opened=True))

    def answer(self, tokenizer: Tokenizer, exchange: Exchange) -> list[int]:
        """What the template has between the assistant's beginning and its end, that end included."""
        messages = messages_of(exchange.prompt)
        before = _rendered(tokenizer, messages, opened=True)
        spoken = _rendered(tokenizer, [*messages, {"role": "assistant", "content": exchange.answer}], opened=False)
        if not spoken.startswith(before):
            raise UserError(
                "the chat template of this model changes what was said before an answer: it cannot be learnt"
            )
        ids = _ids(tokenizer, spoken[len(before) :].rstrip())
        return ids if ids and ids[-1] in tokenizer.all_special_ids else [*ids, tokenizer.eos_token_id]

    def lessons(self, rows: Columns) -> Sequence[Any]:
        """Each prompt with its first right answer."""
        pairs = zip(rows["prompt"], self.references(rows), strict=True)
        return [Exchange(prompt, right[0]) for prompt, right in pairs]

    def observe(self, ask: Ask, rows: Columns) -> Outputs:
        """What is written for each prompt, and how unlikely the right answer is."""
        written = ask(rows["prompt"], self.Options())
        weighed = ask(self.lessons(rows), Likelihood())
        return [
            Replied(one.text, one.finished, one.truncated, right) for one, right in zip(written, weighed, strict=True)
        ]

    def predictions(self, outputs: Outputs, labels: Sequence[str]) -> Answers:
        """The texts."""
        return [one.text for one in outputs]

    def metrics(self, outputs: Outputs, labels: Sequence[str], references: Answers) -> dict[str, float]:
        """How near the answers are to the right ones, how unlikely those are, and what the answers are like."""
        from sluice.metrics.generation import Rouge, distinct, exact, manner

        texts = self.predictions(outputs, labels)
        right = [one.right for one in outputs]
        nats, tokens = sum(one.nats for one in right), sum(one.tokens for one in right)
        return {
            **Rouge().compute(predictions=texts, references=references),
            "exact": exact(texts, references),
            "perplexity": math.exp(min(nats / tokens, 700)),
            "bits_per_byte": nats / math.log(2) / max(1, sum(one.bytes for one in right)),
            **distinct(texts),
            **manner(texts),
            **completeness(list(outputs)),
        }

    def tally(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Tally:
        """ROUGE, row by row."""
        from sluice.metrics.overlap import rouge_tally

        return rouge_tally(predictions, references)

    def baselines(self, train: Columns, test: Columns) -> Baselines:
        """The prompt itself, and the answer to the most similar training prompt."""
        from sluice.metrics.baselines import nearest

        answers = [row[0] for row in self.references(train)]
        texts = self.texts(test)
        return Baselines(
            trivial={"echo": list(texts)}, strong={"nearest_prompt": nearest(self.texts(train), answers, texts)}
        )

    def export(self, folder: Path) -> None:
        """Generation ends where answers do."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder.absolute())
        end = self.answer(tokenizer, Exchange("a", "b"))[-1]
        path = folder / "generation_config.json"
        settings = json.loads(path.read_text(encoding="utf-8"))
        known = settings.get("eos_token_id")
        stops = {end, *(known if isinstance(known, list) else [known])} - {None}
        write_json(path, {**settings, "eos_token_id": sorted(stops)})


def messages_of(prompt: str) -> list[Message]:
    """The conversation that a prompt is; a plain text is what the user says."""
    if prompt.lstrip().startswith("[{"):
        try:
            messages = json.loads(prompt)
        except ValueError:
            messages = None
        if isinstance(messages, list) and all({"role", "content"} <= one.keys() for one in messages):
            return messages
    return [{"role": "user", "content": prompt}]


def grounded(question: str, passages: Sequence[str]) -> str:
    """A prompt that asks for an answer from numbered passages."""
    numbered = "\n".join(f"[{number}] {text}" for number, text in enumerate(passages, start=1))
    return f"{numbered}\nAnswer from these passages: {question}"


def _rendered(tokenizer: Tokenizer, messages: list[Message], opened: bool) -> str:
    if tokenizer.chat_template is None:
        tokenizer.chat_template = TEMPLATE  # saved with the tokenizer
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=opened)
    return text


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids
