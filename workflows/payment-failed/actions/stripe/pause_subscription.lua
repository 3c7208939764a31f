-- uses: stripe/pause_subscription@1
return action {
  name = "stripe/pause_subscription",
  version = "1.0.0",
  doc = "Pauses the subscription of a customer.",
  inputs = {customer = {type = "string", required = true}},
  secrets = {"STRIPE_KEY"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "POST", url = "https://stripe.example/customers/" .. input.customer .. "/pause",
      headers = {Authorization = "Bearer " .. ctx.secret("STRIPE_KEY"), ["Idempotency-Key"] = ctx.idempotency_key},
      json = {},
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "stripe_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "stripe_rejected", message = r.body} end
    return {}
  end,
}
