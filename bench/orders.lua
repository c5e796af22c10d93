-- wrk: POST /v1/orders, each with a key of its own. ORDERS_FILE: line 1 the run's mark, line 2 "hot" or "uniform", line 3 the body
-- with SKU for its place, line 4 how many SKUs, line 5 how many requests came before (their guests come last), then a guest token a line.
local file = assert(io.open(os.getenv("ORDERS_FILE")))
local mark, kind, body, skus, before = file:read("l"), file:read("l"), file:read("l"), tonumber(file:read("l")), tonumber(file:read("l"))
local tokens = {}
for line in file:lines() do tokens[#tokens + 1] = line end
file:close()

local number, requests = 0, {}
for i = 1, skus do
    requests[i] = body:gsub("SKU", string.format("BENCH-%d", kind == "hot" and 1 or i))
end

function request()
    number = number + 1
    return wrk.format("POST", "/v1/orders", {
        ["Content-Type"] = "application/json",
        ["Authorization"] = "Bearer " .. tokens[(before + number) % #tokens + 1],
        ["Idempotency-Key"] = mark .. number,
    }, requests[number * 7919 % skus + 1])
end
