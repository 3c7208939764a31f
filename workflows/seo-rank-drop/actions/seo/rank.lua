-- uses: seo/rank@2
return action {
  name = "seo/rank",
  version = "2.0.0",
  doc = "Where a page stands for a keyword.",
  effect = "read",
  inputs = {url = {type = "string", required = true}, keyword = {type = "string", required = true}},
  secrets = {"SERP_KEY"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "GET", url = "https://serp.example/rank?url=" .. ctx.urlencode(input.url) .. "&q=" .. ctx.urlencode(input.keyword),
      headers = {Authorization = "Bearer " .. ctx.secret("SERP_KEY")},
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "seo_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "seo_rejected", message = r.body} end
    return {position = r.json.position}
  end,
}
