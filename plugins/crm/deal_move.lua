-- uses: crm/deal_move@1
local accounts = require "accounts"
return action {
  name = "crm/deal_move",
  version = "1.0.0",
  doc = "Moves a deal to another stage.",
  limit = "crm",
  inputs = {
    account = {type = "string", doc = "which of configure.crm.accounts; default the first"},
    deal = {type = "any", required = true, doc = "its id"},
    stage = {type = "any", required = true, doc = "the vendor's id of the stage; with Salesforce, Zoho and Dynamics its name"},
    fields = {type = "object", default = {}, doc = "more to be changed, by the vendor's own names"},
  },
  outputs = {id = {type = "string", required = true}},
  run = function(ctx, input) return accounts.call(ctx, input, "deal_move") end,
}
