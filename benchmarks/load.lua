-- The load: wrk ... -s load.lua URL -- SCENARIO ITEMS SEED
--   adjust  one line, a SKU drawn at random      hot    one line, always the same SKU
--   keyed   as adjust, with an Idempotency-Key   batch  1,000 lines of different SKUs
--   read    one level, drawn at random           batches the same, several at once
--   reserve one line held, a SKU at random       stretch 1,000 neighbours, from a random one on
-- Prints one JSON object with counts and latencies when done.

local scenario, items, seed, deck, sent = "adjust", 1, 1, {}, 0
local headers = { ["Content-Type"] = "application/json" }

local function sku(number)
  return string.format("SKU-%07d", number)
end

-- One step of a Fisher-Yates shuffle: k calls with from = 1..k give k different numbers.
local function draw(from)
  local at = math.random(from, items)
  local number = deck[at] or at
  deck[at] = deck[from] or from
  deck[from] = number
  return number
end

local function line(number)
  return '{"sku":"' .. sku(number) .. '","location":"main","delta":-1}'
end

local function adjust(lines)
  sent = sent + 1
  local body = '{"reason":"sale","reference":"order:' .. seed .. "-" .. sent
    .. '","lines":[' .. lines .. "]}"
  return wrk.format("POST", "/v1/stock/adjust", headers, body)
end

local scenarios = {
  adjust = function() return adjust(line(draw(1))) end,
  hot = function() return adjust(line(1)) end,
  keyed = function()
    headers["Idempotency-Key"] = seed .. "-" .. sent
    return adjust(line(draw(1)))
  end,
  batch = function()
    local lines = {}
    for k = 1, 1000 do lines[k] = line(draw(k)) end
    return adjust(table.concat(lines, ","))
  end,
  stretch = function()
    local lines, first = {}, math.random(items - 999)
    for k = 1, 1000 do lines[k] = line(first + k - 1) end
    return adjust(table.concat(lines, ","))
  end,
  reserve = function()
    sent = sent + 1
    -- A day: no hold ends while the bench runs, which would be booked and not counted.
    local body = '{"reference":"cart:' .. seed .. "-" .. sent .. '","ttl_s":86400,"lines":[{"sku":"'
      .. sku(draw(1)) .. '","location":"main","quantity":1}]}'
    return wrk.format("POST", "/v1/reservations", headers, body)
  end,
  read = function()
    return wrk.format("GET", "/v1/stock/" .. sku(draw(1)) .. "/main")
  end,
}

scenarios.batches = scenarios.batch

function init(args)
  scenario, items, seed = args[1], tonumber(args[2]), tonumber(args[3])
  math.randomseed(seed)
  request = scenarios[scenario]
end

function done(summary, latency)
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    '{"requests":%d,"refused":%d,"broken":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f}\n',
    summary.requests, errors.status, broken, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
