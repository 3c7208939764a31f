-- uses: crm/note@1
local accounts = require "accounts"
return action {
  name = "crm/note",
  version = "1.0.0",
  doc = "Writes a note about a contact, once.",
  limit = "crm",
  inputs = {
    account = {type = "string", doc = "which of configure.crm.accounts; default the first"},
    contact = {type = "any", required = true, doc = "its id"},
    text = {type = "string", required = true},
  },
  outputs = {id = {type = "string", required = true}, created = {type = "boolean", required = true, doc = "false: an earlier attempt had written it"}},
  run = function(ctx, input) return accounts.call(ctx, input, "note") end,
}
