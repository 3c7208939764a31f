-- OAuth 2.0: a token for the client itself, or for a refresh token. It lives as long as the attempt does: modules keep nothing, and a token in a run's
-- data would be a secret in the store.
local M = {}

-- A token endpoint may also refuse with status 200 (Zoho does).
function M.fetch(client, url, form)
  if not client.fetched then
    local answer = client.ctx.http{method = "POST", url = url, form = form}
    local said = answer.json or {}
    if answer.status == 429 or answer.status >= 500 then
      client:retry("token", "no token: " .. answer.status, answer.headers["retry-after"])
    elseif answer.status ~= 200 or not said.access_token then
      local why = tostring(said.error_description or said.error or answer.status)
      if why:find("too many requests", 1, true) then client:retry("token", "no token: " .. why, "10m") end
      client:fail("token", "no token: " .. why)
    end
    client.fetched = said.access_token
  end
  return client.fetched
end

return M
