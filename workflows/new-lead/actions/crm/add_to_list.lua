-- uses: crm/add_to_list@1
return action {
  name = "crm/add_to_list",
  version = "1.0.0",
  doc = "Puts a contact on a list.",
  inputs = {contact = {type = "any", required = true}, list = {type = "string", required = true}},
  secrets = {"CRM_TOKEN"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "POST", url = "https://crm.example/lists/" .. ctx.urlencode(input.list),
      headers = {Authorization = "Bearer " .. ctx.secret("CRM_TOKEN"), ["Idempotency-Key"] = ctx.idempotency_key},
      json = {contact = input.contact},
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "crm_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "crm_rejected", message = r.body} end
    return {}
  end,
}
