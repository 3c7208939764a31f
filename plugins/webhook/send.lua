-- uses: webhook/send@1
local signature = require "signature"
local shown = 300 -- bytes of what the receiver has said

local function find(ctx, name)
  local names = {}
  for _, endpoint in ipairs(ctx.config.endpoints) do
    if endpoint.name == name then return endpoint end
    names[#names + 1] = endpoint.name
  end
  local known = #names > 0 and "only " .. table.concat(names, ", ") or "none: write configure: {webhook: {endpoints: [{name: …, url: …, secret: {secret: NAME}}]}} into bellwire.yaml"
  error(ctx.fail{code = "webhook.endpoint", message = "there is no endpoint '" .. name .. "' in configure.webhook.endpoints, " .. known})
end

-- The address, and the keys that sign.
local function target(ctx, input)
  if input.endpoint then
    local endpoint = find(ctx, input.endpoint)
    local keys = {signature.key(ctx, ctx.secret(endpoint.secret), "the secret of " .. endpoint.name)}
    if endpoint.previous then keys[2] = signature.key(ctx, ctx.secret(endpoint.previous), "the previous secret of " .. endpoint.name) end
    return endpoint.url, keys
  end
  if not input.url or not input.signing_secret then
    error(ctx.fail{code = "webhook.input", message = "give endpoint, or url and signing_secret: where to send it, and what signs it"})
  end
  return input.url, {signature.key(ctx, input.signing_secret, "signing_secret")}
end

-- The same bytes in each attempt.
local function payload(ctx, input)
  if input.payload ~= nil then
    if input.type or input.data ~= nil or input.timestamp then error(ctx.fail{code = "webhook.input", message = "give payload, or type with data and timestamp, not both"}) end
    return ctx.json.encode(input.payload)
  end
  if not input.type then error(ctx.fail{code = "webhook.input", message = "give type: what has happened, such as invoice.paid"}) end
  return ctx.json.encode{type = input.type, timestamp = input.timestamp, data = input.data}
end

local function said(answer)
  local text = answer.body:sub(1, shown)
  if not utf8.len(text) then text = text:gsub("[\xC0-\xFF][\x80-\xBF]*$", "") end
  return text == "" and "" or ": " .. text
end

return action {
  name = "webhook/send",
  version = "1.0.0",
  doc = "Tells a receiver what has happened, signed by Standard Webhooks, until it has heard or days have passed.",
  timeout = "20s",
  retry = {delay = {"5s", "5m", "30m", "2h", "5h", "10h", "14h", "20h", "24h"}, jitter = 0.1}, -- the example of the specification
  inputs = {
    endpoint = {type = "string", doc = "of configure.webhook.endpoints"},
    url = {type = "string", format = "uri", doc = "instead of endpoint, with signing_secret"},
    signing_secret = {type = "string", doc = "whsec_ and base64 of 24 to 64 bytes: ${{ secrets.NAME }}"},
    type = {type = "string", doc = "what has happened: invoice.paid"},
    data = {type = "any", doc = "what it has happened to"},
    timestamp = {type = "string", format = "date-time", doc = "when it has happened"},
    payload = {type = "any", doc = "the whole body, instead of type, data and timestamp"},
    headers = {type = "object", default = {}},
  },
  outputs = {
    id = {type = "string", required = true, doc = "webhook-id: the same in all attempts"},
    status = {type = "integer", required = true},
  },
  run = function(ctx, input)
    local url, keys = target(ctx, input)
    local body = payload(ctx, input)
    local headers, id = signature.headers(ctx, keys, body)
    for name, value in pairs(input.headers) do
      if not headers[name:lower()] then headers[name] = value end
    end
    local answer = ctx.http{method = "POST", url = url, body = body, headers = headers}
    if answer.status >= 200 and answer.status <= 299 then return {id = id, status = answer.status} end
    if answer.status == 410 then
      return ctx.fail{code = "webhook.gone", message = "the receiver wants no more of these (410 Gone)" .. said(answer)}
    end
    return ctx.retry{code = "webhook.refused", message = "the receiver answered " .. answer.status .. said(answer), after = answer.headers["retry-after"]}
  end,
}
