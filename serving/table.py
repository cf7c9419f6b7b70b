"""`Table`: the slots of a service, and which of them a request means."""

from __future__ import annotations

from collections.abc import Sequence

from serving.refusals import ModelNotFoundError
from serving.rivals import chosen
from serving.slot import Slot
from sluice.flight import CANARY, CHAMPION
from sluice.tasks.task import Task


class Table:
    """The models that are served; of each task, the first is its default.

    Who asks for a model without version or alias gets its champion, or where a canary flies beside that, perhaps the
    canary.
    """

    def __init__(self, slots: Sequence[Slot], share: float = 0.0) -> None:
        self.slots = list(slots)
        self.share = share
        """Callers that a canary answers."""
        self._beside = {(slot.description.name, slot.description.alias): slot for slot in self.slots}

    def beside(self, slot: Slot, alias: str) -> Slot | None:
        """The version of the same model that this alias leads to, if it is served and another one."""
        found = self._beside.get((slot.description.name, alias))
        return None if found is slot else found

    @property
    def verbs(self) -> list[str]:
        """What can be asked here, in the order of the models."""
        found = [verb for slot in self.slots for verb in slot.verbs]
        if "search" in found and self._decoders():
            found.append("ask")
        return list(dict.fromkeys(found))

    @property
    def signature(self) -> list[tuple[str, type[Task]]]:
        """What routes are made of: what can be asked here, and of which tasks."""
        return [(verb, type(slot.texts.task)) for slot in self.slots for verb in slot.verbs]

    def named(self, model: str, version: str | None = None) -> Slot:
        """The slot that `name`, `name:version` or `name@alias` means. Raises ModelNotFoundError."""
        wanted = f"{model}:{version}" if version else model
        for slot in self.slots:
            if slot.description.answers_to(wanted):
                return self._flown(slot, wanted)
        raise ModelNotFoundError(f"this service has {self._all()}, not '{wanted}'", "model")

    def asked(self, verb: str, model: str | None) -> Slot:
        """The slot for a task, the default one unless another is named. Raises ModelNotFoundError."""
        for slot in self.slots:
            if verb in slot.verbs and (model is None or slot.description.answers_to(model)):
                return self._flown(slot, model, verb)
        if model is None:
            raise ModelNotFoundError(f"this service has {self._all()}: none of them can {verb}", "model")
        verbs = self.named(model).verbs
        raise ModelNotFoundError(f"'{model}' cannot {verb}: ask /v1/{verbs[0]}", "model")

    def writing(self, model: str | None) -> Slot:
        """The slot of a decoder, the default one unless another is named. Raises ModelNotFoundError."""
        slots = self._decoders()
        for slot in slots:
            if model is None or slot.description.answers_to(model):
                return self._flown(slot, model)
        told = ", ".join(slot.description.id for slot in slots) or "none"
        asked = f"'{self.named(model).description.id}' does not write; " if model else ""
        raise ModelNotFoundError(f"{asked}of the models served here, these write: {told}", "model")

    def _flown(self, slot: Slot, model: str | None, verb: str | None = None) -> Slot:
        """The slot, or its canary where the request leaves the version open and its caller is among those.

        Nobody is sent to a canary to search where that has no index yet.
        """
        canary = self.beside(slot, CANARY) if model in (None, slot.description.name) else None
        if canary is None or slot.description.alias != CHAMPION or canary.verbs != slot.verbs:
            return slot
        if verb == "search" and canary.searcher is None:
            return slot
        return chosen(slot, canary, self.share)

    def _decoders(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.texts.task.architecture == "decoder"]

    def _all(self) -> str:
        return ", ".join(slot.description.id for slot in self.slots)
