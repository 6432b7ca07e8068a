"""The one table of everything that can go wrong, as a caller sees it, in English and Chinese."""
# ruff: noqa: RUF001 -- Chinese text has Chinese punctuation.

from enum import StrEnum
from typing import NamedTuple

from inventory_api.domain.rejections import Code


class HTTPCode(StrEnum):
    """Why a request was refused before anything looked at stock."""

    MALFORMED_REQUEST = "malformed_request"
    MALFORMED_JSON = "malformed_json"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TIMEOUT = "request_timeout"
    BODY_TOO_LARGE = "body_too_large"
    URL_TOO_LONG = "url_too_long"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    MISDIRECTED_REQUEST = "misdirected_request"
    VALIDATION_ERROR = "validation_error"
    IDEMPOTENCY_KEY_REQUIRED = "idempotency_key_required"
    RATE_LIMITED = "rate_limited"
    HEADERS_TOO_LARGE = "headers_too_large"
    INTERNAL = "internal"


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


KINDS: dict[str, Kind] = {
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
        "The item still has stock, holds or promises.",
        "该商品仍有库存、预留或承诺。",
    ),
    Code.LOCATION_IN_USE: Kind(
        409,
        "Location in use",
        "库位正在使用",
        "The location still has stock, holds or promises.",
        "该库位仍有库存、预留或承诺。",
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
    Code.TOO_MANY_LINES: Kind(
        409,
        "Too many lines",
        "行数过多",
        "A count takes no more lines; name some of the SKUs, and open one more for others.",
        "盘点单的行数已达上限，请指定部分 SKU，并为其余商品另开盘点单。",
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
    HTTPCode.MALFORMED_REQUEST: Kind(
        400,
        "Malformed request",
        "请求格式错误",
        "The request is not valid HTTP/1.1, or a header is missing or repeated.",
        "请求不是有效的 HTTP/1.1，或缺少、重复了标头。",
    ),
    HTTPCode.MALFORMED_JSON: Kind(
        400,
        "Malformed JSON",
        "JSON 格式错误",
        "The body is not one JSON document in UTF-8 without duplicate names.",
        "请求体不是单个 UTF-8 编码且无重复名称的 JSON 文档。",
    ),
    HTTPCode.UNAUTHORIZED: Kind(
        401,
        "Unauthorized",
        "未认证",
        "A valid API key is needed, as Authorization: Bearer or X-API-Key.",
        "需要有效的 API 密钥（Authorization: Bearer 或 X-API-Key）。",
    ),
    HTTPCode.FORBIDDEN: Kind(
        403, "Forbidden", "无权限", "The API key does not allow this.", "此 API 密钥不允许该操作。"
    ),
    HTTPCode.NOT_FOUND: Kind(
        404, "Not found", "未找到", "There is nothing at this path.", "此路径不存在。"
    ),
    HTTPCode.METHOD_NOT_ALLOWED: Kind(
        405,
        "Method not allowed",
        "方法不允许",
        "The path exists but not for this method; see Allow.",
        "路径存在，但不支持此方法，参见 Allow。",
    ),
    HTTPCode.REQUEST_TIMEOUT: Kind(
        408,
        "Request timeout",
        "请求超时",
        "The request was not sent in time.",
        "请求未在规定时间内发送完毕。",
        retryable=True,
    ),
    HTTPCode.BODY_TOO_LARGE: Kind(
        413,
        "Body too large",
        "请求体过大",
        "The body is larger than this path accepts.",
        "请求体超过此路径的上限。",
    ),
    HTTPCode.URL_TOO_LONG: Kind(
        414, "URL too long", "URL 过长", "The URL is longer than accepted.", "URL 超过上限。"
    ),
    HTTPCode.UNSUPPORTED_MEDIA_TYPE: Kind(
        415,
        "Unsupported media type",
        "不支持的媒体类型",
        "The Content-Type is not accepted here, or the body is compressed.",
        "此处不接受该 Content-Type，或请求体被压缩。",
    ),
    HTTPCode.MISDIRECTED_REQUEST: Kind(
        421,
        "Misdirected request",
        "请求的主机错误",
        "This service does not answer for the host that was named.",
        "本服务不处理所指定的主机。",
    ),
    HTTPCode.VALIDATION_ERROR: Kind(
        422,
        "Invalid request",
        "请求无效",
        "These fields are not valid: {fields}.",
        "以下字段无效：{fields}。",
    ),
    HTTPCode.IDEMPOTENCY_KEY_REQUIRED: Kind(
        428,
        "Idempotency-Key required",
        "需要幂等键",
        "Every change needs an Idempotency-Key here.",
        "此服务的每个更改都需要 Idempotency-Key。",
    ),
    HTTPCode.RATE_LIMITED: Kind(
        429,
        "Too many requests",
        "请求过多",
        "Wait for the seconds of Retry-After.",
        "请等待 Retry-After 所示秒数。",
        retryable=True,
    ),
    HTTPCode.HEADERS_TOO_LARGE: Kind(
        431,
        "Headers too large",
        "标头过大",
        "The header block is larger than accepted.",
        "标头超过上限。",
    ),
    HTTPCode.INTERNAL: Kind(
        500,
        "Internal error",
        "内部错误",
        "A defect of the service; the request id finds it in the log.",
        "服务内部缺陷，可凭请求编号在日志中查找。",
    ),
    "overloaded": Kind(
        503,
        "Overloaded",
        "服务繁忙",
        "Too much is waiting already; nothing was done.",
        "等待处理的请求过多，未执行任何操作。",
        retryable=True,
    ),
    "draining": Kind(
        503,
        "Stopping",
        "服务正在停止",
        "The service is stopping; nothing was done.",
        "服务正在停止，未执行任何操作。",
        retryable=True,
    ),
    "deadline": Kind(
        503,
        "Deadline expired",
        "超过时限",
        "The deadline passed before the work began; it will never be done.",
        "在开始处理之前已超过时限，该请求不会再被执行。",
        retryable=True,
    ),
    "storage_busy": Kind(
        503,
        "Storage busy",
        "存储繁忙",
        "Another process holds the database; nothing was done.",
        "数据库被另一进程占用，未执行任何操作。",
        retryable=True,
    ),
    "storage_full": Kind(
        507,
        "Storage full",
        "存储空间已满",
        "There is no space left; nothing was done.",
        "存储空间不足，未执行任何操作。",
        retryable=True,
    ),
    "storage_read_only": Kind(
        503,
        "Storage read-only",
        "存储只读",
        "The database cannot be written; nothing was done.",
        "数据库不可写，未执行任何操作。",
        retryable=True,
    ),
    "storage_failed": Kind(
        503,
        "Storage failed",
        "存储故障",
        "The storage failed; retry with the same Idempotency-Key to learn the outcome.",
        "存储故障，请使用相同的 Idempotency-Key 重试以获知结果。",
        retryable=True,
    ),
    "outcome_unknown": Kind(
        504,
        "Outcome unknown",
        "结果未知",
        "The change may have been applied; retry with the same Idempotency-Key to learn it.",
        "更改可能已生效，请使用相同的 Idempotency-Key 重试以获知结果。",
        retryable=True,
    ),
}

FIELD_ZH = {
    "missing": "缺少此字段",
    "extra_forbidden": "未知字段",
    "int_type": "必须是整数",
    "int_parsing": "必须是整数",
    "string_type": "必须是字符串",
    "string_unicode": "必须是有效的 Unicode 文本",
    "bool_type": "必须是 true 或 false",
    "bool_parsing": "必须是 true 或 false",
    "list_type": "必须是数组",
    "dict_type": "必须是对象",
    "greater_than": "必须大于 {gt}",
    "greater_than_equal": "必须大于或等于 {ge}",
    "less_than": "必须小于 {lt}",
    "less_than_equal": "必须小于或等于 {le}",
    "string_too_short": "至少 {min_length} 个字符",
    "string_too_long": "最多 {max_length} 个字符",
    "string_pattern_mismatch": "格式不正确",
    "too_short": "至少 {min_length} 项",
    "too_long": "最多 {max_length} 项",
    "literal_error": "必须是 {expected}",
}
# Pydantic speaks Python; callers speak JSON.
FIELD_EN = {"dict_type": "Input should be an object", "list_type": "Input should be an array"}
