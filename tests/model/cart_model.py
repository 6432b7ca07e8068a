"""Reservations as a dict sees them: a few lines for each rule, and no word of the service's."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

PLACES = ("main", "store-1")  # in the order in which they are served


@dataclass(slots=True)
class Shelf:
    """One item at one location."""

    on_hand: int = 0
    limit: int | None = 0
    safety_stock: int = 0


@dataclass(slots=True)
class Piece:
    """What a line of a cart has at one place, by state."""

    line: int
    sku: str
    place: str
    held: int = 0
    committed: int = 0
    fulfilled: int = 0
    released: int = 0
    expired: int = 0
    recipe: dict[str, int] = field(default_factory=dict)  # of a kit; the states are kits then

    @property
    def parts(self) -> dict[str, int]:
        return self.recipe or {self.sku: 1}

    @property
    def units(self) -> tuple[int, ...]:
        return (self.held, self.committed, self.fulfilled, self.released, self.expired)


@dataclass(slots=True)
class Cart:
    """A reservation."""

    reference: str | None
    ends_at: int
    status: str = "active"
    pieces: list[Piece] = field(default_factory=list)
    # What kits were made of when the cart first named them, also if it got none.
    recipes: dict[str, dict[str, int]] = field(default_factory=dict)

    def total(self, state: str) -> int:
        return sum(getattr(piece, state) for piece in self.pieces)

    def now_is(self, ended: str) -> None:
        states = {"active": "held", "confirmed": "committed", "fulfilled": "fulfilled"}
        alive = [status for status, state in states.items() if self.total(state)]
        self.status = alive[0] if alive else ended


Wanted = tuple[str, str | None, int]
"""Item, place or anywhere, quantity."""


class Warehouse:
    """Shelves and carts; time moves only by `pass_to`."""

    def __init__(self, skus: tuple[str, ...]) -> None:
        self.shelves = {(sku, place): Shelf() for sku in skus for place in PLACES}
        self.carts: dict[str, Cart] = {}
        self.kits: dict[str, dict[str, int]] = {}

    def reserved(self, sku: str, place: str, state: str = "held") -> int:
        return sum(
            getattr(piece, state) * piece.parts.get(sku, 0)
            for cart in self.carts.values()
            for piece in cart.pieces
            if piece.place == place
        )

    def available(self, sku: str, place: str) -> int:
        shelf = self.shelves[sku, place]
        promised = self.reserved(sku, place) + self.reserved(sku, place, "committed")
        return shelf.on_hand - promised - shelf.safety_stock

    def promisable(self, sku: str, place: str) -> int:
        limit = self.shelves[sku, place].limit
        if limit is None:
            return 10**12
        return max(0, self.available(sku, place) + limit)

    def pass_to(self, now: int) -> None:
        for cart in self.carts.values():
            if cart.ends_at <= now and cart.total("held"):
                for piece in cart.pieces:
                    piece.expired, piece.held = piece.expired + piece.held, 0
                cart.now_is("expired")

    def adjust(self, sku: str, place: str, delta: int) -> bool:
        """A request to add or take units; whether it was granted."""
        shelf = self.shelves[sku, place]
        short = delta < 0 and (
            shelf.on_hand + delta < 0
            or (shelf.limit is not None and self.available(sku, place) + delta < -shelf.limit)
        )
        if not short:
            shelf.on_hand += delta
        return not short

    def open_cart(self, reference: str | None) -> str | None:
        return next(
            (
                name
                for name, cart in self.carts.items()
                if reference is not None
                and cart.reference == reference
                and cart.status in ("active", "confirmed")
            ),
            None,
        )

    def reserve(
        self, name: str, reference: str | None, wanted: list[Wanted], ends_at: int, *, partial: bool
    ) -> str:
        """The word for what came of it."""
        if self.open_cart(reference) is not None:
            return "already_exists"
        cart = Cart(reference, ends_at)
        self.carts[name] = cart
        short = False
        for number, line in enumerate(wanted):
            pieces, missing = self._taken(number, *line)
            if missing and not partial:
                short = True
            else:
                cart.pieces += pieces
                cart.recipes.setdefault(line[0], self.kits.get(line[0], {}))
        if short:
            del self.carts[name]
            return "insufficient_stock"
        cart.now_is("released")
        return "done"

    def _taken(
        self,
        number: int,
        sku: str,
        place: str | None,
        quantity: int,
        order: Sequence[str] = PLACES,
        recipe: dict[str, int] | None = None,
    ) -> tuple[list[Piece], int]:
        recipe = recipe or self.kits.get(sku, {})
        parts = recipe or {sku: 1}
        places = order if place is None else (place,)
        ready = {
            one: min(self.available(part, one) // units for part, units in parts.items())
            for one in places
        }
        got: dict[str, int] = {}
        for one in places:
            if ready[one] >= quantity:
                got = {one: quantity}
                break
        else:
            for one in places:
                got[one] = min(quantity - sum(got.values()), max(0, ready[one]))
            for one in places:
                most = min(self.promisable(part, one) // units for part, units in parts.items())
                got[one] += min(quantity - sum(got.values()), max(0, most - got[one]))
        pieces = [
            Piece(number, sku, one, held=count, recipe=recipe)
            for one, count in got.items()
            if count
        ]
        return pieces, quantity - sum(got.values())

    def declare(
        self, name: str, reference: str, wanted: list[Wanted], ends_at: int
    ) -> tuple[str, str]:
        """The word for what came of it, and which cart it is now."""
        known = self.open_cart(reference)
        if known is None:
            if not wanted:
                made = [one for one, cart in self.carts.items() if cart.reference == reference]
                return ("done", made[-1]) if made else ("unknown_id", name)
            return self.reserve(name, reference, wanted, ends_at, partial=False), name
        cart = self.carts[known]
        if cart.total("committed") or cart.total("fulfilled"):
            return "reservation_not_active", known
        before = [replace(piece) for piece in cart.pieces]
        for piece in cart.pieces:
            piece.held = 0
        trial = Cart(None, ends_at)
        self.carts["trial"] = trial
        short = False
        for number, line in enumerate(wanted):
            pieces, missing = self._preferring(before, cart.recipes, number, *line)
            trial.pieces += pieces
            short = short or missing > 0
        del self.carts["trial"]
        if short:
            cart.pieces = before
            return "insufficient_stock", known
        cart.pieces = _merged(before, trial.pieces)
        for sku, _, _ in wanted:
            cart.recipes.setdefault(sku, self.kits.get(sku, {}))
        cart.ends_at = ends_at
        cart.now_is("released")
        return "done", known

    def _preferring(
        self,
        before: list[Piece],
        recipes: dict[str, dict[str, int]],
        number: int,
        sku: str,
        place: str | None,
        quantity: int,
    ) -> tuple[list[Piece], int]:
        """Where the cart has some already it is served first."""
        own = {piece.place for piece in before if piece.sku == sku and piece.held}
        order = sorted(PLACES, key=lambda one: one not in own)
        return self._taken(number, sku, place, quantity, order, recipes.get(sku))

    def settle(self, name: str, verb: str, part: tuple[str, int] | None) -> str:
        cart = self.carts[name]
        if verb == "confirm" and self._is_late(cart):
            return self._recover(name, part)
        sources = {"confirm": ["held"], "fulfill": ["committed"], "release": ["held", "committed"]}
        states = sources[verb]
        if not sum(cart.total(state) for state in states):
            return "reservation_expired" if cart.status == "expired" else "reservation_not_active"
        meant = _meant(cart, states, part)
        if meant is None:
            return "not_open"
        if verb == "fulfill" and not self._is_there(meant):
            return "insufficient_stock"
        target = {"confirm": "committed", "fulfill": "fulfilled", "release": "released"}[verb]
        for piece, units in meant:
            _turn(piece, states, target, units)
            if verb == "fulfill":
                for sku, count in piece.parts.items():
                    self.shelves[sku, piece.place].on_hand -= units * count
        cart.now_is("released")
        return "done"

    def _is_there(self, meant: list[tuple[Piece, int]]) -> bool:
        left = {key: shelf.on_hand for key, shelf in self.shelves.items()}
        for piece, units in meant:
            for part, count in piece.parts.items():
                left[part, piece.place] -= units * count
        return min(left.values()) >= 0

    def _is_late(self, cart: Cart) -> bool:
        is_over = cart.total("expired") > 0 and not cart.total("held")
        return is_over and cart.status in ("expired", "confirmed")

    def _recover(self, name: str, part: tuple[str, int] | None) -> str:
        cart = self.carts[name]
        other = self.open_cart(cart.reference)
        if other not in (None, name):
            return "already_exists"
        meant = _meant(cart, ["expired"], part)
        if meant is None:
            return "not_open"
        done: list[tuple[Piece, int]] = []
        for piece, units in meant:
            free = min(
                self.promisable(part, piece.place) // count for part, count in piece.parts.items()
            )
            if free < units:
                for one, taken in done:
                    one.expired, one.committed = one.expired + taken, one.committed - taken
                return "reservation_expired"
            piece.expired, piece.committed = piece.expired - units, piece.committed + units
            done.append((piece, units))
        cart.now_is("released")
        return "done"

    def extend(self, name: str, ends_at: int) -> str:
        cart = self.carts[name]
        if not cart.total("held"):
            return "reservation_expired" if cart.status == "expired" else "reservation_not_active"
        cart.ends_at = ends_at
        return "done"


def _turn(piece: Piece, states: list[str], target: str, units: int) -> None:
    rest = units
    for state in states:
        some = min(rest, getattr(piece, state))
        setattr(piece, state, getattr(piece, state) - some)
        rest -= some
    setattr(piece, target, getattr(piece, target) + units)


def _meant(
    cart: Cart, states: list[str], part: tuple[str, int] | None
) -> list[tuple[Piece, int]] | None:
    """How many units of each piece; None: more than there are."""
    pieces = sorted(cart.pieces, key=lambda piece: (piece.line, piece.place))
    open_units = [(piece, sum(getattr(piece, state) for state in states)) for piece in pieces]
    if part is None:
        return open_units
    sku, left = part
    meant = []
    for piece, units in open_units:
        some = min(left, units) if piece.sku == sku else 0
        meant.append((piece, some))
        left -= some
    return None if left else meant


def _merged(before: list[Piece], after: list[Piece]) -> list[Piece]:
    """What a cart was and has become: its account starts anew, or all is released."""
    found = {(piece.line, piece.sku, piece.place): piece for piece in before}
    for piece in before:
        now = [one for one in after if _same(one, piece)]
        held = sum(one.held for one in now)
        piece.released = 0 if after else piece.released + piece.held
        piece.expired = 0 if after else piece.expired
        piece.held = held
    new = [one for one in after if (one.line, one.sku, one.place) not in found]
    return [*before, *new]


def _same(one: Piece, other: Piece) -> bool:
    return (one.line, one.sku, one.place) == (other.line, other.sku, other.place)
