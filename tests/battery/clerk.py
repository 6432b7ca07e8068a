"""Clerks: clients that take documents through their verbs, and note what each change is to do.

What a change does to the levels is worked out here, from what was asked: the other half of an
audit is the ledger.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from tests.battery.client import JSON, Answer, Connection
from tests.battery.holds import told

Units = Counter[tuple[str, str, str]]
"""Units more or less, by SKU, location and balance; what is not there is zero."""

SKUS = ("P001", "P002", "P003", "P004", "P005")
KIT = "DESK"
RECIPE = {"P004": 1, "P005": 2}
STOCK = 1_000_000  # nothing is ever refused for want of it
TTL_S = 24 * 3600  # nothing ends before the test does
# All that may be refused, by verb: two counts of one level were measured against the same books.
REFUSALS = {"post": "409 stale_quantity"}


@dataclass(slots=True, eq=False)
class Asked:
    """A change under a key of its own; `effect` is what it does if it is applied."""

    verb: str
    method: str
    path: str
    body: JSON
    key: str
    effect: Units
    answer: Answer | None = None

    @property
    def name(self) -> str:
        """The verb and what it is done to, such as `inbounds receive`."""
        return f"{self.path.split('/')[2]} {self.verb}"

    @property
    def is_applied(self) -> bool:
        return self.answer is not None and self.answer.status < 300

    async def send(self, connection: Connection) -> Answer:
        """Ask, and keep the answer if there is one; asking again is a retry."""
        answer = await connection.send_json(self.method, self.path, self.body, key=self.key)
        assert answer.status < 300 or told(answer) == REFUSALS.get(self.verb), (self, answer)
        self.answer = answer
        return answer


@dataclass(slots=True)
class Document:
    """What was asked of one document, in that order; `path` is where it is shown."""

    path: str
    asked: list[Asked] = field(default_factory=list)

    @property
    def shown(self) -> JSON:
        """As the last answer to a change of it shows it; None: none of them was applied."""
        applied = [one.answer for one in self.asked if one.is_applied]
        return applied[-1].json() if applied and applied[-1] is not None else None


@dataclass(slots=True)
class Clerk:
    """A client that does one document after the other until the server is gone.

    Attributes:
        answered: is told of each answer.
    """

    connection: Connection
    chance: random.Random
    name: str
    answered: Callable[[], None]
    documents: list[Document] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    async def work(self) -> None:
        """One document after the other.

        Raises:
            ConnectionError: the server has gone.
        """
        kinds = (self._inbound, self._transfer, self._count, self._kit, self._adjustment)
        while True:
            await self.chance.choice(kinds)()

    async def _inbound(self) -> None:
        """Goods are announced, come in parts, more than there should, or not at all."""
        skus, quantity = self._some_skus(), self.chance.randint(2, 9)
        lines = _lines(skus, quantity=quantity)
        expected = each(skus, "main", incoming=quantity)
        document = await self._begin("inbounds", "announce", {"lines": lines}, expected)
        for _ in range(self.chance.randint(0, 4)):
            is_open = document.shown["lines"][0]["open"]
            if not is_open:
                return
            some = self.chance.randint(1, is_open + 1)
            match self.chance.choice(("put off", "cancel", "cancel all", "receive", "receive all")):
                case "put off":
                    await self._put_off(document)
                case "cancel":
                    some = min(some, is_open)
                    gone = each(skus, "main", incoming=-some)
                    await self._do(document, "cancel", _lines(skus, quantity=some), gone)
                case "cancel all":
                    await self._do(document, "cancel", [], each(skus, "main", incoming=-is_open))
                case "receive":
                    come = each(skus, "main", on_hand=some, incoming=-min(some, is_open))
                    await self._do(document, "receive", _lines(skus, quantity=some), come)
                case _:
                    come = each(skus, "main", on_hand=is_open, incoming=-is_open)
                    await self._do(document, "receive", [], come)

    async def _transfer(self) -> None:
        """Goods are shipped, arrive in parts, get lost, or go back."""
        skus, quantity = self._some_skus(), self.chance.randint(2, 9)
        body = {"from": "main", "to": "annex", "lines": _lines(skus, quantity=quantity)}
        left = each(skus, "main", on_hand=-quantity)
        shipped = add([left, _on_the_way(skus, quantity)])
        document = await self._begin("transfers", "ship", body, shipped)
        for _ in range(self.chance.randint(0, 4)):
            is_open = document.shown["lines"][0]["open"]
            if not is_open:
                return
            some = self.chance.randint(1, is_open)
            match self.chance.choice(("put off", "send back", "send all back", "receive", "rest")):
                case "put off":
                    await self._put_off(document)
                case "send back":
                    back = _arrived(skus, "main", some)
                    await self._do(document, "cancel", _lines(skus, quantity=some), back)
                case "send all back":
                    await self._do(document, "cancel", [], _arrived(skus, "main", is_open))
                case "receive":
                    missing = self.chance.randint(0, is_open - some)
                    lines = _lines(skus, quantity=some, missing=missing, reason="lost")
                    come = _arrived(skus, "annex", some, missing=missing)
                    await self._do(document, "receive", lines, come)
                case _:
                    await self._do(document, "receive", [], _arrived(skus, "annex", is_open))

    async def _count(self) -> None:
        """Goods are counted while others sell them; where somebody else was quicker, once more."""
        skus = self._some_skus()
        document = await self._begin("counts", "open", {"skus": skus}, Units())
        variance = self.chance.choice((-3, -2, -1, 1, 2, 3))
        seen = {line["sku"]: line for line in document.shown["lines"]}
        for _ in range(2):
            lines = [
                {"sku": sku, "counted": seen[sku]["expected"] + variance}
                | {"level_version": seen[sku]["level_version"]}
                for sku in skus
            ]
            await self._do(document, "record", lines, Units(), path="lines")
            if self.chance.random() < 0.2:
                await self._do(document, "approve", [], Units())
            if self.chance.random() < 0.1:
                break
            posted = each(skus, "main", on_hand=variance)
            answer = await self._do(document, "post", [], posted)
            if answer.status < 300:
                return
            for line in answer.json()["lines"]:
                stale = line["error"]
                seen[line["sku"]] = {**stale, "expected": stale["on_hand"]}
        await self._do(document, "cancel", [], Units())

    async def _kit(self) -> None:
        """Kits are held, held otherwise, promised, shipped and given back, in parts."""
        held, committed = self.chance.randint(1, 5), 0
        body = {"lines": _kits(held), "ttl_s": TTL_S}
        if self.chance.random() < 0.5:
            path = f"reservations/by-reference/{self.name}:{len(self.documents)}"
            document = await self._begin(path, "declare", body, units_of(reserved=held), "PUT")
            if self.chance.random() < 0.7:
                wanted = self.chance.randint(1, 5)
                body = {"lines": _kits(wanted), "ttl_s": TTL_S}
                change = units_of(reserved=wanted - held)
                await self._ask(document, "declare", "PUT", document.asked[0].path, body, change)
                held = wanted
        else:
            document = await self._begin("reservations", "reserve", body, units_of(reserved=held))
        for _ in range(self.chance.randint(0, 4)):
            verbs = ["confirm"] * (held > 0) + ["fulfill"] * (committed > 0)
            if not verbs:
                return
            verb = self.chance.choice([*verbs, *verbs, "release"])
            most = {"confirm": held, "fulfill": committed, "release": held + committed}[verb]
            some = self.chance.randint(1, most)
            from_held = {"confirm": some, "fulfill": 0, "release": min(some, held)}[verb]
            more = {"confirm": some, "fulfill": -some, "release": from_held - some}[verb]
            shipped = some if verb == "fulfill" else 0
            change = units_of(reserved=-from_held, committed=more, on_hand=-shipped)
            await self._do(document, verb, _kits(some), change)
            held, committed = held - from_held, committed + more

    async def _adjustment(self) -> None:
        """Some goods are sold, or come back: nothing but a change of the same levels."""
        skus, units = self._some_skus(), self.chance.choice((-3, -2, -1, 1, 2))
        lines = [{"sku": sku, "location": "main", "delta": units} for sku in skus]
        body, change = {"reason": "sale", "lines": lines}, each(skus, "main", on_hand=units)
        document = Document("")
        self.documents.append(document)
        await self._ask(document, "adjust", "POST", "/v1/stock/adjust", body, change)

    async def _begin(
        self, where: str, verb: str, body: JSON, effect: Units, method: str = "POST"
    ) -> Document:
        document = Document(f"/v1/{where.partition('/')[0]}")
        self.documents.append(document)
        await self._ask(document, verb, method, f"/v1/{where}", body, effect)
        return document

    async def _put_off(self, document: Document) -> None:
        day = self.chance.randint(1, 28)
        body = {"expected_at": f"2099-01-{day:02}T00:00:00Z"}
        await self._ask(document, "put off", "PATCH", self._path(document), body, Units())

    async def _do(
        self, document: Document, verb: str, lines: list[JSON], effect: Units, *, path: str = ""
    ) -> Answer:
        """Ask for a verb; without lines for all of it."""
        body = {} if not lines else {"lines": lines}
        where = f"{self._path(document)}/{path or verb}"
        return await self._ask(document, verb, "POST", where, body, effect)

    def _path(self, document: Document) -> str:
        return f"{document.path}/{document.shown['id']}"

    async def _ask(
        self, document: Document, verb: str, method: str, path: str, body: JSON, effect: Units
    ) -> Answer:
        key = f"{self.name}:{next(self._numbers)}"
        document.asked.append(Asked(verb, method, path, body, key, effect))
        answer = await document.asked[-1].send(self.connection)
        self.answered()
        return answer

    def _some_skus(self) -> list[str]:
        return self.chance.sample(SKUS, 2)


async def prepare(connection: Connection) -> None:
    """Stock that never ends, a kit of two of the goods, and a place to ship them to."""
    place = {"code": "annex", "kind": "warehouse", "sellable": False}
    assert (await connection.post("/v1/locations", place)).status == 201
    components = [{"sku": sku, "quantity": units} for sku, units in RECIPE.items()]
    kit = {"sku": KIT, "name": "Desk set", "components": components}
    assert (await connection.post("/v1/items", kit)).status == 201
    lines = [{"sku": sku, "on_hand": STOCK, "expected_on_hand": None} for sku in SKUS]
    answer = await connection.post("/v1/stock/set", {"lines": lines})
    assert answer.status == 200, answer


async def ask_again(connection: Connection, document: Document) -> Counter[str]:
    """Retry everything that was asked of a document, in its order; what is told of it now.

    What was answered is answered the same. The verbs that had no answer are counted, by whether
    they had been done all the same.
    """
    found: Counter[str] = Counter()
    for asked in document.asked:
        before, answer = asked.answer, await asked.send(connection)
        is_replay = "idempotent-replayed" in answer.headers
        if before is None:
            found[f"{asked.name} {'done' if is_replay else 'lost'}"] += 1
        else:
            assert is_replay, (asked, before)
            assert answer.status == before.status, (asked, before)
            assert _lasting(answer) == _lasting(before), (asked, before)
    return found


def _lasting(answer: Answer) -> JSON:
    """What every retry is answered: a success byte for byte, a refusal but for its request's id."""
    if answer.status < 300:
        return answer.body
    own = ("request_id", "instance")
    return {name: value for name, value in answer.json().items() if name not in own}


def each(skus: Iterable[str], location: str, **balances: int) -> Units:
    """So many units of each of some goods at a location."""
    return Units(
        {(sku, location, name): units for sku in skus for name, units in balances.items() if units}
    )


def units_of(**balances: int) -> Units:
    """The components of so many kits."""
    return add(
        each([sku], "main", **{name: kits * per_kit for name, kits in balances.items()})
        for sku, per_kit in RECIPE.items()
    )


def total(asked: Iterable[Asked]) -> Units:
    """What all that is applied has done."""
    return add(one.effect for one in asked if one.is_applied)


def add(effects: Iterable[Mapping[tuple[str, str, str], int]]) -> Units:
    # Counters lose what is below zero when they are added.
    found = Units()
    for effect in effects:
        found.update(effect)
    return found


def _on_the_way(skus: Sequence[str], units: int) -> Units:
    return add([each(skus, "transit", on_hand=units), each(skus, "annex", incoming=units)])


def _arrived(skus: Sequence[str], location: str, units: int, *, missing: int = 0) -> Units:
    landed = each(skus, location, on_hand=units)
    return add([landed, _on_the_way(skus, -units - missing)])


def _lines(skus: Iterable[str], **more: JSON) -> list[JSON]:
    return [{"sku": sku, **more} for sku in skus]


def _kits(quantity: int) -> list[JSON]:
    return [{"sku": KIT, "quantity": quantity, "location": "main"}]
