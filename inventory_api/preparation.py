"""What is there before the first request: two locations, the keys, and a demo's goods."""

from inventory_api.attempt import Work
from inventory_api.domain.catalog import Item, Location
from inventory_api.domain.commands import AdjustLine, Command
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.principal import APIKey, Scope
from inventory_api.domain.types import SKU, Instant, LocationCode
from inventory_api.service import ACTOR, Service
from inventory_api.store.catalog import create_item, create_location, find_location, list_items
from inventory_api.store.database import Session
from inventory_api.store.keys import PREFIX, all_keys, create_key, digest_of, keys_version
from inventory_api.suppliers.runs import tidy

# 128 random bits in base64.
SECRET_LENGTH_MIN = 22

DEMO = (
    ("P001", "笔记本电脑", 50, "5999.00"),
    ("P002", "无线鼠标", 200, "89.00"),
    ("P003", "机械键盘", 150, "399.00"),
    ("P004", "显示器", 80, "1299.00"),
    ("P005", "USB-C扩展坞", 120, "199.00"),
)


async def prepare(service: Service) -> None:
    """What must be there before the first request: two locations, the keys, and no pull of a dead process."""
    await _ensure_location(service, service.settings.default_location, sellable=True)
    await _ensure_location(
        service, service.settings.transit_location, kind="transit", sellable=False
    )
    if (given := service.settings.admin_key) is not None:
        await add_key(service, given.get_secret_value(), name="INVENTORY_ADMIN_KEY")
    await tidy(service)
    async with service.reading() as session:
        service.keyring.replace(await all_keys(session), await keys_version(session))


async def _ensure_location(
    service: Service, code: str, *, kind: str = "warehouse", sellable: bool
) -> None:
    async def work(session: Session, now: Instant) -> Outcome:
        if await find_location(session, code) is not None:
            return Outcome(b"{}")
        location = Location(code, code, kind, int(sellable), 0, "active", 1, now, now)
        return await create_location(session, location)

    await _write(service, work)


async def _write(service: Service, work: Work) -> None:
    """A write of the service's own, which may take longer than a caller would wait."""
    await service.committer.transact(
        work, actor=ACTOR, deadline_s=service.settings.start_deadline_s
    )


async def add_key(
    service: Service, presented: str, *, name: str, scope: Scope = Scope.ADMIN
) -> None:
    """Store a key that was made elsewhere, unless its id is known.

    Raises:
        ValueError: it is not `inv_<id>_<secret>` with a secret of 22 characters or more.
    """
    prefix, _, rest = presented.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != PREFIX or not key_id.isalnum() or len(secret) < SECRET_LENGTH_MIN:
        raise ValueError("An API key is inv_<id>_<secret>, the secret at least 22 characters long.")

    async def work(session: Session, now: Instant) -> Outcome:
        key = APIKey(key_id, name, digest_of(secret), f'["{scope}"]', None, now, None, None)
        return await create_key(session, key)

    await _write(service, work)


async def load_demo(service: Service) -> bool:
    """Put the five sample goods into a database without items; whether it did.

    They are at the default location; a second one, which does not sell, is there to move them to.
    Of several processes that begin at once each line is booked by one.
    """
    async with service.database.reader() as session:
        if await list_items(session, q=None, status=None, after="", limit=1):
            return False
    await _ensure_location(service, "quarantine", sellable=False)
    for sku, name, _, amount in DEMO:

        async def work(
            session: Session, now: Instant, sku: str = sku, name: str = name, amount: str = amount
        ) -> Outcome:
            item = Item(sku, name, None, amount, "CNY", "{}", "active", 1, now, now)
            return await create_item(session, item)

        await _write(service, work)
    location = LocationCode(service.settings.default_location)
    lines = tuple(
        AdjustLine(SKU(sku), location, units, "opening_balance", f"demo:{sku}")
        for sku, _, units, _ in DEMO
    )
    command = Command("adjust", lines, reason="opening_balance", reference="demo")
    deadline_s = service.settings.start_deadline_s
    await service.committer.submit(command, actor=ACTOR, deadline_s=deadline_s)
    return True
