-- uses: cms/publish@1
return action {
  name = "cms/publish",
  version = "1.0.0",
  doc = "Makes a draft the page, unless the page has changed since.",
  inputs = {draft_id = {type = "any", required = true}, if_version = {type = "any"}},
  secrets = {"CMS_TOKEN"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "POST", url = "https://cms.example/drafts/" .. input.draft_id .. "/publish",
      headers = {Authorization = "Bearer " .. ctx.secret("CMS_TOKEN"), ["Idempotency-Key"] = ctx.idempotency_key},
      json = {if_version = input.if_version},
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "cms_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "cms_rejected", message = r.body} end
    return {version = r.json.version}
  end,
}
