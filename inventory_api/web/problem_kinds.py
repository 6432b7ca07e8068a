"""The one table of everything that can go wrong, as a caller sees it, in English and Chinese."""
# ruff: noqa: RUF001 -- Chinese text has Chinese punctuation.

from enum import StrEnum

from inventory_api.web.refusal_kinds import REFUSALS, Kind


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


KINDS: dict[str, Kind] = {
    **REFUSALS,
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
    "storage_unreachable": Kind(
        503,
        "Storage unreachable",
        "存储不可达",
        "The database server cannot be reached; nothing was done.",
        "无法连接数据库服务器，未执行任何操作。",
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
