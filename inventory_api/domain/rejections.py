"""The reasons for which the business says no."""

from enum import StrEnum
from typing import Any, NamedTuple


class Code(StrEnum):
    """Why a request was refused; each refusal changes nothing."""

    INSUFFICIENT_STOCK = "insufficient_stock"
    STALE_QUANTITY = "stale_quantity"
    QUANTITY_OUT_OF_RANGE = "quantity_out_of_range"
    UNKNOWN_SKU = "unknown_sku"
    UNKNOWN_LOCATION = "unknown_location"
    UNKNOWN_ID = "unknown_id"
    ITEM_ARCHIVED = "item_archived"
    LOCATION_ARCHIVED = "location_archived"
    ITEM_IN_USE = "item_in_use"
    LOCATION_IN_USE = "location_in_use"
    IS_KIT = "is_kit"
    HAD_STOCK = "had_stock"
    UNFIT_COMPONENT = "unfit_component"
    TOO_MANY_COMPONENTS = "too_many_components"
    SAME_LOCATION = "same_location"
    NOT_TRANSIT = "not_transit"
    IN_TRANSIT = "in_transit"
    RESERVATION_NOT_ACTIVE = "reservation_not_active"
    RESERVATION_EXPIRED = "reservation_expired"
    NOT_OPEN = "not_open"
    COUNT_NOT_OPEN = "count_not_open"
    NOTHING_COUNTED = "nothing_counted"
    APPROVAL_REQUIRED = "approval_required"
    UNKNOWN_VERSION = "unknown_version"
    NOT_SUPPLIER_LOCATION = "not_supplier_location"
    SUPPLIER_ARCHIVED = "supplier_archived"
    TOO_MANY_CODES = "too_many_codes"
    PULL_RUNNING = "pull_running"
    TOO_MANY_LINES = "too_many_lines"
    TOO_MANY_WEBHOOKS = "too_many_webhooks"
    GROUP_REJECTED = "group_rejected"
    ALREADY_EXISTS = "already_exists"
    VERSION_MISMATCH = "version_mismatch"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"


class Rejection(NamedTuple):
    """One refusal and the facts that let the caller act on it."""

    code: Code
    facts: dict[str, Any]  # Any: JSON values, whatever the code needs
