"""The steps of the carts' model that are about kits."""

from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from inventory_api.domain.catalog import Shown
from inventory_api.domain.judge import Asked
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.reservation import Allocation, Part, Settle
from inventory_api.domain.types import SKU, Instant, Recipe
from inventory_api.service import Service
from inventory_api.store.catalog import change_item, create_item
from inventory_api.store.database import Session
from tests.model.cart_model import PLACES, Wanted, Warehouse
from tests.model.reached import note, reach
from tests.stock_factory import adjust, command, item

T = TypeVar("T")

KITS = {"SET-1": {"P001": 2, "P002": 1}, "SET-2": {"P002": 2}}
COMPOSITIONS: tuple[dict[str, int], ...] = (
    *KITS.values(),
    {"P001": 1},
    {"P001": 1, "P002": 3},
)
names = st.sampled_from([*KITS, *KITS, "P001", "P002"])
wanted_kits = st.lists(
    st.tuples(names, st.sampled_from([None, None, *PLACES]), st.integers(1, 3)),
    min_size=1,
    max_size=3,
)
references = st.sampled_from(["cart:1", "cart:2", "cart:3"])
maybe_references = st.none() | references
lives = st.sampled_from([1, 5, 60])


class KitRules:
    """For the state machine of the carts, whose own rules these go through."""

    service: Service
    model: Warehouse

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        raise NotImplementedError

    def reserve(
        self, reference: str | None, wanted: list[Wanted], life: int, partial: bool
    ) -> None:
        raise NotImplementedError

    def declare(self, reference: str, wanted: list[Wanted], life: int) -> None:
        raise NotImplementedError

    def _ask(self, asked: Asked) -> Outcome:
        raise NotImplementedError

    def _compare(self, verb: str, outcome: Outcome, word: str, name: str) -> None:
        raise NotImplementedError

    @rule(reference=maybe_references, wanted=wanted_kits, life=lives, partial=st.booleans())
    def reserve_kits(
        self, reference: str | None, wanted: list[Wanted], life: int, partial: bool
    ) -> None:
        self.reserve(reference, wanted, life, partial)
        note("of these, kits", "reserve")

    @rule(reference=references, wanted=wanted_kits, life=lives)
    def declare_kits(self, reference: str, wanted: list[Wanted], life: int) -> None:
        self.declare(reference, wanted, life)
        note("of these, kits", "declare")

    @precondition(lambda self: self._carts_with_kits())
    @rule(
        data=st.data(),
        verb=st.sampled_from(["confirm", "confirm", "fulfill", "release"]),
        kit=st.sampled_from([*KITS]),
        quantity=st.none() | st.integers(1, 2),
    )
    def settle_kits(self, data: st.DataObject, verb: str, kit: str, quantity: int | None) -> None:
        name = data.draw(st.sampled_from(self._carts_with_kits()))
        self._settle_kits(name, verb, None if quantity is None else (kit, quantity))

    @precondition(lambda self: self._carts_with_kits())
    @rule(data=st.data())
    def sell_kits(self, data: st.DataObject) -> None:
        """All the way, which steps of chance seldom go: paid, also late, and shipped."""
        name = data.draw(st.sampled_from(self._carts_with_kits()))
        for verb in ("confirm", "fulfill"):
            self._settle_kits(name, verb, None)

    def _settle_kits(self, name: str, verb: str, part: tuple[str, int] | None) -> None:
        lines = () if part is None else (Part(SKU(part[0]), None, part[1]),)
        outcome = self._ask(Settle(kind=verb, id=name, lines=lines))

        word = self.model.settle(name, verb, part)
        self._compare(verb, outcome, word, name)
        note("of these, kits", f"{verb} {word}")

    @rule(kit=st.sampled_from([*KITS]), made_of=st.sampled_from(COMPOSITIONS))
    def change_the_components(self, kit: str, made_of: dict[str, int]) -> None:
        """What is held keeps its components; what is taken from now on has the new ones."""
        self.run(set_components(self.service, kit, made_of))

        self.model.kits[kit] = made_of
        reach("kit", "other components")

    @rule(kit=st.sampled_from([*KITS]), place=st.sampled_from(PLACES))
    def put_a_kit_on_a_shelf(self, kit: str, place: str) -> None:
        assert self._ask(command(adjust(1, kit, place))).refused is Code.IS_KIT
        reach("kit", "on a shelf is_kit")

    @rule(kit=st.sampled_from([*KITS]), place=st.sampled_from([None, *PLACES]))
    def check_a_kit(self, kit: str, place: str | None) -> None:
        """How many can be sold: what the components allow, at each place for itself."""
        answer = self.run(self.service.check([{"sku": kit, "quantity": 2, "location": place}]))

        at = PLACES if place is None else (place,)
        parts = self.model.kits[kit].items()
        (shown,) = answer["results"]
        assert shown["available"] == sum(
            min(max(0, self.model.available(part, one)) // units for part, units in parts)
            for one in at
        )
        promisable = sum(
            min(self.model.promisable(part, one) // units for part, units in parts) for one in at
        )
        assert shown["sufficient"] == (promisable >= 2)
        reach("kit", "check: sufficient" if shown["sufficient"] else "check: too few")

    def _carts_with_kits(self) -> list[str]:
        """Carts that hold kits, or did when their time was over."""
        return sorted(
            name
            for name, cart in self.model.carts.items()
            if any(
                piece.recipe and piece.held + piece.committed + piece.expired
                for piece in cart.pieces
            )
        )


def kits_and_items(allocations: Iterable[Allocation]) -> dict[tuple[int, str, str], Any]:
    """Units of items and numbers of kits by line, name and place; the components in lock-step."""
    found: dict[tuple[int, str, str], tuple[int, ...]] = {}
    for one in allocations:
        units = (one.held, one.committed, one.fulfilled, one.released, one.expired)
        assert not any(count % one.per_kit for count in units), one
        kits = tuple(count // one.per_kit for count in units)
        assert found.setdefault((one.line, one.name, one.location), kits) == kits, one
    return found


async def open_kits(service: Service) -> None:
    """The kits, of items that exist."""

    async def work(session: Session, now: Instant) -> Outcome:
        for kit, made_of in KITS.items():
            outcome = await create_item(session, item(kit), recipe_of(made_of))
            assert outcome.refused is None
        return Outcome(b"{}")

    await service.transact(work, actor="test")


async def set_components(service: Service, kit: str, made_of: dict[str, int]) -> None:
    """Let a kit consist of something else."""
    changes: Shown = {}

    async def work(session: Session, now: Instant) -> Outcome:
        recipe = recipe_of(made_of)
        return await change_item(
            session, kit, changes, if_match=None, now=now, steady=now, recipe=recipe
        )

    assert (await service.transact(work, actor="test")).refused is None


def recipe_of(made_of: dict[str, int]) -> Recipe:
    return tuple(sorted((SKU(sku), units) for sku, units in made_of.items()))
