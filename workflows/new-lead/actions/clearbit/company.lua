-- uses: clearbit/company@1
return action {
  name = "clearbit/company",
  version = "1.0.0",
  doc = "What is known about the company of a domain.",
  effect = "read",
  inputs = {domain = {type = "string", required = true}},
  secrets = {"CLEARBIT_KEY"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "GET", url = "https://clearbit.example/companies/" .. ctx.urlencode(input.domain),
      headers = {Authorization = "Bearer " .. ctx.secret("CLEARBIT_KEY")},
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "clearbit_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "clearbit_rejected", message = r.body} end
    return r.json
  end,
}
