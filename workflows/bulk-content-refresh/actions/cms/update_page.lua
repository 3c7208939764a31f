-- uses: cms/update_page@1
return action {
  name = "cms/update_page",
  version = "1.0.0",
  doc = "Replaces the text of a page, unless it has changed since.",
  inputs = {id = {type = "any", required = true}, body = {type = "string", required = true}, if_version = {type = "any"}},
  secrets = {"CMS_TOKEN"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "PUT", url = "https://cms.example/pages/" .. input.id,
      headers = {Authorization = "Bearer " .. ctx.secret("CMS_TOKEN"), ["Idempotency-Key"] = ctx.idempotency_key},
      json = {body = input.body, if_version = input.if_version},
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "cms_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "cms_rejected", message = r.body} end
    return {version = r.json.version}
  end,
}
