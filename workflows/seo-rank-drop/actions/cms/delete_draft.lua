-- uses: cms/delete_draft@1
return action {
  name = "cms/delete_draft",
  version = "1.0.0",
  doc = "Takes a draft away.",
  inputs = {draft_id = {type = "any", required = true}},
  secrets = {"CMS_TOKEN"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "DELETE", url = "https://cms.example/drafts/" .. input.draft_id,
      headers = {Authorization = "Bearer " .. ctx.secret("CMS_TOKEN"), ["Idempotency-Key"] = ctx.idempotency_key},
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "cms_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "cms_rejected", message = r.body} end
    return {}
  end,
}
