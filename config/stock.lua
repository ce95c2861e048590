-- Stock, in Redis: the one script that reserves, sells, releases and changes by hand. Everything it decides is
-- absorbed: whatever is sent again, late or by a former owner gets the stored answer and changes nothing
-- (bridges/redis/README.md).
--
-- KEYS  1: {prefix}:meta    2..: the order:<key> and hand:<id> keys of the operations    then: their stock:<product>
-- ARGV  1: generation   2: number of order and hand keys   3..: the operations, one after the other
--   epoch   <partition> <epoch>, whose operations follow      -> OK | FENCED
--   reserve <key> <n> { <product> <quantity> } x n            -> its state: reserved, failed, released, sold; invalid
--   sell    <key>                                             -> its state now, or none
--   release <key>                                             -> its state now
--   forget  <key>                                             -> its state, or none
--   hand    <key> <product> <delta> <price> <currency> <version>  -> done | refused | invalid
-- <key> counts in KEYS from 2 as 1. Answers: STRANGER for the whole call, or a list with one text per operation: FENCED
-- for one under an epoch that has passed; broken (and nothing done) where the data contradicts itself; a state is the
-- text of the order's key.
--
-- order:<key>   "reserved <currency or -> { <product> <quantity> <price> }", "failed <reason>", "sold", "released"
-- stock:<product>   hash: available reserved sold stocked price currency version
--
-- A failing script is not rolled back. So everything is read and decided in tables first; the writes come last, and
-- nothing between them can fail. A product that many orders of a call want is read and written once.

local ANSWERED_TTL = 3600     -- the outcome is in the ledger, which is asked first: only late repeats still come here
local TOMBSTONE_TTL = 86400   -- must outlive any reserve that is still under way

local meta = KEYS[1]
if redis.call('HGET', meta, 'generation') ~= ARGV[1] then return 'STRANGER' end

local prefix = string.sub(meta, 1, -5)
local key_count = tonumber(ARGV[2])
local values = key_count > 0 and redis.call('MGET', unpack(KEYS, 2, key_count + 1)) or {}
local changed = {}            -- index of a key -> its time to live, 0 for none
local stocks = {}             -- product -> numbers, or false when there is no such product
local touched = {}            -- products whose counts are written
local remade = {}             -- products whose other numbers are written too
local epochs, raised = {}, {}
local answers = {}
local fenced = true           -- until an epoch says otherwise

local function stock(product)
  local s = stocks[product]
  if s == nil then
    local v = redis.call('HMGET', prefix .. 'stock:' .. product, 'available', 'reserved', 'sold', 'price', 'currency')
    s = v[1] and {available = tonumber(v[1]), reserved = tonumber(v[2]), sold = tonumber(v[3]),
                  price = v[4] or '0', currency = v[5] or ''} or false
    stocks[product] = s
  end
  return s
end

-- Moves all lines from one count to another, or none. Two lines of one product meet in the same table: they count
-- together.
local function move(lines, from, to)
  for i, line in ipairs(lines) do
    local s = stock(line[1])
    if not s or s[from] < line[2] then
      for j = 1, i - 1 do
        local back = stocks[lines[j][1]]
        back[from], back[to] = back[from] + lines[j][2], back[to] - lines[j][2]
      end
      return false
    end
    s[from], s[to] = s[from] - line[2], s[to] + line[2]
  end
  for _, line in ipairs(lines) do touched[line[1]] = true end
  return true
end

-- The one currency of the lines; nil when they have two. A product that has neither price nor currency goes with any.
local function currency_of(lines)
  local currency
  for _, line in ipairs(lines) do
    local s = stocks[line[1]]
    if s.currency ~= '' or s.price ~= '0' then
      if currency and currency ~= s.currency then return nil end
      currency = s.currency
    end
  end
  return currency or ''
end

local function keep(key, value, ttl)
  values[key], changed[key] = value, ttl
  return value
end

local function reserve(key, lines)
  if values[key] then return values[key] end
  if #lines == 0 then return 'invalid' end
  for _, line in ipairs(lines) do
    local quantity = line[2]
    if not quantity or quantity < 1 or quantity ~= math.floor(quantity) then return 'invalid' end
  end
  if not move(lines, 'available', 'reserved') then return keep(key, 'failed out_of_stock', 0) end
  local currency = currency_of(lines)
  if not currency then
    move(lines, 'reserved', 'available')
    return keep(key, 'failed mixed_currency', 0)
  end
  local text = {'reserved', currency == '' and '-' or currency}
  for _, line in ipairs(lines) do
    text[#text + 1] = line[1]
    text[#text + 1] = string.format('%.0f', line[2])
    text[#text + 1] = stocks[line[1]].price
  end
  return keep(key, table.concat(text, ' '), 0)
end

-- Ends a reservation: what it holds goes to `to`. The caller has its outcome in the ledger already.
local function settle(key, held, to, state)
  local lines = {}
  for product, quantity in string.gmatch(held, '(%S+) (%d+) %d+') do
    lines[#lines + 1] = {product, tonumber(quantity)}
  end
  if not move(lines, 'reserved', to) then return 'broken' end
  return keep(key, state, ANSWERED_TTL)
end

local function sell(key)
  local held = values[key] and string.match(values[key], '^reserved %S+ (.*)$')
  if held then return settle(key, held, 'sold', 'sold') end
  return values[key] or 'none'
end

local function release(key)
  local value = values[key]
  local held = value and string.match(value, '^reserved %S+ (.*)$')
  if held then return settle(key, held, 'available', 'released') end
  if value == 'sold' or value == 'released' then return value end
  return keep(key, 'released', TOMBSTONE_TTL)   -- none or failed: whatever reserve still comes finds this
end

-- A reservation that is held stays until it is sold or released; sold and released have their time already.
local function forget(key)
  local value = values[key]
  if value and string.sub(value, 1, 6) == 'failed' then keep(key, value, ANSWERED_TTL) end
  return value or 'none'
end

local function hand(key, product, delta, price, currency, version)
  if values[key] then return values[key] end
  if not delta or not version or delta ~= math.floor(delta) then return 'invalid' end
  local s = stock(product)
  if (s and s.available or 0) + delta < 0 then return keep(key, 'refused', 0) end
  if not s then
    s = {available = 0, reserved = 0, sold = 0, stocked = 0, price = '0', currency = '', version = 0}
    stocks[product] = s
  elseif not s.version then   -- orders do not need these
    local v = redis.call('HMGET', prefix .. 'stock:' .. product, 'stocked', 'version')
    s.stocked, s.version = tonumber(v[1] or '0'), tonumber(v[2] or '0')
  end
  s.available, s.stocked = s.available + delta, s.stocked + delta
  if version > s.version then s.price, s.currency, s.version = price, currency, version end
  touched[product], remade[product] = true, true
  return keep(key, 'done', 0)
end

local function epoch(partition, wanted)
  local known = epochs[partition]
  if known == nil then
    known = tonumber(redis.call('HGET', meta, 'epoch:' .. partition) or '0')
    epochs[partition] = known
  end
  fenced = wanted < known
  if wanted > known then epochs[partition], raised[partition] = wanted, true end
  return fenced and 'FENCED' or 'OK'
end

local at = 3
while at <= #ARGV do
  local op, key = ARGV[at], tonumber(ARGV[at + 1])
  local answer
  if op == 'reserve' then
    local lines, count = {}, tonumber(ARGV[at + 2])
    at = at + 3
    for i = 1, count do
      lines[i] = {ARGV[at], tonumber(ARGV[at + 1])}
      at = at + 2
    end
    answer = fenced and 'FENCED' or reserve(key, lines)
  elseif op == 'epoch' then
    answer = epoch(ARGV[at + 1], tonumber(ARGV[at + 2]))
    at = at + 3
  elseif op == 'hand' then
    answer = hand(key, ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4], ARGV[at + 5], tonumber(ARGV[at + 6]))
    at = at + 7
  elseif op == 'sell' then
    answer = fenced and 'FENCED' or sell(key)
    at = at + 2
  elseif op == 'release' then
    answer = fenced and 'FENCED' or release(key)
    at = at + 2
  elseif op == 'forget' then
    answer = fenced and 'FENCED' or forget(key)
    at = at + 2
  else
    return redis.error_reply('ERR no such stock operation: ' .. tostring(op))
  end
  answers[#answers + 1] = answer
end

for partition in pairs(raised) do redis.call('HSET', meta, 'epoch:' .. partition, epochs[partition]) end
for product in pairs(touched) do
  local s = stocks[product]
  redis.call('HSET', prefix .. 'stock:' .. product, 'available', s.available, 'reserved', s.reserved, 'sold', s.sold)
end
for product in pairs(remade) do
  local s = stocks[product]
  redis.call('HSET', prefix .. 'stock:' .. product, 'stocked', s.stocked, 'price', s.price, 'currency', s.currency,
             'version', s.version)
end
local lasting = {}
for key, ttl in pairs(changed) do
  if ttl > 0 then
    redis.call('SET', KEYS[key + 1], values[key], 'EX', ttl)
  else
    lasting[#lasting + 1] = KEYS[key + 1]
    lasting[#lasting + 1] = values[key]
  end
end
if #lasting > 0 then redis.call('MSET', unpack(lasting)) end
return answers
