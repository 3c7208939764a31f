-- uses: crm/upsert@1
return action {
  name = "crm/upsert",
  version = "1.0.0",
  doc = "Creates or updates a contact by e-mail.",
  inputs = {email = {type = "string", format = "email", required = true}, fields = {type = "object", default = {}}},
  secrets = {"CRM_TOKEN"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "PUT", url = "https://crm.example/contacts/" .. ctx.urlencode(input.email),
      headers = {Authorization = "Bearer " .. ctx.secret("CRM_TOKEN"), ["Idempotency-Key"] = ctx.idempotency_key},
      json = input.fields,
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "crm_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "crm_rejected", message = r.body} end
    return {id = r.json.id, created = r.status == 201}
  end,
}
