-- uses: mail/send@1
return action {
  name = "mail/send",
  version = "1.0.0",
  doc = "A mail from a template.",
  inputs = {to = {type = "string", format = "email", required = true}, template = {type = "string", required = true}, data = {type = "object", default = {}}},
  secrets = {"MAIL_KEY"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "POST", url = "https://mail.example/send",
      headers = {Authorization = "Bearer " .. ctx.secret("MAIL_KEY"), ["Idempotency-Key"] = ctx.idempotency_key},
      json = input,
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "mail_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "mail_rejected", message = r.body} end
    return {id = r.json.id}
  end,
}
