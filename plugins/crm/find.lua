-- uses: crm/find@1
local accounts = require "accounts"
return action {
  name = "crm/find",
  version = "1.0.0",
  doc = "The contacts with this e-mail address, external id or these fields.",
  effect = "read",
  limit = "crm",
  inputs = {
    account = {type = "string", doc = "which of configure.crm.accounts; default the first"},
    email = {type = "string"},
    external_id = {type = "any"},
    fields = {type = "object", default = {}, doc = "by the vendor's own names; all have to be equal"},
    select = {type = "array", items = {type = "string"}, default = {}, doc = "the vendor's fields to be given back beside the usual ones"},
    limit = {type = "integer", default = 10, min = 1, max = 100},
  },
  outputs = {
    found = {type = "boolean", required = true},
    id = {type = "string", doc = "of the first one"},
    records = {type = "array", required = true, items = {type = "object"}, doc = "each as crm/get gives it"},
  },
  run = function(ctx, input)
    local records = accounts.call(ctx, input, "find")
    return {found = #records > 0, id = records[1] and records[1].id, records = ctx.json.array(records)}
  end,
}
