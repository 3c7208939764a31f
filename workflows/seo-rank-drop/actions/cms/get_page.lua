-- uses: cms/get_page@1
return action {
  name = "cms/get_page",
  version = "1.0.0",
  doc = "A page, by its id or its address.",
  effect = "read",
  inputs = {id = {type = "any"}, url = {type = "string"}},
  secrets = {"CMS_TOKEN"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "GET", url = "https://cms.example/pages?" .. (input.id and "id=" .. input.id or "url=" .. ctx.urlencode(input.url)),
      headers = {Authorization = "Bearer " .. ctx.secret("CMS_TOKEN")},
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "cms_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "cms_rejected", message = r.body} end
    return r.json
  end,
}
