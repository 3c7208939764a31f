-- uses: crm/get@1
local accounts = require "accounts"
return action {
  name = "crm/get",
  version = "1.0.0",
  doc = "A contact, company or deal by its id.",
  effect = "read",
  limit = "crm",
  inputs = {
    account = {type = "string", doc = "which of configure.crm.accounts; default the first"},
    id = {type = "any", required = true},
    kind = {type = "string", enum = {"contact", "company", "deal"}, default = "contact"},
    select = {type = "array", items = {type = "string"}, default = {}, doc = "the vendor's fields to be given back beside the usual ones"},
  },
  outputs = {
    id = {type = "string", required = true},
    url = {type = "string", doc = "where people look at it"},
    email = {type = "string"},
    first_name = {type = "string"},
    last_name = {type = "string"},
    phone = {type = "string"},
    company = {type = "string"},
    fields = {type = "object", required = true, doc = "all that the vendor says, by its own names"},
  },
  run = function(ctx, input) return accounts.call(ctx, input, "get") end,
}
