-- uses: crm/add_to_list@1
local accounts = require "accounts"
return action {
  name = "crm/add_to_list",
  version = "1.0.0",
  doc = "Puts a contact on a list (HubSpot, Dynamics), into a campaign (Salesforce), or gives it a label (Pipedrive) or tag (Zoho).",
  limit = "crm",
  inputs = {
    account = {type = "string", doc = "which of configure.crm.accounts; default the first"},
    contact = {type = "any", required = true, doc = "its id"},
    list = {type = "any", required = true, doc = "the vendor's id of the list, campaign or label; of a tag its name"},
  },
  outputs = {},
  run = function(ctx, input) return accounts.call(ctx, input, "add_to_list") end,
}
