-- uses: crm/upsert@1
local accounts = require "accounts"
return action {
  name = "crm/upsert",
  version = "1.0.0",
  doc = "Creates a contact, or updates the one with this e-mail address or external id.",
  limit = "crm",
  inputs = {
    account = {type = "string", doc = "which of configure.crm.accounts; default the first"},
    email = {type = "string", format = "email"},
    external_id = {type = "any", doc = "goes before email; needs external_key in the configuration"},
    first_name = {type = "string"},
    last_name = {type = "string"},
    phone = {type = "string"},
    company = {type = "string"},
    fields = {type = "object", default = {}, doc = "more, by the vendor's own names"},
  },
  outputs = {
    id = {type = "string", required = true},
    created = {type = "boolean", required = true, doc = "as the last attempt saw it"},
    url = {type = "string", doc = "where people look at it"},
  },
  run = function(ctx, input) return accounts.call(ctx, input, "upsert") end,
}
