-- uses: crm/request@1
local accounts = require "accounts"
return action {
  name = "crm/request",
  version = "1.0.0",
  doc = "Any request to the vendor's API, with the account's credentials.",
  limit = "crm",
  inputs = {
    account = {type = "string", doc = "which of configure.crm.accounts; default the first"},
    method = {type = "string", enum = {"GET", "POST", "PUT", "PATCH", "DELETE"}, default = "GET"},
    path = {type = "string", required = true, doc = "below the account's url, with a slash at its beginning"},
    query = {type = "object"},
    json = {type = "any"},
    accept_status = {type = "array", items = {type = "integer"}, default = {}, doc = "answers such as [404] that are no failure"},
  },
  outputs = {status = {type = "integer", required = true}, json = {type = "any"}},
  run = function(ctx, input)
    if input.path:sub(1, 1) ~= "/" then return ctx.fail{code = "crm.input", message = "path must begin with a slash: it goes behind the account's url"} end
    return accounts.request(ctx, input)
  end,
}
