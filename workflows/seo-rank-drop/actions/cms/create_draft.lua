-- uses: cms/create_draft@1
return action {
  name = "cms/create_draft",
  version = "1.0.0",
  doc = "A draft of a page; nobody sees it yet.",
  inputs = {page_id = {type = "any", required = true}, body = {type = "string", required = true}},
  secrets = {"CMS_TOKEN"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "POST", url = "https://cms.example/drafts",
      headers = {Authorization = "Bearer " .. ctx.secret("CMS_TOKEN"), ["Idempotency-Key"] = ctx.idempotency_key},
      json = input,
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "cms_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "cms_rejected", message = r.body} end
    return {draft_id = r.json.draft_id}
  end,
}
