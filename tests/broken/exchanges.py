"""Faults of instances that make whole exchanges by themselves."""

from __future__ import annotations

from sen_host.abi import FUNCTIONS, RESUME, fits
from sen_host.backend import ALLOC, COUNTER_MAX, DEALLOC, FUEL, STACK, Exchanged, Trap
from tests.broken.base import PlainComposite, PlainCompositeBackend


class NothingFreed(PlainCompositeBackend):
    """plugin_dealloc is never called."""

    area, says = "payload", r"^bytes: "

    class Instance(PlainComposite):
        def free(self, pointer: int, payload: bytes | None, packed: int, memory_bytes: int) -> None:
            """Nothing is freed."""


class PayloadNotFreed(PlainCompositeBackend):
    """The payload is left to the guest."""

    area, says = "payload", r"^bytes: "

    class Instance(PlainComposite):
        def free(self, pointer: int, payload: bytes | None, packed: int, memory_bytes: int) -> None:
            self.free_message(packed, memory_bytes)


class MessageNotFreed(PlainCompositeBackend):
    """The message is left in the guest."""

    area, says = "payload", r"^bytes: "

    class Instance(PlainComposite):
        def free_message(self, packed: int, memory_bytes: int) -> None:
            """It is not freed."""


class FreedInAnotherOrder(PlainCompositeBackend):
    """The message is freed before the payload."""

    area, says = "payload", r"^bytes: "

    class Instance(PlainComposite):
        def free(self, pointer: int, payload: bytes | None, packed: int, memory_bytes: int) -> None:
            self.free_message(packed, memory_bytes)
            if payload is not None:
                self.enter(DEALLOC, pointer, len(payload))


class EmptyMessageFreed(PlainCompositeBackend):
    """A message of no bytes is freed, although there is nothing to free."""

    area, says = "payload", r"^bytes: "

    class Instance(PlainComposite):
        def free_message(self, packed: int, memory_bytes: int) -> None:
            if self.fits(packed >> 32, packed & 0xFFFF_FFFF, memory_bytes):
                self.enter(DEALLOC, packed >> 32, packed & 0xFFFF_FFFF)


class StrayMessageFreed(PlainCompositeBackend):
    """A message out of bounds is freed."""

    area, says = "payload", r"^bytes: "

    class Instance(PlainComposite):
        def free_message(self, packed: int, memory_bytes: int) -> None:
            if packed & 0xFFFF_FFFF:
                self.enter(DEALLOC, packed >> 32, packed & 0xFFFF_FFFF)


class LongMessageNotFreed(PlainCompositeBackend):
    """A message that is longer than the host takes is left in the guest."""

    area, says = "payload", r"^bytes: "

    class Instance(PlainComposite):
        message: bytes | None = None

        def take(self, packed: int, memory_bytes: int, result_bytes: int) -> bytes | None:
            self.message = super().take(packed, memory_bytes, result_bytes)
            return self.message

        def free_message(self, packed: int, memory_bytes: int) -> None:
            if self.message is not None:
                super().free_message(packed, memory_bytes)


class FreedBeforeItIsRead(PlainCompositeBackend):
    """The message is read when the guest may have used its place again."""

    area, says = "payload", r"^bytes: "

    class Instance(PlainComposite):
        def take(self, packed: int, memory_bytes: int, result_bytes: int) -> bytes | None:
            self.free_message(packed, memory_bytes)
            return super().take(packed, memory_bytes, result_bytes)


class EndOfMemoryOutOfBounds(PlainCompositeBackend):
    """A buffer that ends with the memory is taken for one out of bounds."""

    area, says = "bounds", r"^outcome: "

    class Instance(PlainComposite):
        def fits(self, pointer: int, length: int, memory_bytes: int) -> bool:
            return fits(pointer, length + 1, memory_bytes)


class OldSizeReported(PlainCompositeBackend):
    """Messages are judged by the size that the memory had when the exchange began."""

    area, says = "bounds", r"^(outcome|memory_bytes|raises.memory_bytes): "

    class Instance(PlainComposite):
        size: int | None = None

        def enter(self, name: str, *arguments: int) -> int:
            self.size = self.inner.memory_size() if self.size is None else self.size
            return super().enter(name, *arguments)

        def memory_size(self) -> int:
            return self.inner.memory_size() if self.size is None else self.size

        def free(self, pointer: int, payload: bytes | None, packed: int, memory_bytes: int) -> None:
            super().free(pointer, payload, packed, memory_bytes)
            self.size = None


class FuelOfTheLastCall(PlainCompositeBackend):
    """The fuel is read when all is done: it is that of plugin_dealloc."""

    area, says = "execute", r"^fuel_used: "

    class Instance(PlainComposite):
        def report(self, facts: Exchanged) -> Exchanged:
            return facts._replace(fuel_left=self.get_global(FUEL))


class OneBudgetForAll(PlainCompositeBackend):
    """All calls of an exchange share one budget."""

    area, says = "execute", r"^fuel_used: "

    class Instance(PlainComposite):
        def enter(self, name: str, *arguments: int) -> int:
            result = super().enter(name, *arguments)
            self.budget = self.get_global(FUEL) or 0
            return result


class TrapOfDeallocIgnored(PlainCompositeBackend):
    """A trap of plugin_dealloc goes unnoticed, so the instance lives on."""

    area, says = "trap", r"^(result|fuel_used|outcome): "

    class Instance(PlainComposite):
        def report(self, facts: Exchanged) -> Exchanged:
            return facts._replace(free_trap=None)


class TrapOfDeallocRaised(PlainCompositeBackend):
    """A trap of plugin_dealloc takes away the message that was already there."""

    area, says = "trap", r"^outcome: expected .* seen .*'plugin_dealloc'"

    class Instance(PlainComposite):
        def report(self, facts: Exchanged) -> Exchanged:
            if facts.free_trap is not None:
                raise facts.free_trap
            return facts


class TrapInTheWrongFunction(PlainCompositeBackend):
    """A trap of plugin_alloc is blamed on the function that was to be called."""

    area, says = "trap", r"^raises.function: expected 'plugin_alloc', seen 'plugin_execute'$"

    class Instance(PlainComposite):
        def enter(self, name: str, *arguments: int) -> int:
            try:
                return super().enter(name, *arguments)
            except Trap as trap:
                if name == ALLOC:
                    trap.function = None
                raise


class OverdraftNotSeen(PlainCompositeBackend):
    """A call that returns with less than no fuel is not taken for a trap."""

    area, says = "fuel", r"^outcome: expected .*'FuelExhausted'"

    class Instance(PlainComposite):
        def enter(self, name: str, *arguments: int) -> int:
            self.set_global(FUEL, self.budget)
            self.set_global(STACK, self.stack)
            return self.function(name, FUNCTIONS[name])(*arguments) or 0


class PayloadPointerNotChecked(PlainCompositeBackend):
    """A zero pointer of plugin_alloc is written to."""

    area, says = "bounds", r"^outcome: expected .*'MemoryAccess'"

    class Instance(PlainComposite):
        def fits(self, pointer: int, length: int, memory_bytes: int) -> bool:
            return pointer + length <= memory_bytes


class AllocUnmetered(PlainCompositeBackend):
    """plugin_alloc may use all the fuel in the world."""

    area, says = "fuel", r"^raises.function: expected 'plugin_alloc', seen 'plugin_execute'$"

    class Instance(PlainComposite):
        def enter(self, name: str, *arguments: int) -> int:
            if name != ALLOC:
                return super().enter(name, *arguments)
            budget, self.budget = self.budget, COUNTER_MAX
            try:
                return super().enter(name, *arguments)
            finally:
                self.budget = budget


class DeallocOnLeftovers(PlainCompositeBackend):
    """plugin_dealloc lives on the fuel that the function left."""

    area, says = "fuel", r"^memory_bytes: expected \d+, seen nothing known$"

    class Instance(PlainComposite):
        def free(self, pointer: int, payload: bytes | None, packed: int, memory_bytes: int) -> None:
            self.budget = self.get_global(FUEL) or 0
            super().free(pointer, payload, packed, memory_bytes)


class EffectIdLast(PlainCompositeBackend):
    """plugin_resume gets the effect's id behind the payload, not in front of it."""

    area, says = "resume", r"^(result|bytes|outcome|raises)"

    class Instance(PlainComposite):
        def enter(self, name: str, *arguments: int) -> int:
            if name == RESUME:
                effect_id, *payload = arguments
                arguments = (*payload, effect_id)
            return super().enter(name, *arguments)


class EffectIdOf16Bits(PlainCompositeBackend):
    """plugin_resume gets the lower half of the effect's id."""

    area, says = "resume", r"^(result|bytes): "

    class Instance(PlainComposite):
        def enter(self, name: str, *arguments: int) -> int:
            if name == RESUME:
                effect_id, *payload = arguments
                arguments = (effect_id & 0xFFFF, *payload)
            return super().enter(name, *arguments)


class EffectOfAnotherId(EffectIdOf16Bits):
    """The same, where effects are followed to their end."""

    area, says = "effects", r"^(result|fuel_used): "
