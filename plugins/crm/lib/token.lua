-- OAuth 2.0: a token for the client itself, or for a refresh token. One of an account serves all attempts of this process until it is over, or until the
-- vendor refuses it; a token in a run's data would be a secret in the store.
local M = {}
local EARLY, UNKNOWN = 30, 600 -- seconds: so long before its end it is not used any more; the life of one that comes without

local function name_of(client)
  return "token " .. client.account.name
end

-- A token endpoint may also refuse with status 200 (Zoho does).
local function ask(client, url, form)
  local answer = client.ctx.http{method = "POST", url = url, form = form}
  local said = type(answer.json) == "table" and answer.json or {}
  if answer.status == 429 or answer.status >= 500 then
    client:retry("token", "no token: " .. answer.status, answer.headers["retry-after"])
  elseif answer.status ~= 200 or not said.access_token then
    local why = tostring(said.error_description or said.error or answer.status)
    if why:find("too many requests", 1, true) then client:retry("token", "no token: " .. why, "10m") end
    client:fail("token", "no token: " .. why)
  end
  local life = tonumber(said.expires_in) or UNKNOWN
  return said.access_token, math.max(0, life - math.min(EARLY, life / 4))
end

function M.fetch(client, url, form)
  if not client.fetched then
    client.fetched = client.ctx.cache.fetch(name_of(client), function()
      client.is_new = true
      return ask(client, url, form)
    end)
  end
  return client.fetched
end

-- The vendor has answered 401. Is there reason to think that another one would do better? Once in an attempt, and not for one that has just come.
function M.renew(client)
  if not client.fetched or client.is_new then return false end
  client.ctx.cache.drop(name_of(client), client.fetched)
  client.fetched, client.is_new = nil, true
  return true
end

return M
