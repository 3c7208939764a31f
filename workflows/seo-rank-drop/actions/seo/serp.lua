-- uses: seo/serp@2
return action {
  name = "seo/serp",
  version = "2.0.0",
  doc = "The first results for a query.",
  effect = "read",
  inputs = {query = {type = "string", required = true}, top = {type = "integer", default = 10}},
  secrets = {"SERP_KEY"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "GET", url = "https://serp.example/search?top=" .. input.top .. "&q=" .. ctx.urlencode(input.query),
      headers = {Authorization = "Bearer " .. ctx.secret("SERP_KEY")},
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "seo_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "seo_rejected", message = r.body} end
    return {results = r.json.results}
  end,
}
