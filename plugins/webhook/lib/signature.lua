-- Standard Webhooks 1.0: what is signed is ID.SECONDS.BODY, and each key gives one signature of the header.
local M = {}
local shortest, longest = 24, 64 -- bytes of a key

-- The bytes of a secret; `what` says which one it is.
function M.key(ctx, secret, what)
  local bytes = ctx.base64.decode((secret:gsub("^whsec_", "")))
  if not bytes or #bytes < shortest or #bytes > longest then
    error(ctx.fail{code = "webhook.secret", message = what .. " is none of Standard Webhooks: whsec_ and base64 of " .. shortest .. " to " .. longest .. " bytes"})
  end
  return bytes
end

-- In lower case. The id follows from the step, so that a receiver knows what it has had already; the time is that of the attempt, as receivers refuse old ones.
function M.headers(ctx, keys, body)
  local id = "msg_" .. ctx.hmac("sha256", "bellwire.webhook", ctx.idempotency_key):sub(1, 32)
  local seconds = tostring(ctx.now() // 1000)
  local signatures = {}
  for i, key in ipairs(keys) do signatures[i] = "v1," .. ctx.hmac("sha256", key, id .. "." .. seconds .. "." .. body, "base64") end
  return {
    ["content-type"] = "application/json", ["webhook-id"] = id, ["webhook-timestamp"] = seconds, ["webhook-signature"] = table.concat(signatures, " "),
  }, id
end

return M
