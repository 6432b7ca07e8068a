"""What the business says no with, as a caller sees it, in English and Chinese."""
# ruff: noqa: RUF001 -- Chinese text has Chinese punctuation.

from typing import NamedTuple

from inventory_api.domain.rejections import Code


class Kind(NamedTuple):
    """What a code means to a caller.

    Attributes:
        retryable: whether the same request may succeed later without a change.
    """

    status: int
    title: str
    title_zh: str
    detail: str
    detail_zh: str
    retryable: bool = False


REFUSALS: dict[str, Kind] = {
    Code.INSUFFICIENT_STOCK: Kind(
        409,
        "Not enough stock",
        "库存不足",
        "Less is available than was asked for.",
        "可用数量少于请求数量。",
    ),
    Code.STALE_QUANTITY: Kind(
        409,
        "The count has changed",
        "库存数量已变化",
        "The quantity on hand is not the expected one; read it and decide again.",
        "现有数量与预期不符，请重新读取后再决定。",
    ),
    Code.QUANTITY_OUT_OF_RANGE: Kind(
        409,
        "Quantity out of range",
        "数量超出范围",
        "The result would be below zero or above 10^12 units.",
        "结果将小于零或大于 10^12。",
    ),
    Code.UNKNOWN_SKU: Kind(
        404, "Unknown SKU", "商品不存在", "There is no item with this SKU.", "没有此 SKU 的商品。"
    ),
    Code.UNKNOWN_LOCATION: Kind(
        404,
        "Unknown location",
        "库位不存在",
        "There is no location with this code.",
        "没有此代码的库位。",
    ),
    Code.UNKNOWN_ID: Kind(
        404, "Unknown id", "编号不存在", "There is nothing with this id.", "没有此编号的资源。"
    ),
    Code.ITEM_ARCHIVED: Kind(
        409,
        "Item archived",
        "商品已归档",
        "An archived item takes no changes; restore it first.",
        "已归档的商品不接受更改，请先恢复。",
    ),
    Code.LOCATION_ARCHIVED: Kind(
        409,
        "Location archived",
        "库位已归档",
        "An archived location takes no changes; restore it first.",
        "已归档的库位不接受更改，请先恢复。",
    ),
    Code.ITEM_IN_USE: Kind(
        409,
        "Item in use",
        "商品正在使用",
        "The item still has stock, holds or promises, or a kit contains it.",
        "该商品仍有库存、预留或承诺，或被套装包含。",
    ),
    Code.LOCATION_IN_USE: Kind(
        409,
        "Location in use",
        "库位正在使用",
        "The location still has stock, holds or promises.",
        "该库位仍有库存、预留或承诺。",
    ),
    Code.IS_KIT: Kind(
        409,
        "A kit",
        "套装商品",
        "A kit has no stock of its own; change that of its components.",
        "套装没有自己的库存，请更改其组件的库存。",
    ),
    Code.HAD_STOCK: Kind(
        409,
        "Had stock",
        "曾有库存",
        "Only an item that never had stock of its own can become a kit.",
        "只有从未有过库存的商品才能成为套装。",
    ),
    Code.UNFIT_COMPONENT: Kind(
        409,
        "Not a component",
        "组件无效",
        "A kit consists of other items that are known, active and no kits; see lines.",
        "套装只能由其他已存在、未归档且非套装的商品组成，详见各行。",
    ),
    Code.TOO_MANY_COMPONENTS: Kind(
        409,
        "Too many components",
        "组件过多",
        "With the components of its kits the reservation has more than 10,000 lines.",
        "计入套装组件后，该预留超过 10,000 行。",
    ),
    Code.SAME_LOCATION: Kind(
        409,
        "Same location",
        "库位相同",
        "A transfer needs two different locations.",
        "调拨需要两个不同的库位。",
    ),
    Code.NOT_TRANSIT: Kind(
        409,
        "Not a transit location",
        "不是在途库位",
        "Goods under way wait in a location of kind transit that does not sell.",
        "在途货物须存放于类型为 transit 且不可销售的库位。",
    ),
    Code.IN_TRANSIT: Kind(
        409,
        "In transit",
        "在途",
        "Goods under way belong to their transfer; hold them where they arrive.",
        "在途货物属于其调拨单，请在到货库位预留。",
    ),
    Code.RESERVATION_NOT_ACTIVE: Kind(
        409,
        "Reservation not in that state",
        "预留状态不符",
        "The reservation has nothing left in the state that this needs.",
        "该预留中没有处于所需状态的数量。",
    ),
    Code.RESERVATION_EXPIRED: Kind(
        410,
        "Reservation expired",
        "预留已过期",
        "Its time is over and what it held went to others.",
        "预留已到期，所占库存已被他人使用。",
    ),
    Code.NOT_OPEN: Kind(
        409,
        "More than is open",
        "超出未完成数量",
        "Less of this item is left open there than was named, or nothing at all.",
        "其中此商品的未完成数量少于请求数量，或已无未完成数量。",
    ),
    Code.COUNT_NOT_OPEN: Kind(
        409,
        "Count not open",
        "盘点单未开放",
        "The count is posted or cancelled already.",
        "该盘点单已过账或已取消。",
    ),
    Code.NOTHING_COUNTED: Kind(
        409,
        "Nothing counted",
        "尚未盘点",
        "No line of the count says what was counted; record it, or cancel the count.",
        "该盘点单没有任何已盘点的行，请先录入或取消该盘点单。",
    ),
    Code.APPROVAL_REQUIRED: Kind(
        409,
        "Approval required",
        "需要批准",
        "A variance is above the threshold; an admin has to approve the count as it is.",
        "差异超过阈值，须由管理员按当前内容批准该盘点单。",
    ),
    Code.UNKNOWN_VERSION: Kind(
        404,
        "Unknown version",
        "版本不存在",
        "The level has not had this version yet.",
        "该库存尚无此版本。",
    ),
    Code.NOT_SUPPLIER_LOCATION: Kind(
        409,
        "Not a supplier's location",
        "不是供应商库位",
        "A supplier needs an active location of kind supplier that is no other supplier's.",
        "供应商需要一个类型为 supplier、未归档且不属于其他供应商的库位。",
    ),
    Code.TOO_MANY_CODES: Kind(
        409,
        "Too many codes",
        "代码过多",
        "The supplier would have more codes than this service keeps.",
        "该供应商的代码数量将超过本服务的上限。",
    ),
    Code.SUPPLIER_ARCHIVED: Kind(
        409,
        "Supplier archived",
        "供应商已归档",
        "An archived supplier is not pulled; restore it first.",
        "已归档的供应商不会被拉取，请先恢复。",
    ),
    Code.PULL_RUNNING: Kind(
        409,
        "Pull under way",
        "正在拉取",
        "This supplier's list is being pulled already.",
        "该供应商的清单正在被拉取。",
    ),
    Code.TOO_MANY_LINES: Kind(
        409,
        "Too many lines",
        "行数过多",
        "A count takes no more lines; name some of the SKUs, and open one more for others.",
        "盘点单的行数已达上限，请指定部分 SKU，并为其余商品另开盘点单。",
    ),
    Code.TOO_MANY_WEBHOOKS: Kind(
        409,
        "Too many webhooks",
        "网络钩子过多",
        "There are as many webhooks as the service takes; delete one that nobody needs.",
        "网络钩子数量已达上限，请删除不再需要的。",
    ),
    Code.GROUP_REJECTED: Kind(
        409,
        "Group refused",
        "分组被拒绝",
        "Another line of the same group was refused.",
        "同组的另一行被拒绝。",
    ),
    Code.ALREADY_EXISTS: Kind(
        409,
        "Exists already",
        "已存在",
        "Something with this key exists already.",
        "具有此键的资源已存在。",
    ),
    Code.VERSION_MISMATCH: Kind(
        412,
        "Version mismatch",
        "版本不匹配",
        "The resource is not at the version of If-Match; read it and decide again.",
        "资源版本与 If-Match 不一致，请重新读取后再决定。",
    ),
    Code.IDEMPOTENCY_MISMATCH: Kind(
        422,
        "Idempotency-Key reused",
        "幂等键被重复使用",
        "This key was used for another request; use a new key for a new request.",
        "此键已用于另一个请求，新请求请使用新键。",
    ),
}
