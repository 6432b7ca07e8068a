"""All tables; migrations/ builds the same on both databases (a test compares them)."""

from inventory_api.store.columns import Table
from inventory_api.store.document_tables import (
    ALLOCATION,
    COUNT_LINE,
    COUNT_SHEET,
    RESERVATION,
    SHIPMENT,
    SHIPMENT_LINE,
)
from inventory_api.store.ledger_tables import (
    API_KEY,
    IDEMPOTENCY,
    ITEM,
    KEYRING,
    KIT_COMPONENT,
    LEDGER_HEAD,
    LEVEL,
    LOCATION,
    MOVEMENT,
    OPERATION,
)
from inventory_api.store.supplier_tables import SUPPLIER, SUPPLIER_CODE, SUPPLIER_RUN
from inventory_api.store.webhook_tables import WEBHOOK, WEBHOOK_DELIVERY

__all__ = [
    "ALLOCATION",
    "API_KEY",
    "COUNT_LINE",
    "COUNT_SHEET",
    "IDEMPOTENCY",
    "ITEM",
    "KEYRING",
    "KIT_COMPONENT",
    "LEDGER_HEAD",
    "LEVEL",
    "LOCATION",
    "MOVEMENT",
    "OPERATION",
    "RESERVATION",
    "SHIPMENT",
    "SHIPMENT_LINE",
    "SUPPLIER",
    "SUPPLIER_CODE",
    "SUPPLIER_RUN",
    "WEBHOOK",
    "WEBHOOK_DELIVERY",
    "Table",
]
